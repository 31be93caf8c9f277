"""Attention maps of a sentence: to the source, or self-attention, of one layer and head or all.

Rows read and columns are read, both in the order of the text. EOS is last.
"""

import tempfile
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from s2st.analysis.heat_maps import Panel, draw_maps
from s2st.analysis.options import MapsConfig
from s2st.analysis.report_document import Figure, Section
from s2st.data.batch import make_batch, make_source
from s2st.errors import UsageError
from s2st.scoring.base import Scorer, TextSide
from s2st.search.base import Search
from s2st.text.vocabulary import BOS_ID, EOS_ID, SPECIALS, UNK_ID
from s2st.text.word_alignments import joined_word, word_spans

BEGIN, END = SPECIALS[BOS_ID], SPECIALS[EOS_ID]
CROSS = "cross"
UNKNOWN = " (unk)"  # after a word that the model does not know
SHOWN = 2  # number of maps in a report
LONGEST_SHOWN = 40  # largest number of words per side of a map in a report


@dataclass(frozen=True)
class AttentionMap:
    """One attention map of a sentence pair, or of a text of a language model.

    Attributes:
        source: labels of the source: the words and END. A word that the model does not know ends
            in `(unk)`. Empty for a language model.
        target: labels of the target, of the same form.
        weights: (R, C) attention weights; rows sum to 1.
        log_prob: log-probability of the target, in nats.
        rows, columns: R and C labels. Rows read, columns are read:
            cross: target words read source words.
            encoder: source words read source words.
            decoder: the row of a target word is the step that predicts it. It reads BEGIN and the
                words before.
        part: "cross", "encoder" or "decoder".
        layer: number of the layer, from 1; None for the highest one.
        head: number of the head, from 1; None for the mean over the heads.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: npt.NDArray[np.float64]
    log_prob: float
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    part: str = CROSS
    layer: int | None = None
    head: int | None = None

    @property
    def name(self) -> str:
        """The layer and the head in words."""
        layer = "" if self.layer is None else f"layer {self.layer}"
        head = "" if self.head is None else f"head {self.head}"
        return ", ".join(filter(None, (layer, head)))


def attention_maps(
    scorer: Scorer,
    choice: MapsConfig,
    source: str | None,
    target: str | None,
    search: Search | None = None,
) -> list[AttentionMap]:
    """Compute the maps of a sentence that the options choose.

    Args:
        scorer: the model; an ensemble has only the mean map of "cross".
        choice: part, layers, heads and words.
        source: the source line; not used for a language model.
        target: the target line, or the text of a language model; None to translate the source.
        search: translates the source, if there is no target.

    Raises:
        UsageError: the model has no such attention, or there is no text.
    """
    part = choice.part or ("decoder" if scorer.source.absent else CROSS)
    plain = part == CROSS and choice.layer is None and choice.head is None
    if target is None and (source is None or search is None):
        raise UsageError("a language model reads no source: give its text as the target")
    if plain:
        assert source is not None or scorer.source.absent
        if target is None:
            assert search is not None
            found = [searched_map(scorer, search, source or "")]
        else:
            found = [forced_map(scorer, source or "", target)]
    else:
        words = _target_words(scorer, source, target, search)
        found = _layer_maps(scorer, part, choice, source or "", words)
    return [_joined(scorer, one) for one in found] if choice.words else found


def _target_words(
    scorer: Scorer, source: str | None, target: str | None, search: Search | None
) -> list[str]:
    """Return the tokens of the target, or of the best translation."""
    if target is not None:
        return scorer.target.tokenizer.encode(target)
    assert source is not None
    assert search is not None
    batch = make_source([scorer.source.ids(_words(scorer, source))], [0])
    return scorer.target.words(search(scorer, batch)[0][0].tokens)


def _layer_maps(
    scorer: Scorer, part: str, choice: MapsConfig, source: str, words: Sequence[str]
) -> list[AttentionMap]:
    """Compute the maps of some layers and heads, by teacher forcing."""
    if part != "decoder" and scorer.source.absent:
        raise UsageError("this is a language model: it has no attention to a source")
    read = [] if scorer.source.absent else _words(scorer, source)
    batch = make_batch([scorer.source.ids(read)], [scorer.target.ids(words)], [0])
    weights = scorer.attention_weights(batch)
    if part not in weights:
        raise _no_part(part, tuple(weights))
    layers, log_prob = weights[part], float(scorer.score(batch).sum())
    source_labels = (*_source_labels(scorer, read), END) if read else ()
    target_labels = (*_labels(words, scorer.target.vocabulary.encode(words)), END)
    places = scorer.target.places(len(target_labels))
    inputs = [0, *(1 + place for place in places[:-1])]
    sides = {
        "cross": (target_labels, source_labels, places, None),
        "encoder": (source_labels, source_labels, None, None),
        "decoder": (target_labels, (BEGIN, *target_labels[:-1]), places, inputs),
    }
    rows, columns, of_rows, of_columns = sides[part]
    maps = []
    for layer in _numbers("layer", choice.layer, len(layers), len(layers)):
        assert layer is not None
        heads = layers[layer - 1][0].double().cpu().numpy()
        for head in _numbers("head", choice.head, len(heads), None):
            table = heads.mean(axis=0) if head is None else heads[head - 1]
            table = table if of_rows is None else table[of_rows]
            table = table if of_columns is None else table[:, of_columns]
            maps.append(
                AttentionMap(
                    source_labels, target_labels, table, log_prob, rows, columns, part, layer, head
                )
            )
    return maps


def _numbers(
    what: str, chosen: int | str | None, count: int, default: int | None
) -> list[int | None]:
    """Return the chosen layers or heads, from 1."""
    if chosen is None:
        return [default]
    if isinstance(chosen, str):
        return list(range(1, count + 1))
    if chosen > count:
        raise UsageError(f"--{what} {chosen}: this attention has {count} {what}{'s' * (count > 1)}")
    return [chosen]


def _joined(scorer: Scorer, found: AttentionMap) -> AttentionMap:
    """Return the map of words: sums over pieces that are read, means over pieces that read."""
    source = _groups(scorer.source, found.source)
    target = _groups(scorer.target, found.target)
    begun = [(range(1), BEGIN), *((range(p.start + 1, p.stop + 1), w) for p, w in target[:-1])]
    rows, columns = {
        "cross": (target, source), "encoder": (source, source), "decoder": (target, begun),
    }[found.part]  # fmt: skip
    summed = np.stack([found.weights[:, place].sum(axis=1) for place, _ in columns], axis=1)
    weights = np.stack([summed[place].mean(axis=0) for place, _ in rows])
    labels = [tuple(word for _, word in side) for side in (source, target, rows, columns)]
    return replace(
        found, weights=weights, source=labels[0], target=labels[1], rows=labels[2],
        columns=labels[3],
    )  # fmt: skip


def _groups(side: TextSide, labels: Sequence[str]) -> list[tuple[range, str]]:
    """Return the places and the label of each word; END is one of its own."""
    if not labels:
        return []
    pieces = [label.removesuffix(UNKNOWN) for label in labels[:-1]]
    groups = []
    for span in word_spans(side.tokenizer, pieces):
        unknown = any(labels[place].endswith(UNKNOWN) for place in span)
        word = joined_word(side.tokenizer, pieces[span.start : span.stop])
        groups.append((span, word + UNKNOWN * unknown))
    return [*groups, (range(len(pieces), len(labels)), END)]


def _no_part(part: str, parts: Sequence[str]) -> UsageError:
    if not parts:
        return UsageError(
            "maps of layers and heads (--part, --layer, --head) need one model with attention in "
            "layers or heads, such as transformer, lstm-attention or transformer-lm"
        )
    return UsageError(f"--part {part}: this model has only {' and '.join(parts)}")


def forced_map(scorer: Scorer, source: str, target: str) -> AttentionMap:
    """Compute the map of a given source and target line.

    Raises:
        UsageError: the scorer gives no attention.
    """
    side = scorer.target
    words = side.tokenizer.encode(target)
    ids = side.ids(words)
    state = scorer.start(make_source([scorer.source.ids(_words(scorer, source))], [0]))
    rows, log_prob = [], 0.0
    for before, word in zip([BOS_ID, *ids], [*ids, EOS_ID], strict=True):
        step = scorer.step(torch.tensor([before], device=scorer.device), state)
        if step.attention is None:
            raise _no_attention()
        rows.append(step.attention[0].double().cpu().numpy())
        log_prob += float(step.log_probs[0, word])
        state = step.state
    return _map(scorer, source, words, np.array(rows), log_prob)


def searched_map(scorer: Scorer, search: Search, source: str) -> AttentionMap:
    """Translate a line and return the map of its best translation.

    Raises:
        UsageError: scorer or search give no attention.
    """
    batch = make_source([scorer.source.ids(_words(scorer, source))], [0])
    best = search(scorer, batch)[0][0]
    if best.attention is None:
        raise _no_attention()
    words = scorer.target.words(best.tokens)
    return _map(scorer, source, words, best.attention.astype(np.float64), best.log_prob)


def draw_attention(
    path: str | Path, found: AttentionMap, title: str = "", png: bool = True
) -> tuple[Path, Path]:
    """Draw a map; see `heat_maps.draw_map`."""
    return draw_all(path, [found], title, png)


def draw_all(
    path: str | Path, maps: Sequence[AttentionMap], title: str = "", png: bool = True
) -> tuple[Path, Path]:
    """Draw the maps of a sentence, a line for each layer; see `heat_maps.draw_maps`."""
    first = maps[0]
    names = [one.name if len(maps) > 1 else "" for one in maps]
    labels = {
        CROSS: ("source", "target"), "encoder": ("source words read", "source words"),
        "decoder": ("words read", "words predicted"),
    }[first.part]  # fmt: skip
    heads = sum(one.layer == first.layer for one in maps)
    return draw_maps(
        path, [Panel(name, one.weights) for name, one in zip(names, maps, strict=True)],
        rows=first.rows, columns=first.columns, x_label=labels[0], y_label=labels[1], title=title,
        scale="attention weight", across=heads if heads < len(maps) else None, png=png,
    )  # fmt: skip


def attention_section(scorer: Scorer, pairs: Iterable[tuple[str, ...]]) -> Section:
    """Return a report section with the maps of the first SHOWN pairs that are short enough.

    Args:
        scorer: a model with attention.
        pairs: source and target lines.

    Raises:
        UsageError: no pair is short enough, or the scorer gives no attention.
    """
    figures: list[Figure] = []
    lines = iter(pairs)
    for source, target in lines:
        lengths = [
            len(side.tokenizer.encode(text))
            for side, text in ((scorer.source, source), (scorer.target, target))
        ]
        if not all(0 < length <= LONGEST_SHOWN for length in lengths):
            continue
        with tempfile.TemporaryDirectory() as folder:
            name = Path(folder) / f"attention-{len(figures)}"
            svg, _ = draw_attention(name, forced_map(scorer, source, target), png=False)
            data = svg.read_bytes()
        alt = f"Map of the attention of each word of {target!r} to the words of {source!r}"
        figures.append(Figure(f"{source} / {target}", alt, "image/svg+xml", data))
        if len(figures) == SHOWN:
            deque(lines, maxlen=0)  # read to the end, where line counts and checksums are checked
    if not figures:
        message = f"no pair of lines with 1 to {LONGEST_SHOWN} words on each side for the maps"
        raise UsageError(message)
    text = (
        "Attention of each target word (row) to each source word (column) when the model reads "
        "the given target. Darker cells have larger weights."
    )
    return Section("Attention", (text,), tuple(figures))


def _no_attention() -> UsageError:
    return UsageError(
        "the model has no attention; use one such as lstm-attention (in an ensemble, all members "
        "need it)"
    )


def _words(scorer: Scorer, source: str) -> list[str]:
    """Return the tokens of a source line; raise UsageError if there are none."""
    words = scorer.source.tokenizer.encode(source)
    if scorer.source.absent:
        raise UsageError("this is a language model: it has no attention to a source")
    if not words:
        raise UsageError("the source line has no words, so there is no attention to show")
    return words


def _map(
    scorer: Scorer,
    source: str,
    target: Sequence[str],
    weights: npt.NDArray[np.float64],
    log_prob: float,
) -> AttentionMap:
    """Return the map; `weights` has its rows in the direction of the model."""
    words = scorer.source.tokenizer.encode(source)
    sources = (*_source_labels(scorer, words), END)
    targets = (*_labels(target, scorer.target.vocabulary.encode(target)), END)
    weights = weights[scorer.target.places(len(weights))]
    return AttentionMap(sources, targets, weights, log_prob, targets, sources)


def _source_labels(scorer: Scorer, words: Sequence[str]) -> list[str]:
    if scorer.source.tokenizer.vector_size:  # a vector has a number instead of a word
        return [str(number) for number in range(1, len(words) + 1)]
    return _labels(words, scorer.source.vocabulary.encode(words))


def _labels(words: Sequence[str], ids: Sequence[int]) -> list[str]:
    unknown = SPECIALS[UNK_ID]
    return [
        f"{word}{UNKNOWN}" if number == UNK_ID and word != unknown else word
        for word, number in zip(words, ids, strict=True)
    ]

"""Attention maps: the attention weights of each target word over the source words of a sentence.

Rows are target words, columns are source words, in the order of the text. EOS is last in both.
"""

import tempfile
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from s2st.analysis.figures import draw_map
from s2st.analysis.report_document import Figure, Section
from s2st.data.batch import make_source
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.search.base import Search
from s2st.text.vocabulary import BOS_ID, EOS_ID, SPECIALS, UNK_ID

END = SPECIALS[EOS_ID]
SHOWN = 2  # number of maps in a report
LONGEST_SHOWN = 40  # largest number of words per side of a map in a report


@dataclass(frozen=True)
class AttentionMap:
    """The attention map of one sentence pair.

    Attributes:
        source: S labels: the words and END. A word that the model does not know ends in `(unk)`.
        target: T labels of the same form.
        weights: (T, S) attention weights; rows sum to 1.
        log_prob: log-probability of the target, in nats.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: npt.NDArray[np.float64]
    log_prob: float


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
    """Draw a map; see `figures.draw_map`."""
    return draw_map(
        path, found.weights, rows=found.target, columns=found.source,
        x_label="source", y_label="target", title=title, png=png,
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
    source_words = scorer.source.tokenizer.encode(source)
    return AttentionMap(
        (*_labels(source_words, scorer.source.ids(source_words)), END),
        (*_labels(target, scorer.target.vocabulary.encode(target)), END),
        weights[scorer.target.places(len(weights))],
        log_prob,
    )


def _labels(words: Sequence[str], ids: Sequence[int]) -> list[str]:
    unknown = SPECIALS[UNK_ID]
    return [
        f"{word} (unk)" if number == UNK_ID and word != unknown else word
        for word, number in zip(words, ids, strict=True)
    ]

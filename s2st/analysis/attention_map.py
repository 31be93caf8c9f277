"""The map of a sentence's attention: how much each target word took from each source word.

Rows are target words, columns source words, in the order of the text, the ends of both last.
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
from s2st.analysis.report_records import Figure, Section
from s2st.data.batch import make_source
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.search.base import Search
from s2st.text.vocabulary import BOS_ID, EOS_ID, SPECIALS, UNK_ID

END = SPECIALS[EOS_ID]
SHOWN = 2  # maps of a report
LONGEST_SHOWN = 40  # words of a side of such a map


@dataclass(frozen=True)
class AttentionMap:
    """One sentence pair.

    Attributes:
        source: S labels, its words and END; a word that the model does not know has `(unk)`
            behind it.
        target: T labels, likewise.
        weights: (T, S); rows sum to 1.
        log_prob: of the target, in nats.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: npt.NDArray[np.float64]
    log_prob: float


def forced_map(scorer: Scorer, source: str, target: str) -> AttentionMap:
    """The map of a pair of lines: the model reads the target word by word.

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
    """The map of a line and its best translation; raises as `forced_map`."""
    batch = make_source([scorer.source.ids(_words(scorer, source))], [0])
    best = search(scorer, batch)[0][0]
    if best.attention is None:
        raise _no_attention()
    words = scorer.target.words(best.tokens)
    return _map(scorer, source, words, best.attention.astype(np.float64), best.log_prob)


def draw_attention(
    path: str | Path, found: AttentionMap, title: str = "", png: bool = True
) -> tuple[Path, Path]:
    """Draws a map as `draw_map` does."""
    return draw_map(
        path, found.weights, rows=found.target, columns=found.source,
        x_label="source", y_label="target", title=title, png=png,
    )  # fmt: skip


def attention_section(scorer: Scorer, pairs: Iterable[tuple[str, ...]]) -> Section:
    """The maps of the first SHOWN pairs of a source and a target line that are short enough.

    Raises:
        UsageError: there is no such pair, or the scorer gives no attention.
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
        alt = f"Map of what each word of {target!r} attends to in {source!r}"
        figures.append(Figure(f"{source} / {target}", alt, "image/svg+xml", data))
        if len(figures) == SHOWN:
            deque(lines, maxlen=0)  # to their end, where line counts and checksums are compared
    if not figures:
        message = f"no pair of lines with 1 to {LONGEST_SHOWN} words a side, to show its attention"
        raise UsageError(message)
    text = (
        "How much each target word (row) took from each source word (column), the darker the "
        "more, when the model reads the given target."
    )
    return Section("Attention", (text,), tuple(figures))


def _no_attention() -> UsageError:
    return UsageError(
        "the model has no attention, as lstm-attention has (in an ensemble, all members need it)"
    )


def _words(scorer: Scorer, source: str) -> list[str]:
    """The tokens of a source line; raises UsageError where there is none."""
    words = scorer.source.tokenizer.encode(source)
    if scorer.source.absent:
        raise UsageError("the model reads no source, so that it has no attention to it")
    if not words:
        raise UsageError("the source line has no words, so that nothing can be attended to")
    return words


def _map(
    scorer: Scorer,
    source: str,
    target: Sequence[str],
    weights: npt.NDArray[np.float64],
    log_prob: float,
) -> AttentionMap:
    """The map of rows in the model's own order."""
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

"""The job of `s2st generate`: lines of text in, translations out, line i for line i.

A language model reads no source: a line is then a prompt, the words that its continuation begins
with.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from s2st.data.batch import make_source
from s2st.data.batch_planner import BatchingConfig, plan_in_order
from s2st.errors import describe_lines
from s2st.jobs.attention_alignments import links_of, replace_unknown
from s2st.jobs.work_queue import Task, WorkQueue, in_order
from s2st.process.device import out_of_memory_errors
from s2st.rescoring.unknown_words import UnknownWords
from s2st.scoring.base import Scorer, TextSide
from s2st.search.base import Hypothesis, Search
from s2st.text.prompts import with_prompt

log = logging.getLogger("s2st")
MAX_PADDED_TOKENS = 20_000  # of a batch: bounds the encoder's memory on very long lines
MAX_ROWS = 2048  # of a search, one sentence's if it has more: bounds the memory of wide beams


@dataclass(frozen=True)
class Translation:
    """One input line and its hypotheses, best first; an empty source has one empty hypothesis.

    Attributes:
        line: index of the line from 0.
        hypotheses: with tokens, and what there is of each, in the order of the text.
        source_words: the line's tokens.
        words: the hypotheses' tokens, unknown ones replaced where that was asked for.
        texts: the hypotheses as text, detokenised or not.
    """

    line: int
    source: str
    hypotheses: tuple[Hypothesis, ...]
    source_words: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]


EMPTY = Hypothesis((), (), 0.0, 0.0, True)


def translate(
    scorer: Scorer,
    search: Search,
    chunks: Iterable[Sequence[str]],
    batch_size: int | None,
    detokenize: bool,
    dictionary: Mapping[str, str] | None = None,
) -> Iterator[Translation]:
    """Yields one Translation a line, in the order of the lines; see `plan`."""
    tasks = plan(scorer, search, chunks, batch_size, detokenize, dictionary)
    return in_order(tasks, lambda translation: translation, WorkQueue())


def plan(
    scorer: Scorer,
    search: Search,
    chunks: Iterable[Sequence[str]],
    batch_size: int | None,
    detokenize: bool,
    dictionary: Mapping[str, str] | None = None,
) -> Iterator[list[Task[Translation]]]:
    """Yields the batches of each chunk; computing one raises OutOfMemoryError, naming the lines.

    Args:
        scorer, search: the models and the strategy.
        chunks: lines, as many at a time as may wait for each other; each chunk is sorted by
            length into batches.
        batch_size: sentences decoded together at most; None leaves it to the bounds of memory.
        detokenize: join tokens to text, or leave a space between them.
        dictionary: unknown words are replaced through it and the attention, which there must be;
            None leaves them.
    """
    side = scorer.target if scorer.source.absent else scorer.source
    unknown = UnknownWords(side.vocabulary, side.tokenizer)
    wording = _Wording(scorer.target, detokenize, dictionary, scorer.source.absent)
    most = max(1, MAX_ROWS // search.rows_per_sentence)
    config = BatchingConfig(batch_size=min(batch_size or most, most), max_tokens=MAX_PADDED_TOKENS)
    first = 0
    for chunk in chunks:
        words = [side.tokenizer.encode(line) for line in chunk]
        for line, text in zip(words, chunk, strict=True):
            unknown.add(line, text)
        rows = [side.ids(line) for line in words]
        lines = _Lines(first, chunk, words, rows)
        answered = [index for index, row in enumerate(rows) if row or side is scorer.target]
        full = np.array(answered, dtype=np.int64)
        lengths = np.array([len(rows[index]) for index in full], dtype=np.int64)
        batches = [full[batch].tolist() for batch in plan_in_order(lengths, config)]
        batches.append(sorted(set(range(len(rows))) - set(answered)))
        yield [
            Task(
                [first + index for index in indices],
                partial(_translate_batch, scorer, search, lines, indices, wording),
            )
            for indices in batches
            if indices
        ]
        first += len(chunk)
    warning = unknown.warning("the input")
    if warning is not None:
        log.warning(warning)


@dataclass(frozen=True)
class _Lines:
    """A chunk of the input.

    Attributes:
        first: the number of its first line.
        texts: its lines.
        words: their tokens.
        rows: their ids: sources, or prompts in the model's order.
    """

    first: int
    texts: Sequence[str]
    words: Sequence[list[str]]
    rows: Sequence[list[int]]


@dataclass(frozen=True)
class _Wording:
    """How hypotheses become text; `dictionary` as in `plan`, `prompts` of a language model."""

    side: TextSide
    detokenize: bool
    dictionary: Mapping[str, str] | None
    prompts: bool

    def words(self, hypothesis: Hypothesis, source: Sequence[str]) -> list[str]:
        """The tokens of a hypothesis that is in the order of the text."""
        words = self.side.vocabulary.decode(hypothesis.tokens)
        if self.prompts:  # given back as it was, words too that the model does not know
            new = len(words) - len(source)
            if self.side.right_to_left:
                return [*words[:new], *source]
            return [*source, *words[len(source) :]]
        if self.dictionary is None or hypothesis.attention is None:
            return words
        links = links_of(hypothesis.attention)
        return replace_unknown(hypothesis.tokens, words, links, source, self.dictionary)

    def text(self, words: Sequence[str], line: str, source: Sequence[str]) -> str:
        """Tokens as text, a prompt as its line has it; not detokenized, with blanks between."""
        if not self.detokenize:
            return " ".join(words)
        if not self.prompts:
            return self.side.tokenizer.decode(list(words))
        before, count = self.side.right_to_left, len(words) - len(source)
        new = words[:count] if before else words[len(source) :]
        return with_prompt(self.side.tokenizer, line, source, new, before)


def _translate_batch(
    scorer: Scorer,
    search: Search,
    lines: _Lines,
    indices: Sequence[int],
    wording: _Wording,
) -> Iterator[Translation]:
    """The translations of some lines of a chunk: all empty, or none."""
    numbers = [lines.first + index for index in indices]
    chosen = [lines.rows[index] for index in indices]
    found: Sequence[Sequence[Hypothesis]] = [[EMPTY]] * len(indices)
    source = None
    if scorer.source.absent:
        nothing = make_source([[]] * len(chosen), numbers)
        source = replace(nothing, prefixes=tuple(map(tuple, chosen)))
    elif chosen[0]:
        source = make_source(chosen, numbers)
    if source is not None:
        with out_of_memory_errors(describe_lines(numbers, max(map(len, chosen)))):
            found = search(scorer, source)
    for number, index, group in zip(numbers, indices, found, strict=True):
        hypotheses = [_in_text_order(hypothesis, scorer.target) for hypothesis in group]
        source_words = lines.words[index]
        words = tuple(tuple(wording.words(h, source_words)) for h in hypotheses)
        text = lines.texts[index]
        texts = tuple(wording.text(one, text, source_words) for one in words)
        yield Translation(number, text, tuple(hypotheses), tuple(source_words), words, texts)


def _in_text_order(hypothesis: Hypothesis, target: TextSide) -> Hypothesis:
    """A hypothesis of a model that may predict from right to left, as a reader has it."""
    if not target.right_to_left:
        return hypothesis
    places = target.places(len(hypothesis.token_log_probs))
    attention = hypothesis.attention
    return replace(
        hypothesis,
        tokens=hypothesis.tokens[::-1],
        token_log_probs=tuple(hypothesis.token_log_probs[place] for place in places),
        attention=None if attention is None else attention[places],
    )

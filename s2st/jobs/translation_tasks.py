"""Translation of lines as tasks of the work queue: tokenize, batch, search, detokenize.

For a language model, which has no source, an input line is a prompt: the first words of its output.
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
from s2st.rescoring.text_mismatch_check import UnknownWords
from s2st.scoring.base import Scorer, TextSide
from s2st.search.base import Hypothesis, Search
from s2st.text.prompt_continuation import with_prompt

log = logging.getLogger("s2st")
MAX_PADDED_TOKENS = 20_000  # per batch: limits the encoder's memory on very long lines
MAX_ROWS = 2048  # hypotheses per batch (or one sentence's, if more): limits memory of wide beams


@dataclass(frozen=True)
class Translation:
    """One input line and its hypotheses, best first. An empty source has one empty hypothesis.

    Attributes:
        line: index of the line from 0.
        source: the line.
        hypotheses: the hypotheses, their tokens in the order of the text.
        source_words: the line's tokens.
        words: tokens of each hypothesis, with unknown words replaced if the options ask for it.
        texts: text of each hypothesis.
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
    """Yield the translation of each line, in order; see `plan`."""
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
    """Yield the tasks of each chunk of lines; a task is one batch.

    Computing a task raises OutOfMemoryError, which names the lines.

    Args:
        scorer: the model or ensemble.
        search: the search strategy.
        chunks: lines; those of one chunk are sorted by length and cut into batches.
        batch_size: largest number of sentences per batch; None leaves it to the limits of memory.
        detokenize: whether to detokenize the output; else tokens are joined by spaces.
        dictionary: translations for unknown words, which needs attention; None keeps unknown words.
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
    """A chunk of the input, tokenized.

    Attributes:
        first: index of the first line in the input.
        texts: the lines.
        words: tokens of each line.
        rows: ids of each line: a source, or a prompt in the model's direction.
    """

    first: int
    texts: Sequence[str]
    words: Sequence[list[str]]
    rows: Sequence[list[int]]


@dataclass(frozen=True)
class _Wording:
    """Conversion of hypotheses to words and text.

    Attributes:
        side: vocabulary and tokenizer of the target.
        detokenize, dictionary: see `plan`.
        prompts: whether input lines are prompts of a language model.
    """

    side: TextSide
    detokenize: bool
    dictionary: Mapping[str, str] | None
    prompts: bool

    def words(self, hypothesis: Hypothesis, source: Sequence[str]) -> list[str]:
        """Return the words of a hypothesis whose tokens are in the order of the text."""
        words = self.side.vocabulary.decode(hypothesis.tokens)
        if self.prompts:  # repeat the prompt's own words, because some may be unknown to the model
            new = len(words) - len(source)
            if self.side.right_to_left:
                return [*words[:new], *source]
            return [*source, *words[len(source) :]]
        if self.dictionary is None or hypothesis.attention is None:
            return words
        links = links_of(hypothesis.attention)
        return replace_unknown(hypothesis.tokens, words, links, source, self.dictionary)

    def text(self, words: Sequence[str], line: str, source: Sequence[str]) -> str:
        """Return words as text: detokenized after the prompt's own text, or joined by spaces."""
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
    """Yield the translations of some lines of a chunk, either all empty or none."""
    numbers = [lines.first + index for index in indices]
    chosen = [lines.rows[index] for index in indices]
    found: Sequence[Sequence[Hypothesis]] = [[EMPTY]] * len(indices)
    source = None
    if scorer.source.absent:
        no_source = make_source([[]] * len(chosen), numbers)
        source = replace(no_source, prefixes=tuple(map(tuple, chosen)))
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
    """Return a hypothesis with its tokens in reading order, reversed for right-to-left models."""
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

"""Translation of lines as tasks of the work queue: tokenize, batch, search, detokenize.

For a language model, which has no source, an input line is a prompt: the first words of its output.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from s2st.data.batch import SourceBatch, make_source
from s2st.data.batch_planner import BatchingConfig, plan_in_order
from s2st.errors import describe_lines
from s2st.jobs.attention_alignments import links_of, replace_unknown
from s2st.jobs.translation_demands import Demand, Demands, prompts
from s2st.jobs.work_queue import Task, WorkQueue, in_order
from s2st.process.device import out_of_memory_errors
from s2st.rescoring.text_mismatch_check import UnknownWords
from s2st.scoring.base import Scorer, TextSide
from s2st.search.base import Hypothesis, Search
from s2st.text.prompt_joining import with_prompt
from s2st.text.vector_lines import refuse_vectors

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
    demands: Demands | None = None,
    what: str | None = "the input",
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
        demands: what the translation of each line must have.
        what: name of the lines in a warning about unknown words; None for no such warning.

    Raises:
        DataError: the files of `demands` do not fit the lines.
    """
    side = scorer.target if scorer.source.absent else scorer.source
    unknown = UnknownWords(side.vocabulary, side.tokenizer)
    wording = _Wording(scorer.target, detokenize, dictionary)
    most = max(1, MAX_ROWS // search.rows_per_sentence)
    config = BatchingConfig(batch_size=min(batch_size or most, most), max_tokens=MAX_PADDED_TOKENS)
    first = 0
    for chunk in chunks:
        refuse_vectors(chunk, side.tokenizer)
        words = [side.tokenizer.encode(line) for line in chunk]
        for line, text in zip(words, chunk, strict=True):
            unknown.add(line, text)
        rows = [side.ids(line) for line in words]
        wanted = [Demand()] * len(chunk) if demands is None else demands.take(len(chunk))
        if side is scorer.target:
            wanted = prompts(chunk, words, rows, wanted)
        lines = _Lines(first, chunk, words, rows, wanted)
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
    warnings = [
        None if what is None else unknown.warning(what),
        None if demands is None else demands.finish(),
    ]
    for warning in filter(None, warnings):
        log.warning(warning)


@dataclass(frozen=True)
class _Lines:
    """A chunk of the input, tokenized.

    Attributes:
        first: index of the first line in the input.
        texts: the lines.
        words: tokens of each line.
        rows: ids of each line: a source, or a prompt in the model's direction.
        demands: what the translation of each line must have.
    """

    first: int
    texts: Sequence[str]
    words: Sequence[list[str]]
    rows: Sequence[list[int]]
    demands: Sequence[Demand]


@dataclass(frozen=True)
class _Wording:
    """Conversion of hypotheses to words and text.

    Attributes:
        side: vocabulary and tokenizer of the target.
        detokenize, dictionary: see `plan`.
    """

    side: TextSide
    detokenize: bool
    dictionary: Mapping[str, str] | None

    def words(
        self, hypothesis: Hypothesis, source: Sequence[str], prefix: Sequence[str]
    ) -> list[str]:
        """Return the words of a hypothesis whose tokens are in the order of the text."""
        words = self.side.vocabulary.decode(hypothesis.tokens)
        if self.dictionary is not None and hypothesis.attention is not None:
            links = links_of(hypothesis.attention)
            words = replace_unknown(hypothesis.tokens, words, links, source, self.dictionary)
        # repeat the prefix's own words, because some may be unknown to the model
        if self.side.right_to_left:
            return [*words[: len(words) - len(prefix)], *prefix]
        return [*prefix, *words[len(prefix) :]]

    def text(self, words: Sequence[str], demand: Demand) -> str:
        """Return words as text: detokenized after the prefix's own text, or joined by spaces."""
        if not self.detokenize:
            return " ".join(words)
        if demand.prefix is None:
            return self.side.tokenizer.decode(list(words))
        prefix, before = demand.prefix_words, self.side.right_to_left
        new = words[: len(words) - len(prefix)] if before else words[len(prefix) :]
        return with_prompt(self.side.tokenizer, demand.prefix, prefix, new, before)


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
        source = make_source([[]] * len(chosen), numbers)
    elif chosen[0]:
        source = make_source(chosen, numbers)
    demands = [lines.demands[index] for index in indices]
    if source is None:  # an empty line stays empty
        demands = [Demand()] * len(indices)
    else:
        source = _demanding(source, demands)
        with out_of_memory_errors(describe_lines(numbers, max(map(len, chosen)))):
            found = search(scorer, source)
    for number, index, group, demand in zip(numbers, indices, found, demands, strict=True):
        hypotheses = [_in_text_order(hypothesis, scorer.target) for hypothesis in group]
        source_words = lines.words[index]
        prefix = demand.prefix_words
        words = tuple(tuple(wording.words(h, source_words, prefix)) for h in hypotheses)
        texts = tuple(wording.text(one, demand) for one in words)
        yield Translation(
            number, lines.texts[index], tuple(hypotheses), tuple(source_words), words, texts
        )


def _demanding(source: SourceBatch, demands: Sequence[Demand]) -> SourceBatch:
    """Return the sources with the prefixes and phrases of their hypotheses."""
    prefixes = tuple(demand.prefix_ids for demand in demands)
    constraints = tuple(demand.phrases for demand in demands)
    return replace(
        source,
        prefixes=prefixes if any(prefixes) else (),
        constraints=constraints if any(constraints) else (),
    )


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

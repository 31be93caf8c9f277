"""Word alignments of sentence pairs, from a file, a lexicon, or a model with attention."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import torch

from s2st.analysis.attention_map import forced_map
from s2st.analysis.source_gradients import Differentiable
from s2st.errors import DataError
from s2st.jobs.attention_alignments import links_of, require_attention
from s2st.lexicon.lexicon_files import read_lexicon
from s2st.scoring.load_scorers import load_scorer
from s2st.text.line_files import read_aligned
from s2st.text.word_alignments import Links, read_alignments, word_spans


@dataclass(frozen=True)
class Pair:
    """A sentence pair.

    Attributes:
        number: the number of the line, from 1.
        source, target: the lines.
        links: its word alignment; None without alignments.
        where: the file of the links, for messages.
        tokens: the source and the target tokens that the links count; empty if they count words.
    """

    number: int
    source: str
    target: str
    links: Links | None = None
    where: str = ""
    tokens: tuple[tuple[str, ...], ...] = ()


def read_pairs(source: str, target: str, alignments: str | None) -> Iterator[Pair]:
    """Yield the pairs of lines with their links.

    Raises:
        InputMissingError, DataError: the files cannot be read, or differ in length.
    """
    lines = read_aligned([source, target])
    if alignments is None:
        yield from (Pair(number, pair[0], pair[1]) for number, pair in enumerate(lines, start=1))
        return
    rows = zip_longest(lines, read_alignments(alignments))
    for number, (texts, links) in enumerate(rows, start=1):
        if texts is None or links is None:
            short, other = (source, alignments) if texts is None else (alignments, source)
            raise DataError(f"ends after {number - 1} lines, but {other} has more", short, number)
        yield Pair(number, texts[0], texts[1], links, alignments)


def add_links(
    pairs: Sequence[Pair],
    model: Differentiable,
    lexicon: str | None,
    aligner: str | None,
    device: torch.device,
) -> list[Pair]:
    """Return the pairs with links from a lexicon or from attention, where one is given.

    With a lexicon, a target word is linked to the source word of the highest p(target | source),
    the first one of equals. A target word without a translation pair in the lexicon has no link.

    Args:
        pairs: the sentence pairs.
        model: the model whose tokens the links count.
        lexicon: a file of `s2st train-lexicon`, Moses or fast_align.
        aligner: a checkpoint of a model with attention.
        device: where the aligner runs.

    Raises:
        InputMissingError, DataError, CheckpointError: the file or the model cannot be used.
        UsageError: the model has no attention.
    """
    if lexicon is not None:
        return _by_lexicon(pairs, model, lexicon)
    if aligner is None:
        return list(pairs)
    scorer = load_scorer([aligner], device)
    require_attention(scorer, "--aligner")
    found = []
    for pair in pairs:
        sides = (scorer.source, pair.source), (scorer.target, pair.target)
        tokens = tuple(tuple(side.tokenizer.encode(line)) for side, line in sides)
        links: Links = ()
        if all(tokens):
            links = links_of(forced_map(scorer, pair.source, pair.target).weights)
        found.append(replace(pair, links=links, where=aligner, tokens=tokens))
    return found


def _by_lexicon(pairs: Sequence[Pair], model: Differentiable, path: str) -> list[Pair]:
    vocabularies = model.source.vocabulary, model.target.vocabulary
    table = read_lexicon(path, *vocabularies)
    columns = table.source.tolist(), table.target.tolist(), table.values.tolist()
    values = {(s, t): value for s, t, value in zip(*columns, strict=True)}
    found = []
    for pair in pairs:
        sides = (model.source, pair.source), (model.target, pair.target)
        tokens = tuple(tuple(side.tokenizer.encode(line)) for side, line in sides)
        source, target = (v.encode(words) for v, words in zip(vocabularies, tokens, strict=True))
        links = []
        for j, word in enumerate(target):
            known = [i for i, other in enumerate(source) if (other, word) in values]
            if known:
                links.append((max(known, key=lambda i: values[source[i], word]), j))
        found.append(replace(pair, links=tuple(links), where=path, tokens=tokens))
    return found


def spans_of(pair: Pair, model: Differentiable) -> tuple[Sequence[range], Sequence[range]]:
    """Return the places of the model's tokens of each source and target word that links count.

    Raises:
        DataError: the links do not fit the tokens.
    """
    sides = (model.source, pair.source), (model.target, pair.target)
    tokens = [side.tokenizer.encode(line) for side, line in sides]
    if pair.tokens:
        if [list(words) for words in pair.tokens] != tokens:
            raise DataError(
                f"line {pair.number}: the models divide it into different tokens than the links "
                f"of {pair.where} count; align words with --word-alignments"
            )
        source, target = ([range(i, i + 1) for i in range(len(words))] for words in tokens)
    else:
        source, target = (
            word_spans(side.tokenizer, words)
            for (side, _), words in zip(sides, tokens, strict=True)
        )
    for i, j in pair.links or ():
        if i >= len(source) or j >= len(target):
            raise DataError(
                f"link {i}-{j}, but the model sees {len(source)} source and {len(target)} target "
                "words; align the text as the model's tokenizer divides it",
                pair.where, pair.number,
            )  # fmt: skip
    return source, target

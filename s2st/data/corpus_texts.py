"""Texts of named corpora: what `--trainpref`, `--validpref`, `--testpref` and `--pair` name."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from s2st.errors import UsageError
from s2st.text.compressed_input import FORMATS

NAME = re.compile(r"[\w.+-]{1,80}")  # of a corpus: part of options, messages and reports
NAMED = re.compile(r"(?:^|,)([\w.+-]{1,80})=")  # names in the value of an option
LANGUAGE = re.compile(r"\w{1,40}")  # in a pair of languages


@dataclass(frozen=True)
class CorpusText:
    """The parallel text PREFIX.SOURCE and PREFIX.TARGET of a named corpus.

    Attributes:
        name: name of the corpus.
        prefix: the common part of the file names.
        source, target: the languages, which are the suffixes of the files.
        vectors: file of the sources if they are vectors; else "".
    """

    name: str
    prefix: str
    source: str
    target: str
    vectors: str = ""


def text_file(prefix: str, language: str) -> str:
    """Return PREFIX.LANG; if only a compressed file exists, PREFIX.LANG.gz, .xz or .bz2."""
    plain = f"{prefix}.{language}"
    names = [plain, *(plain + form.suffix for form in FORMATS if form.suffix)]
    return next((name for name in names if os.path.exists(name)), plain)


@dataclass(frozen=True)
class PairTexts:
    """All texts of one language pair.

    Attributes:
        source, target: the languages.
        train, valid, test: the corpora of the splits.
    """

    source: str
    target: str
    train: tuple[CorpusText, ...]
    valid: tuple[CorpusText, ...]
    test: tuple[CorpusText, ...]


def corpus_texts(
    option: str, values: Sequence[str], source: str, target: str
) -> tuple[CorpusText, ...]:
    """Return the texts that an option names.

    A value is PREFIX or NAME=PREFIX; one value can hold several, separated by commas. If a file
    PREFIX.TARGET exists for a whole value, the value is one prefix, whatever it contains. The
    default name of a corpus is the last part of its prefix. Corpora with equal last parts, as in
    `news/train` and `talks/train`, are named after their folders.

    Args:
        option: name of the option, for messages.
        values: what the user gave.
        source, target: the languages of all texts.

    Raises:
        UsageError: an empty prefix, a name that is not valid, or two corpora with one name.
    """
    named = [pair for value in values for pair in _parts(option, value, target)]
    ends = Counter(PurePath(prefix).name for name, prefix in named if not name)
    texts = []
    for name, prefix in named:
        path = PurePath(prefix)
        default = path.name if ends[path.name] == 1 else path.parent.name or path.name
        texts.append(CorpusText(name or default, prefix, source, target))
    _check_distinct(option, texts)
    return tuple(texts)


def with_vectors(texts: PairTexts, files: Sequence[str]) -> PairTexts:
    """Return texts whose sources are vectors in files; unchanged without files.

    Args:
        texts: the texts of a pair.
        files: one for each text, in the order of training, validation and test.

    Raises:
        UsageError: another number of files.
    """
    if not files:
        return texts
    every = [*texts.train, *texts.valid, *texts.test]
    if len(files) != len(every):
        names = ", ".join(text.prefix for text in every)
        raise UsageError(
            f"--source-vectors is given {len(files)} times, but there are {len(every)} texts "
            f"({names}); give one file for each text, in this order"
        )
    named = iter(replace(text, vectors=file) for text, file in zip(every, files, strict=True))
    splits = [tuple(next(named) for _ in split) for split in (texts.train, texts.valid, texts.test)]
    return PairTexts(texts.source, texts.target, *splits)


def texts_of_pairs(options: Mapping[str, Sequence[str]]) -> tuple[PairTexts, ...]:
    """Return the texts of several language pairs, each value being SOURCE-TARGET:TEXTS.

    TEXTS are the values of `corpus_texts`. A pair's only corpus without a name gets the name of the
    pair; another default name begins with the pair.

    Args:
        options: values by option, for training, validation and test in this order.

    Raises:
        UsageError: a value without a pair, a pair without training text, or as `corpus_texts`.
    """
    sorted_values = [_by_pair(option, values) for option, values in options.items()]
    training = sorted_values[0]
    found = []
    for pair in training:
        splits = []
        for option, values in zip(options, sorted_values, strict=True):
            unknown = next((other for other in values if other not in training), None)
            if unknown is not None:
                raise UsageError(
                    f"{option}: there is no training text of the pair {'-'.join(unknown)}"
                )
            texts = corpus_texts(option, values.get(pair, ()), *pair)
            splits.append(_named_after_pair(texts, values.get(pair, ())))
        found.append(PairTexts(*pair, *splits))
    for index, option in enumerate(options):
        _check_distinct(option, [t for p in found for t in (p.train, p.valid, p.test)[index]])
    return tuple(found)


def _by_pair(option: str, values: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Return the values of an option without their pairs, by pair in order of first use."""
    found: dict[tuple[str, str], list[str]] = {}
    for value in values:
        pair, colon, texts = value.partition(":")
        source, _, target = pair.partition("-")
        if not (colon and LANGUAGE.fullmatch(source) and LANGUAGE.fullmatch(target)):
            raise UsageError(
                f"{option} {value}: expected SOURCE-TARGET:PREFIX, such as en-fr:data/train; a "
                "language has letters, digits and _ only"
            )
        if source == target:
            raise UsageError(f"{option} {value}: the two languages must differ")
        found.setdefault((source, target), []).append(texts)
    return found


def _named_after_pair(
    texts: tuple[CorpusText, ...], values: Sequence[str]
) -> tuple[CorpusText, ...]:
    given = {name for value in values for name in NAMED.findall(value)}
    pair = "-".join((texts[0].source, texts[0].target)) if texts else ""
    if len(texts) == 1 and texts[0].name not in given:
        return (replace(texts[0], name=pair),)
    return tuple(t if t.name in given else replace(t, name=f"{pair}.{t.name}") for t in texts)


def _check_distinct(option: str, texts: Sequence[CorpusText]) -> None:
    for name, count in Counter(text.name for text in texts).items():
        if count > 1:
            raise UsageError(
                f"{option}: two corpora have the name {name!r}; name them by NAME=PREFIX"
            )


def _parts(option: str, value: str, language: str) -> Iterator[tuple[str, str]]:
    """Yield the name, "" without one, and the prefix of each corpus that a value names."""
    whole = os.path.exists(text_file(value, language))
    for part in [value] if whole else value.split(","):
        name, sign, prefix = part.partition("=")
        if whole or not sign or os.path.exists(text_file(part, language)):
            name, prefix = "", part
        elif not NAME.fullmatch(name):
            raise UsageError(
                f"{option} {part}: the name of a corpus has letters, digits and . _ + - only"
            )
        if not prefix:
            raise UsageError(f"{option} {value}: an empty prefix")
        yield name, prefix

"""Parsers of n-best lists of neural toolkits: JSON of s2st and Sockeye, output of fairseq."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from s2st.errors import DataError
from s2st.options.option_fields import load_json
from s2st.text.line_files import split_words
from s2st.text.nbest_entries import (
    MAX_HYPOTHESIS,
    Entries,
    NBestEntry,
    Numbered,
    Wanted,
    escape_bars,
    is_id,
    parse_number,
)

MAX_RECORD = 1 << 24  # characters of a JSON record, which takes up to 25 bytes each in memory
LOG_PROB = "LogProb"
_TAGGED = re.compile(r"([A-Z])-([0-9]+)(?:_[0-9]+)?\t(.*)", re.DOTALL)
_LOG = re.compile(
    r"\s*$|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} \| |\| |Namespace\(|Generate |Translated |NOTE:"
)


def is_fairseq(text: str) -> bool:
    """Whether a line is one of fairseq-generate's: tagged, or of its log."""
    return bool(_TAGGED.match(text) or (text.strip() and _LOG.match(text)))


# JSON


def read_s2st(lines: Numbered, path: str, wanted: Wanted, first: str) -> Entries:
    """Yield the entries of `s2st generate --format json`."""
    for number, text, record in _records(lines, path):
        identifier = _whole(record, "line", path, number)
        if wanted is not None and not wanted(identifier):
            continue
        size = len(text)
        hypotheses = record.get("hypotheses")
        if not isinstance(hypotheses, list):
            raise DataError("no list of 'hypotheses'", path, number)
        for item in hypotheses:
            if not isinstance(item, dict):
                raise DataError("a hypothesis is not a JSON object", path, number)
            features: tuple[tuple[str, tuple[float, ...]], ...] = ()
            if "log_prob" in item:
                features = ((LOG_PROB, (_number(item["log_prob"], "log_prob", path, number),)),)
            total = _number(item.get("score"), "score", path, number)
            words = _words(item.get("text"), "text", path, number)
            yield NBestEntry(identifier, words, features, total, (), number), size
            size = 0


def read_sockeye(lines: Numbered, path: str, wanted: Wanted, first: str) -> Entries:
    """Yield the entries of Sockeye's JSON output.

    Sockeye's scores are negative log-probabilities. It numbers sentences from 1; a file whose
    first number is 0 comes from a program that numbers them from 0.
    """
    start: int | None = None
    for number, text, record in _records(lines, path):
        identifier = _whole(record, "sentence_id", path, number)
        if start is None:
            start = min(identifier, 1)
        if identifier < start:
            raise DataError(f"sentence_id {identifier} in a file that counts from 1", path, number)
        identifier -= start
        if wanted is not None and not wanted(identifier):
            continue
        texts, scores = record.get("translations"), record.get("scores")
        if texts is None:
            texts, scores = [record.get("translation")], [record.get("score")]
        if not isinstance(texts, list) or not isinstance(scores, list):
            raise DataError("'translations' or 'scores' is not a list", path, number)
        if len(texts) != len(scores):
            message = f"{len(texts)} translations, but {len(scores)} scores"
            raise DataError(message, path, number)
        size = len(text)
        for hypothesis, score in zip(texts, scores, strict=True):
            # with target factors, a score is a list; the first one belongs to the words
            value = score[0] if isinstance(score, list) and score else score
            total = -_number(value, "score", path, number)
            words = _words(hypothesis, "translation", path, number)
            yield NBestEntry(identifier, words, (), total, (), number), size
            size = 0


def _records(lines: Numbered, path: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield line number, text and JSON object of each line that is not blank."""
    for number, text in lines:
        if not text or text.isspace():
            continue
        if len(text) > MAX_RECORD:
            message = f"a record of {len(text):,} characters; the most is {MAX_RECORD:,}"
            raise DataError(message, path, number)
        try:
            record = load_json(text)
        except ValueError as error:  # JSONDecodeError has `msg`, which does not show the text
            reason = getattr(error, "msg", "nested too deeply, or a number of too many digits")
            raise DataError(f"not a JSON record ({reason})", path, number) from None
        if not isinstance(record, dict):
            raise DataError("not a JSON object", path, number)
        yield number, text, record


def _whole(record: dict[str, Any], key: str, path: str, line: int) -> int:
    """Return a sentence number; a digit string is accepted, which Sockeye writes for some ids."""
    value = record.get(key)
    text = value if isinstance(value, str) else repr(value) if type(value) is int else ""
    if not is_id(text):
        shown = "nothing" if value is None else repr(value)[:40]
        raise DataError(f"{key!r} is {shown}, not a whole number of at least 0", path, line)
    return int(text)


def _number(value: Any, key: str, path: str, line: int) -> float:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    shown = "missing" if value is None else f"{str(value)[:40]!r}, not a number"
    raise DataError(f"{key!r} is {shown}", path, line)


def _words(value: Any, key: str, path: str, line: int) -> str:
    """Return the words of a hypothesis, separated by single spaces."""
    if not isinstance(value, str):
        raise DataError(f"{key!r} is {'missing' if value is None else 'not text'}", path, line)
    if len(value) > MAX_HYPOTHESIS:
        message = f"its field hypothesis has {len(value):,} characters, the most is "
        raise DataError(f"{message}{MAX_HYPOTHESIS:,}", path, line)
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise DataError(f"{key!r} has half of a surrogate pair, which is no letter", path, line)
    return escape_bars(" ".join(split_words(value)))


# fairseq


def read_fairseq(lines: Numbered, path: str, wanted: Wanted, first: str) -> Entries:
    """Yield the entries of fairseq-generate's output: its H, P and A lines.

    The score of an H line becomes the total, in nats; fairseq writes bits. The sum of a P line,
    the log-probability of the hypothesis, becomes the feature LogProb. Links of an A line become
    an extra field.
    """
    entry: NBestEntry | None = None
    size = 0
    for number, text in lines:
        match = _TAGGED.match(text)
        if match is None:
            if not _LOG.match(text):
                raise DataError(
                    "not a line of fairseq-generate, such as 'H-0<tab>...'", path, number
                )
            continue
        tag, identifier, content = match.groups()
        if not is_id(identifier):
            raise DataError(f"id {identifier[:40]!r} has too many digits", path, number)
        if tag == "H":
            if entry is not None:
                yield entry, size
            entry = None
            if wanted is None or wanted(int(identifier)):
                entry, size = _fairseq_entry(int(identifier), content, path, number), len(text)
        elif entry is not None and int(identifier) == entry.id:
            size += len(content) if tag in "PA" else 0
            if tag == "P":
                scores = (_bits(word, path, number) for word in split_words(content))
                entry = replace(entry, features=((LOG_PROB, (math.fsum(scores),)),))
            elif tag == "A":
                entry = replace(entry, extra=(escape_bars(" ".join(split_words(content))),))
    if entry is not None:
        yield entry, size


def _fairseq_entry(identifier: int, content: str, path: str, line: int) -> NBestEntry:
    score, _, hypothesis = content.partition("\t")
    total = _bits(score.strip(), path, line)
    words = _words(hypothesis, "hypothesis", path, line)
    return NBestEntry(identifier, words, (), total, (), line)


def _bits(text: str, path: str, line: int) -> float:
    """Return a log-probability in nats; the text gives bits."""
    number = parse_number(text)
    if number is None:
        raise DataError(f"score {text[:40]!r} is not a number", path, line)
    return number * math.log(2)

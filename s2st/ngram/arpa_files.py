r"""Reading of ARPA files, the text format of n-gram models: log10 probabilities and backoffs.

Files are read as KenLM reads them: `<UNK>` means `<unk>`, whose log10 probability is -100 if the
file lacks it; missing backoff weights are 0; text before `\data\` is ignored. s2st writes a comment
there that records the tokenizer. The first words of every n-gram must be an n-gram of the section
before, as in every file that a program wrote.
"""

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from s2st.errors import DataError, S2STError
from s2st.ngram.lookup_tables import Floats, Keys, NGrams, Order, find
from s2st.options.option_fields import load_json
from s2st.text.line_files import read_lines, split_words
from s2st.text.tokenizer_files import recorded_config
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, SPECIALS, UNK_ID, Vocabulary

SUFFIXES = (".arpa", ".arpa.gz")  # of files that s2st writes
READ = (*SUFFIXES, ".arpa.xz", ".arpa.bz2")
MISSING_UNK = -100.0  # KenLM's, log10
LOG10_OF_ZERO = -99.0  # what ARPA files write for the probability 0, by SRILM's convention
MAX_LOG10 = 1e30  # of a number, with its sign; sums of them are finite in single precision
MAX_ORDERS = 20
COMMENT = "# s2st tokenizer "
MAX_COMMENTS = 100  # lines before the data that may contain the comment
BLOCK = 1 << 14  # lines parsed together


def is_arpa(path: str | Path) -> bool:
    """Whether a path names an ARPA file, by its suffix; a folder does not."""
    return str(path).endswith(READ) and not Path(path).is_dir()


def read_arpa(path: str | Path) -> NGrams:
    """Read an ARPA file, plain or compressed.

    Raises:
        InputMissingError: it cannot be read.
        DataError: it is damaged, truncated or not an ARPA file; the message names the line.
    """
    return read_model(path)[0]


def read_model(path: str | Path) -> tuple[NGrams, TokenizerSpec]:
    """Read an ARPA file's n-grams and its recorded tokenizer, which is without a trained model.

    A file without a record has the tokenizer `none`. Raises as `read_arpa`.
    """
    reader = _Reader(str(path))
    return reader.read(), reader.tokenizer


def tokenizer_comment(spec: TokenizerSpec) -> str:
    """Return the line that records the tokenizer; "" for the default, `none`."""
    if spec == TokenizerSpec(spec.name, NoneConfig(), spec.language):
        return ""
    return f"{COMMENT}{json.dumps(spec.record(), ensure_ascii=False)}\n"


def read_words(path: str | Path) -> tuple[Vocabulary, TokenizerSpec]:
    """Read the words of an ARPA file, numbered as by `read_arpa`, and its recorded tokenizer.

    The n-grams are skipped, but the file is read to its end, so that its checksum is verified.
    """
    reader = _Reader(str(path))
    reader.read_single()
    reader.skip_ngrams()
    return reader.vocabulary(), reader.tokenizer


class _Reader:
    """One pass over the file.

    Attributes:
        line: number of the last line read.
        tokenizer: the recorded tokenizer, once the header is read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.line = 0
        self.tokenizer = TokenizerSpec("none", NoneConfig(), "")
        self._lines = read_lines(path)
        self._index = {"<UNK>": UNK_ID, **{word: i for i, word in enumerate(SPECIALS)}}

    def read(self) -> NGrams:
        single, counts = self.read_single()
        orders = [single]
        for order, count in enumerate(counts[1:], start=2):
            self._expect(f"\\{order}-grams:")
            orders.append(self._section(order, count, orders))
        orders[-1] = replace(orders[-1], backoffs=np.empty(0))  # the longest n-grams need none
        self._expect("\\end\\")
        self._expect_end()
        return NGrams(self.vocabulary(), tuple(orders))

    def read_single(self) -> tuple[Order, list[int]]:
        """Read the single words; return them and the promised number of n-grams by order."""
        counts = self._header()
        self._expect("\\1-grams:")
        return self._words(counts[0]), counts

    def skip_ngrams(self) -> None:
        """Read to the end of the file without parsing."""
        for line in self._lines:
            self.line += 1
            if line.strip() == "\\end\\":
                self._expect_end()
                return
        raise self._fail("the file ends before \\end\\: truncated?")

    def vocabulary(self) -> Vocabulary:
        """Return the words read so far."""
        words = [word for word, i in self._index.items() if i >= len(SPECIALS)]
        return Vocabulary(words, [1] * len(words))

    def _next(self) -> str | None:
        line = next(self._lines, None)
        self.line += 1
        return line

    def _fail(self, message: str, line: int | None = None) -> DataError:
        return DataError(message, self.path, self.line if line is None else line)

    def _expect(self, header: str) -> None:
        """Skip blank lines up to a header."""
        while True:
            line = self._next()
            if line is None:
                raise self._fail(f"the file ends before {header}: truncated?")
            if line.strip() == header:
                return
            if line.strip():
                raise self._fail(f"expected {header}, not {line[:60]!r}")

    def _expect_end(self) -> None:
        """Read blank lines to the end of the file, so that its checksum is verified."""
        for line in self._lines:
            self.line += 1
            if line.strip():
                raise self._fail(f"text after \\end\\: {line[:60]!r}")

    def _header(self) -> list[int]:
        line: str | None = ""
        while line is not None and line.strip() != "\\data\\":
            line = self._next()
            if line is not None and line.startswith(COMMENT) and self.line <= MAX_COMMENTS:
                self.tokenizer = self._recorded_tokenizer(line[len(COMMENT) :])
        if line is None:
            raise DataError("not an ARPA file: there is no line \\data\\", self.path)
        counts: list[int] = []
        while True:
            line = self._next()
            text = "" if line is None else line.strip()
            if line is None or (not text and counts):
                break
            if not text:
                continue
            order, _, count = text.removeprefix("ngram ").partition("=")
            if not (text.startswith("ngram ") and _is_count(count) and _is_count(order)):
                raise self._fail(f"expected `ngram N=count`, not {text[:60]!r}")
            if int(order) != len(counts) + 1 or int(order) > MAX_ORDERS:
                raise self._fail(f"expected order {len(counts) + 1}, not {order}")
            counts.append(int(count))
        if not counts:
            raise self._fail("no counts (ngram 1=...) after \\data\\")
        return counts

    def _recorded_tokenizer(self, text: str) -> TokenizerSpec:
        """Parse the comment that records the tokenizer."""
        try:
            record = load_json(text)
            name, options = record["name"], record["options"]
            config = recorded_config(name, options, self.path)
            return TokenizerSpec(name, config, str(record["language"]))
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
            S2STError,
        ) as error:
            raise self._fail("the comment names no known tokenizer") from error

    def _blocks(self, order: int, count: int) -> Iterator[tuple[list[str], int]]:
        """Yield the lines of a section in blocks, each with the number of its first line."""
        left = count
        while left:
            first = self.line + 1
            block = list(islice(self._lines, min(left, BLOCK)))
            self.line += len(block)
            if "" in block:
                blank = first + block.index("")
                actual = count - left + block.index("")
                raise self._fail(f"{actual} {order}-grams, but ngram {order}={count}", blank)
            if not block:
                raise self._fail(f"the file ends within the {order}-grams: truncated?")
            left -= len(block)
            yield block, first

    def _words(self, count: int) -> Order:
        """Read the section of single words, and number the words."""
        words: list[str] = []
        log_probs, backoffs = array("d"), array("d")
        for block, first in self._blocks(1, count):
            columns = _columns(block, 1)
            if columns is None:
                raise self._find_fault(block, first, 1)
            words += columns[0]
            log_probs.extend(columns[1].tolist())
            backoffs.extend(columns[2].tolist())
        begin, seen = self.line - count + 1, set()
        ids = np.empty(count, dtype=np.int64)
        for place, word in enumerate(words):
            ids[place] = number = self._index.setdefault(word, len(self._index) - 1)
            if number in seen:
                raise self._fail(f"{word[:80]!r} occurs twice", begin + place)
            seen.add(number)
        for name, number in (("<s>", BOS_ID), ("</s>", EOS_ID)):
            if number not in seen:
                raise self._fail(f"{name} is not among the words")
        size = len(self._index) - 1
        values = np.full(size, -np.inf), np.zeros(size)
        values[0][UNK_ID] = MISSING_UNK
        values[0][ids], values[1][ids] = np.array(log_probs), np.array(backoffs)
        values[0][PAD_ID] = -np.inf
        return Order(np.arange(size), values[0], values[1])

    def _section(self, order: int, count: int, shorter: list[Order]) -> Order:
        """Read the section of an order above 1."""
        parts: list[tuple[Keys, Floats, Floats]] = []
        begin = self.line + 1
        for block, first in self._blocks(order, count):
            columns = _columns(block, order)
            if columns is None:
                raise self._find_fault(block, first, order)
            try:
                numbers = map(self._index.__getitem__, columns[0])
                ids = np.fromiter(numbers, np.int64, len(columns[0]))
            except KeyError as error:
                raise self._find_fault(block, first, order) from error
            table = ids.reshape(-1, order)
            context = table[:, 0]
            for length in range(1, order - 1):
                context = find(
                    shorter[length].keys, context * len(shorter[0].keys) + table[:, length]
                )
                if (context < 0).any():
                    place = int((context < 0).argmax())
                    words = " ".join(columns[0][order * place :][: length + 1])[:80]
                    message = f"its first words {words!r} are not among the {length + 1}-grams"
                    raise self._fail(message, first + place)
            parts.append((context * len(shorter[0].keys) + table[:, -1], columns[1], columns[2]))
        if not parts:
            return Order(np.empty(0, np.int64), np.empty(0), np.empty(0))
        keys, log_probs, backoffs = (np.concatenate(column) for column in zip(*parts, strict=True))
        parts.clear()
        rising = keys.argsort(kind="stable")
        keys = keys[rising]
        if (twice := keys[1:] == keys[:-1]).any():
            raise self._fail("this n-gram occurs twice", begin + int(rising[1:][twice].min()))
        return Order(keys, log_probs[rising], backoffs[rising])

    def _find_fault(self, block: list[str], first: int, order: int) -> DataError:
        """Return the error of the first bad line of a block."""
        for number, line in enumerate(block, start=first):
            if line.lstrip().startswith("\\"):
                return self._fail(f"{line[:40]!r} comes before the last {order}-gram", number)
            fields = _fields(line, order)
            if fields is None:
                return self._fail(f"expected a log10 probability and {order} words", number)
            words, log_prob, backoff = fields
            if _number(log_prob) > 0:  # also true for nan, which reads as inf
                return self._fail(f"{log_prob[:40]!r} is not a log10 probability", number)
            if not math.isfinite(_number(backoff)):
                return self._fail(f"{backoff[:40]!r} is not a log10 backoff weight", number)
            for word in words:
                if order > 1 and word not in self._index:
                    return self._fail(f"{word[:80]!r} is not among the single words", number)
        raise AssertionError("a block that does not parse has a bad line")


def _columns(block: list[str], order: int) -> tuple[list[str], Floats, Floats] | None:
    """Return words (in one list), log_probs and backoffs of lines; None if a line is bad."""
    rows = [line.split("\t") for line in block]
    widths = set(map(len, rows))
    if widths != {2} and widths != {3}:
        return _slow_columns(block, order)
    words = " \n ".join([row[1] for row in rows]).split(" ")
    between = slice(order, None, order + 1)  # required positions of the line ends
    whole = len(words) == len(rows) * (order + 1) - 1
    if not whole or words[between].count("\n") != len(rows) - 1 or "" in words:
        return _slow_columns(block, order)
    del words[between]
    backoffs = [row[2] for row in rows] if widths == {3} else ["0"] * len(rows)
    return _numbers(words, [row[0] for row in rows], backoffs)


def _slow_columns(block: list[str], order: int) -> tuple[list[str], Floats, Floats] | None:
    """Like `_columns`, for lines that are not separated by tabs and single spaces."""
    words: list[str] = []
    log_probs, backoffs = [], []
    for line in block:
        fields = _fields(line, order)
        if fields is None:
            return None
        words += fields[0]
        log_probs.append(fields[1])
        backoffs.append(fields[2])
    return _numbers(words, log_probs, backoffs)


def _numbers(
    words: list[str], log_probs: list[str], backoffs: list[str]
) -> tuple[list[str], Floats, Floats] | None:
    try:
        values = tuple(np.fromiter(map(float, texts), float) for texts in (log_probs, backoffs))
    except ValueError:
        return None
    finite = all((np.abs(column) <= MAX_LOG10).all() for column in values)  # nan is not
    return (words, values[0], values[1]) if finite and (values[0] <= 0).all() else None


def _fields(line: str, order: int) -> tuple[list[str], str, str] | None:
    """Return words, log_prob and backoff of a line; None unless it has `order` words."""
    cells = line.split("\t")
    if 2 <= len(cells) <= 3:
        words = split_words(cells[1])
        return (words, cells[0], (cells[2:] or ["0"])[0]) if len(words) == order else None
    fields = split_words(line)
    if not order < len(fields) < order + 3:
        return None
    return fields[1 : order + 1], fields[0], (fields[order + 1 :] or ["0"])[0]


def _number(text: str) -> float:
    """A number of a model, or inf where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return math.inf
    return value if abs(value) <= MAX_LOG10 else math.inf


def _is_count(text: str) -> bool:
    text = text.strip()
    return text.isascii() and text.isdigit() and len(text) < 16

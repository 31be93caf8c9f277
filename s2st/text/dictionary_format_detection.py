"""Recognition of other programs' vocabulary formats, for messages about dictionary files."""

import os
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2st.errors import InputMissingError
from s2st.text.line_files import open_input, split_words

HEAD_BYTES = 1 << 14
HEAD_LINES = 50
SPECIAL_WORDS = {"<unk>", "<pad>", "<s>", "</s>", "<blank>", "<bos>", "<eos>"}
GIVE_MODEL = (
    "to `s2st preprocess` with --tokenizer sentencepiece as --source-sentencepiece or "
    "--target-sentencepiece, which includes the vocabulary"
)
GIVE_JSON = "to `s2st preprocess` with --tokenizer huggingface as --tokenizer-json"
REWRITE = "write its words as `token count` lines, most frequent first"


@dataclass(frozen=True)
class Kind:
    """A file format.

    Attributes:
        name: name of the format, with its article.
        matches: whether the first lines of a file have this format.
        remedy: what to do with such a file.
    """

    name: str
    matches: Callable[[Sequence[str]], bool]
    remedy: str


def probable_kind(path: str | Path) -> str | None:
    """Return the probable format of a file and what to do with it, as a clause; None if unknown.

    Args:
        path: a file; any but a regular file is unknown.
    """
    if not os.path.isfile(path):
        return None
    try:
        with open_input(path) as stream:
            head = stream.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error, InputMissingError):
        return None
    if head.startswith(b"\n") and b"<unk>" in head[:64]:
        return f"a SentencePiece model: give it {GIVE_MODEL}"
    if head.lstrip().startswith(b"{") and b'"added_tokens"' in head:  # one long line, or many
        return f"a tokenizer.json of Hugging Face: give it {GIVE_JSON}"
    lines = head.decode("utf-8", "replace").split("\n")
    complete = lines if len(head) < HEAD_BYTES else lines[:-1]
    first = [line.removesuffix("\r") for line in complete if line.strip()][:HEAD_LINES]
    kind = next((kind for kind in KINDS if first and kind.matches(first)), None)
    if kind is None:
        return None
    model = Path(path).with_suffix(".model")
    if kind is VOCAB and model.is_file():
        return f"{kind.name}: give {model} {GIVE_MODEL}"
    return f"{kind.name}: {kind.remedy}"


def is_json(first: str, last: str) -> bool:
    """Whether a file with this first and last line is JSON rather than `token count` lines."""
    return _opens_json(first) and last.rstrip().endswith(("}", "]"))


def _opens_json(line: str) -> bool:
    return re.fullmatch(r"""\s*[{\[]\s*(["{\[].*)?""", line) is not None


def is_numbered(lines: Sequence[str]) -> bool:
    """Whether lines have Marian's format: `word: number`, with numbers 0, 1, 2, ..."""
    ends = [line.rpartition(": ")[2] for line in lines]
    return len(lines) > 1 and ends == [str(number) for number in range(len(lines))]


def _all(pattern: str) -> Callable[[Sequence[str]], bool]:
    compiled = re.compile(pattern)
    return lambda lines: all(map(compiled.fullmatch, lines))


def _are_vectors(lines: Sequence[str]) -> bool:
    """Whether each line is a word and its numbers; word2vec writes the sizes as first line."""
    rows = lines[1:] if re.fullmatch(r"\d+ \d+", lines[0]) else lines
    return bool(rows) and _all(r"\S+( -?\d+(\.\d+)?(e[-+]?\d+)?){3,} ?")(rows)


def _scored(lines: Sequence[str]) -> bool:
    """Whether each line is `piece TAB score`; all scores except of special pieces are negative."""
    rows = [line.rpartition("\t") for line in lines]
    number = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
    scores = [score for _, tab, score in rows if tab and number.fullmatch(score)]
    return len(scores) == len(lines) and any(score.startswith("-") for score in scores)


def _has_special_words(lines: Sequence[str]) -> bool:
    return bool(SPECIAL_WORDS.intersection(re.split(r"[\t ]", line)[0] for line in lines[:10]))


def _is_text(lines: Sequence[str]) -> bool:
    return sum(len(split_words(line)) > 2 for line in lines) > len(lines) / 2


VOCAB = Kind("a SentencePiece .vocab file", _scored, f"give its .model file {GIVE_MODEL}")
KINDS = (
    VOCAB,
    Kind(
        "an n-gram model (ARPA)",
        lambda lines: "\\data\\" in lines,
        "give it as --checkpoint, or give the dictionary of its training text",
    ),
    Kind(
        "a codes file of subword-nmt",
        lambda lines: lines[0].startswith("#version:"),
        "give it to `s2st preprocess` with --tokenizer subword-nmt as --bpe-codes",
    ),
    Kind("a JSON vocabulary", lambda lines: _opens_json(lines[0]), REWRITE),
    Kind("a Marian vocabulary", is_numbered, REWRITE),
    Kind(
        "a list of words and counts separated by tabs, as OpenNMT-py writes",
        _all(r"[^\t]+\t\d+"),
        "replace the tabs with spaces",
    ),
    Kind("parallel text separated by tabs", _all(r"[^\t]*\t[^\t]*"), "give it as --tsv"),
    Kind(
        "a fairseq dictionary that overwrites its special tokens",
        lambda lines: any(line.endswith(" #fairseq:overwrite") for line in lines),
        "delete the lines that end in #fairseq:overwrite",
    ),
    Kind("a GIZA++ .vcb file", _all(r"\d+ \S+ \d+"), "write its second and third columns"),
    Kind("a list with the counts first, as `uniq -c` writes", _all(r" *\d+[ \t]\S+"),
         "put the word first"),
    Kind(
        "a file of word vectors",
        _are_vectors,
        "give it to `s2st train` as --source-embeddings or --target-embeddings",
    ),
    Kind(
        "a vocabulary with its special tokens, as JoeyNMT and OpenNMT write",
        _has_special_words,
        "delete the lines of special tokens (<unk>, <pad>, <s>, </s>), which s2st adds itself",
    ),
    Kind(
        "text, not a list of words",
        _is_text,
        "leave the dictionary out, so that `s2st preprocess` makes one from --trainpref",
    ),
)  # fmt: skip

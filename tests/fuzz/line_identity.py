"""Line i out belongs to line i in, for generate, score and rescore-nbest, over odd bytes.

Each check draws inputs from a `random.Random`, runs the program in this process, and compares
every line with what the library makes of that line alone. What a line is, is said here a second
time: bytes between b"\\n", as `wc -l` counts them, and a last one without.
"""

import contextlib
import io
import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

import torch
from parsers import save_model

from s2st.jobs.pair_scoring_tasks import PairScore, score_pairs
from s2st.jobs.translation_tasks import translate
from s2st.scoring.base import Scorer
from s2st.scoring.load_scorers import load_scorer
from s2st.search.registry import SEARCHES
from s2st.text.nbest_lists import parse_entry
from s2st_cli.main import run

WORDS = [b"a", b"b", b"c", b"d", b"e", b"f", b"v", b"w", b"x", b"y"]
ODD = [
    b"\r", b"\x00", "\u2028".encode(), "\u2029".encode(), "\u0085".encode(), b"\x0c", b"\x0b",
    b"\x1c", b"\xef\xbb\xbf", "\u00a0".encode(), "\u00e9".encode(), b"\t", b"  ", b"<s>", b"</s>",
    b"<unk>", b"||", b"zzz", b'"', b"\\n",
]  # fmt: skip
BAD = [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
SHORT = ["--max-len-a", "0", "--max-len-b", "5", "--beam", "2", "--threads", "1"]


def records_of(data: bytes) -> list[bytes]:
    """The lines of a file as `wc -l` counts them, and a last one that has no end."""
    records = data.split(b"\n")
    return records if records[-1] else records[:-1]


def texts_of(data: bytes) -> list[str | None]:
    """What the lines of a file say, None for one that is not UTF-8.

    A mark at the start and the CR of a CRLF are no part of it; a CR at the end of the file is.
    """
    texts: list[str | None] = []
    for record in records_of(data.removeprefix(b"\xef\xbb\xbf")):
        try:
            texts.append(record.decode())
        except UnicodeDecodeError:
            texts.append(None)
    if data == b"\xef\xbb\xbf":
        return [""]
    ended = len(texts) if data.endswith(b"\n") else len(texts) - 1
    cut = [text.removesuffix("\r") if text is not None else None for text in texts[:ended]]
    return cut + texts[ended:]


def draw_text(draw: Random, bad: bool) -> bytes:
    """A file of up to twelve lines: words, odd characters and, if asked, bytes that are no text."""
    lines = []
    for _ in range(draw.choice([0, 1, 2, 5, 12])):
        pieces = draw.choices(WORDS, k=draw.randrange(7))
        while draw.random() < 0.4:
            pieces.insert(draw.randint(0, len(pieces)), draw.choice(ODD))
        if bad and draw.random() < 0.1:
            pieces.append(draw.choice(BAD))
        lines.append(draw.choice([b" ", b" ", b" ", b""]).join(pieces))
    ending = draw.choice([b"\n", b"\n", b"\r\n"])
    mark = draw.choice([b"", b"", b"", b"\xef\xbb\xbf"])
    # a line's own CRs would be those of its end where that is cut off
    return mark + ending.join(lines) + (ending if draw.random() < 0.7 else b"")


@dataclass(frozen=True)
class Outcome:
    """Exit code, lines on stdout, text on stderr."""

    code: int
    lines: list[bytes]
    err: str

    def check_error(self, path: Path, line: int) -> None:
        """One line says what is wrong in that line of that file."""
        assert self.code == 65, (self.code, self.err)
        errors = [text for text in self.err.splitlines() if text.startswith("s2st: error:")]
        assert len(errors) == 1, self.err
        assert errors[0].startswith(f"s2st: error: {path}, line {line}: "), self.err


class LineIdentity:
    """The three checks, over one tiny model.

    Args:
        folder: for the model and the inputs of the present case.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "lines"
        self.folder.mkdir(parents=True)
        self.model = save_model(self.folder / "model")
        self._translations: dict[str, str] = {}

    @cached_property
    def scorer(self) -> Scorer:
        """The model, for what the library says of single lines."""
        return load_scorer([str(self.model)], torch.device("cpu"))

    def checks(self) -> dict[str, Callable[[Random], None]]:
        """The checks by name."""
        return {"generate": self.generate, "score": self.score, "rescore-nbest": self.rescore}

    def _run(self, *arguments: object) -> Outcome:
        logger = logging.getLogger("s2st")
        before = logger.propagate, logger.handlers[:], logger.level
        out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline=""), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run([str(argument) for argument in arguments])
        finally:
            logger.propagate, logger.handlers[:] = before[0], before[1]
            logger.setLevel(before[2])
        out.flush()
        data = out.buffer.getvalue()
        assert code != 0 or not data or data.endswith(b"\n")
        return Outcome(code, data.split(b"\n")[:-1], err.getvalue())

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    # generate

    def generate(self, draw: Random) -> None:
        """JSON lines and plain text: the source and the translation of each line."""
        errors = draw.choice(["strict", "replace"])
        data = draw_text(draw, bad=True)
        options = [
            "--batch-size",
            draw.choice([1, 3, 64]),
            "--buffer-size",
            draw.choice([1, 4, 99]),
        ]
        self.generate_from(data, errors, options, draw.choice(["json", "text"]))

    def generate_from(self, data: bytes, errors: str, options: Sequence[object], form: str) -> None:
        """The same of given bytes."""
        path = self._write("source", data)
        outcome = self._run(
            "generate", "--checkpoint", self.model, *SHORT, *options, "--format", form,
            "--encoding-errors", errors, path,
        )  # fmt: skip
        texts = texts_of(data)
        if errors == "strict" and None in texts:
            outcome.check_error(path, texts.index(None) + 1)
            return
        assert outcome.code == 0, outcome.err
        assert len(outcome.lines) == len(texts)
        for number, (line, text) in enumerate(zip(outcome.lines, texts, strict=True)):
            if form == "text":
                if text is not None:
                    assert line.decode() == self._alone(text), f"line {number}"
                continue
            record = json.loads(line)
            assert record["line"] == number
            if text is None:
                assert "\ufffd" in record["source"]
            else:
                assert record["source"] == text, f"line {number}"
            assert record["hypotheses"][0]["text"] == self._alone(record["source"])

    def _alone(self, text: str) -> str:
        """The translation of a line that has no neighbours."""
        if text not in self._translations:
            entry = SEARCHES.get("beam")
            config = entry.config_type(beam=2, max_len_a=0.0, max_len_b=5)
            (found,) = translate(self.scorer, entry.build(config), [[text]], 1, True)
            self._translations[text] = found.texts[0]
        return self._translations[text]

    # score

    def score(self, draw: Random) -> None:
        """JSON lines: the words and the log-probability of each pair."""
        source = draw_text(draw, draw.random() < 0.3)
        target = draw_text(draw, draw.random() < 0.3)
        if draw.random() < 0.7:  # as many lines: the last of the longer one's are left out
            rows = [records_of(source), records_of(target)]
            count = min(map(len, rows))
            source, target = (b"".join(line + b"\n" for line in row[:count]) for row in rows)
        paths = self._write("source", source), self._write("target", target)
        outcome = self._run(
            "score", "--checkpoint", self.model, "--threads", "1", "--format", "json",
            "--source", paths[0], "--target", paths[1],
        )  # fmt: skip
        texts = [texts_of(source), texts_of(target)]
        pairs = []
        for number in range(max(map(len, texts))):
            for path, row in zip(paths, texts, strict=True):
                if number < len(row) and row[number] is None:
                    outcome.check_error(path, number + 1)
                    return
            for path, row in zip(paths, texts, strict=True):
                if number >= len(row):
                    outcome.check_error(path, number + 1)
                    return
            pairs.append(tuple(str(row[number]) for row in texts))
        if not pairs:
            assert outcome.code == 65
            assert "no lines" in outcome.err
            return
        assert outcome.code == 0, outcome.err
        assert len(outcome.lines) == len(pairs)
        for number, (line, pair) in enumerate(zip(outcome.lines, pairs, strict=True)):
            record, alone = json.loads(line), self._score_alone(pair)
            assert record["line"] == number
            assert record["tokens"] == [*alone.tokens, "</s>"]
            assert math.isclose(record["log_prob"], alone.log_prob, rel_tol=1e-4, abs_tol=1e-4)

    def _score_alone(self, pair: tuple[str, ...]) -> PairScore:
        (found,) = score_pairs(self.scorer, [pair])
        return found

    # rescore-nbest

    def rescore(self, draw: Random) -> None:
        """1-best: the best of its own list; n-best: every hypothesis once, with its score."""
        source = draw_text(draw, bad=False)
        sources = texts_of(source)
        drawn = draw_lists(draw, len(sources))
        data = b"".join(entry.line() + b"\n" for entry in drawn)
        if draw.random() < 0.3:
            data = data.removesuffix(b"\n")
        paths = self._write("nbest", data), self._write("source", source)
        form = draw.choice(["1best", "nbest"])
        outcome = self._run(
            "rescore-nbest", paths[0], "--source", paths[1], "--checkpoint", self.model,
            "--threads", "1", "--weight", "Baseline=1", "--format", form,
            "--max-rows", draw.choice([1, 7, 2048]),
        )  # fmt: skip
        if not drawn:
            assert outcome.code == 65
            assert f"{paths[0]}: no lists" in outcome.err
            return
        assert outcome.code == 0, outcome.err
        if form == "1best":
            best = [best_of([e for e in drawn if e.id == i]) for i in range(len(sources))]
            assert outcome.lines == best
            return
        self._check_lists(outcome, drawn, [str(text) for text in sources])

    def _check_lists(
        self, outcome: Outcome, drawn: Sequence["DrawnEntry"], texts: Sequence[str]
    ) -> None:
        entries = [parse_entry(line.decode(), "out", i) for i, line in enumerate(outcome.lines, 1)]
        assert [entry.id for entry in entries] == sorted(entry.id for entry in drawn)
        found = Counter((e.id, e.hypothesis.encode(), e.extra, e.features[:-2]) for e in entries)
        assert found == Counter((e.id, e.words, e.extra, e.features) for e in drawn)
        for entry in entries:
            assert [name for name, _ in entry.features[-2:]] == ["Baseline", "S2ST0"]
            alone = self._score_alone((texts[entry.id], entry.hypothesis)).log_prob
            value = entry.features[-1][1][0]
            assert math.isclose(value, alone, rel_tol=1e-4, abs_tol=1e-4), entry


@dataclass(frozen=True)
class DrawnEntry:
    """A line of a made-up list, in parts."""

    id: int
    words: bytes
    total: str
    features: tuple[tuple[str, tuple[float, ...]], ...]
    extra: tuple[str, ...]

    def line(self) -> bytes:
        """As a Moses system would print it."""
        features = " ".join(
            " ".join([f"{name}=", *(f"{value:g}" for value in values)])
            for name, values in self.features
        )
        fields = [str(self.id), self.words.decode(), features, self.total, *self.extra]
        return " ||| ".join(fields).encode()


def draw_lists(draw: Random, sources: int) -> list[DrawnEntry]:
    """Lists with gaps, of up to four hypotheses."""
    drawn = []
    for number in range(sources):
        for _ in range(draw.choice([0, 0, 1, 2, 4])):
            pieces = draw.choices(WORDS, k=draw.randrange(6))
            while draw.random() < 0.4:
                odd = draw.choice(["\u2028", "\u0085", "\u00a0", "\ufeff", "\x00", "||", "\x1c"])
                pieces.insert(draw.randint(0, len(pieces)), odd.encode())
            features = tuple(
                (name, tuple(draw.choice([0.0, -1.5, 2.25]) for _ in range(draw.randrange(3))))
                for name in draw.sample(["LM0", "A_b", "\u00e9", "x#", "["], draw.randrange(3))
            )
            total = draw.choice(["-1", "-2.5", "0", "3", "nan", "-inf", "inf", "1e999", "-1e-3"])
            extra = tuple(
                draw.choice(["0-0 1-1", "", "\u2028", "x=1"]) for _ in range(draw.randrange(3))
            )
            words = b" ".join(pieces)
            if drawn and drawn[-1].id == number and draw.random() < 0.3:
                words = drawn[-1].words  # systems do repeat themselves
            drawn.append(DrawnEntry(number, words, total, features, extra))
    return drawn


def best_of(entries: Sequence[DrawnEntry]) -> bytes:
    """The words with the highest total, the first of equals; not finite is worse than any."""
    best, best_total = b"", None
    for entry in entries:
        total = float(entry.total)
        if not math.isfinite(total):
            total = -math.inf
        if best_total is None or total > best_total:
            best, best_total = entry.words, total
    return best

"""`preprocess`: parallel text to a store, streaming; memory grows with the words, not the pairs.

Training text is read once: every new word gets the next provisional id, and when the vocabulary
is known the ids on disk are rewritten as final ones in chunks.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s2st.data.array_files import ArrayWriter
from s2st.data.id_writer import SideWriter, ids_path, parts_of
from s2st.data.preprocess_options import PrepareConfig, checked, models_given
from s2st.data.preprocess_workers import Chunk, growing_index, tokenize_pairs
from s2st.data.store import FORMAT, VERSION
from s2st.errors import DataError, InputMissingError, UsageError
from s2st.process import durable_files
from s2st.process.manifest import MANIFEST, read_sealed, seal, verify_files
from s2st.process.snapshots import is_folder, once, steady
from s2st.process.worker_processes import run_in_subprocess
from s2st.text.compressed_input import FORMATS
from s2st.text.line_files import read_aligned, read_lines
from s2st.text.sentencepiece_training import train_sentencepiece
from s2st.text.tokenizers import (
    ABSENT,
    TokenizerSpec,
    load_spec,
    read_model,
    save_models,
)
from s2st.text.vocabulary import SPECIALS, UNK_ID, Vocabulary, mostly_unknown

log = logging.getLogger("s2st")
SPOOL_LINES = 1000


@dataclass(frozen=True)
class SideCounts:
    """What one side of a split holds, EOS not counted."""

    tokens: int
    unknown: int


@dataclass(frozen=True)
class SplitReport:
    """Counts of one split: pairs kept, and why training pairs were skipped."""

    name: str
    pairs: int
    source: SideCounts
    target: SideCounts
    skipped_empty: int
    skipped_long: int


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` wrote."""

    folder: Path
    source_words: int
    target_words: int
    splits: tuple[SplitReport, ...]


def prepare(config: PrepareConfig, source: TokenizerSpec, target: TokenizerSpec) -> PrepareReport:
    """Writes the store that `config` asks for.

    Args:
        config: files, vocabulary limits, destination.
        source, target: the tokenisers; a sentencepiece one without a model is trained here.

    Raises:
        UsageError: options that do not fit together.
        InputMissingError, DataError: text that is missing, unequal or not UTF-8.
        OutputError: the destination exists or cannot be written.
    """
    config = checked(config)
    final = Path(config.destdir)
    durable_files.refuse_existing(final)  # before the work, not after it
    with durable_files.new_folder(final) as folder:
        report = _Preparation(config, folder, source, target).run()
    return replace(report, folder=final)


def dictionary_tokenizer(path: str, language: str) -> TokenizerSpec | None:
    """The tokenizer that goes with `--srcdict`/`--tgtdict FOLDER`; None for a plain file."""
    return read_dictionary(path, language)[0]


def read_dictionary(path: str, language: str) -> tuple[TokenizerSpec | None, Vocabulary]:
    """The tokenizer and the vocabulary of a language in a dictionary.

    A command that asks twice gets the same vocabulary, even if another process has replaced it.

    Args:
        path: a `dict.LANG.txt` file, a checkpoint or a store.
        language: the language to look up in a checkpoint or a store.

    Returns:
        The tokenizer (None for a `dict.LANG.txt` file) and the vocabulary.

    Raises:
        InputMissingError, DataError: the dictionary cannot be read.
        UsageError: the folder has no vocabulary for the language.
    """
    folder = Path(path)
    if not is_folder(path):
        return None, once("dictionary", path, lambda: Vocabulary.load(folder))
    return once(
        f"dictionary of {language}",
        path,
        lambda: steady(folder, lambda place: _read_dictionary(place, path, language)),
    )


def _read_dictionary(folder: Path, path: str, language: str) -> tuple[TokenizerSpec, Vocabulary]:
    try:
        manifest = read_sealed(folder)
        record = manifest["tokenizers"]
        sides = [load_spec(record[side], folder, manifest) for side in ("source", "target")]
    except OSError as error:
        raise InputMissingError(f"{path}: neither a checkpoint nor a store") from error
    except (KeyError, TypeError) as error:
        raise DataError("damaged manifest", str(folder / MANIFEST)) from error
    for spec in sides:
        if spec.language == language:
            name = f"dict.{language}.txt"
            verify_files(folder, manifest, [name])
            return spec, Vocabulary.load(folder / name)
    raise UsageError(f"{path}: has no vocabulary for language {language!r}")


def text_file(prefix: str, language: str) -> str:
    """PREFIX.LANG, or where only that exists PREFIX.LANG.gz, .xz or .bz2."""
    plain = f"{prefix}.{language}"
    names = [plain, *(plain + form.suffix for form in FORMATS if form.suffix)]
    return next((name for name in names if os.path.exists(name)), plain)


class _Preparation:
    """One run of `prepare` within its temporary folder."""

    def __init__(
        self, config: PrepareConfig, folder: Path, source: TokenizerSpec, target: TokenizerSpec
    ) -> None:
        self.config = config
        self.folder = folder
        self.languages = (config.source_lang, config.target_lang)
        self.specs = [source, target]
        self.models_given = models_given(config, source, target)
        self.reports: list[SplitReport] = []

    def run(self) -> PrepareReport:
        config = self.config
        has_training = config.trainpref is not None or config.tsv is not None
        tsv = config.tsv
        if tsv is not None and any(self._needs_model(side) for side in (0, 1)):
            tsv = self._spool(tsv)  # the text is read twice: a pipe cannot be
        for side in (0, 1):
            if self.specs[side].name == "sentencepiece" and self.specs[side].model is None:
                self.specs[side] = self._with_model(side, tsv)
        tokenizers = [spec.build() for spec in self.specs]
        for remark in dict.fromkeys(one for each in tokenizers for one in each.remarks()):
            log.warning(remark)
        self.pieces = [tokenizer.pieces() for tokenizer in tokenizers]
        self.vocabularies = self._given_vocabularies()
        self._check_joined()
        if has_training:
            self._training_split(tsv)
        for kind, prefixes in (("valid", config.validpref), ("test", config.testpref)):
            for number, prefix in enumerate(prefixes):
                self._held_out_split(kind + (str(number) if number else ""), prefix)
        if tsv is not None and tsv != config.tsv:
            durable_files.remove_file(Path(tsv))
        self._write_manifest()
        sizes = [len(v) - len(SPECIALS) for v in self.vocabularies if v is not None]
        return PrepareReport(self.folder, sizes[0], sizes[1], tuple(self.reports))

    # tokenisers

    def _needs_model(self, side: int) -> bool:
        spec, given = self.specs[side], self.models_given[side]
        return spec.name == "sentencepiece" and spec.model is None and given is None

    def _with_model(self, side: int, tsv: str | None) -> TokenizerSpec:
        spec, given = self.specs[side], self.models_given[side]
        if given is not None:
            return replace(spec, model=read_model(given))
        log.info("training SentencePiece for %s", spec.language)
        if self.config.joined_dictionary:
            if side == 1 and self.specs[0].model is not None:
                return replace(spec, model=self.specs[0].model)
            pairs: Iterable[tuple[str, ...]] = self._training_pairs(tsv)
            lines: Iterable[str] = chain.from_iterable(pairs)
            language = " and ".join(self.languages)
        else:
            lines = (pair[side] for pair in self._training_pairs(tsv))
            language = spec.language
        arguments = (spec.config, language)
        return replace(spec, model=run_in_subprocess(train_sentencepiece, lines, arguments))

    def _spool(self, tsv: str) -> str:
        spool = self.folder / "spool.tsv"
        lines = (f"{source}\t{target}\n" for source, target in self._training_pairs(tsv))
        with durable_files.Writer(spool) as writer:
            while piece := "".join(islice(lines, SPOOL_LINES)):
                writer.write(piece.encode())
        return str(spool)

    # text

    def _training_pairs(self, tsv: str | None) -> Iterator[tuple[str, ...]]:
        errors = self.config.encoding_errors
        if tsv is None:
            assert self.config.trainpref is not None
            yield from self._pairs(self.config.trainpref)
            return
        for number, line in enumerate(read_lines(tsv, errors), start=1):
            fields = line.split("\t")
            if len(fields) != 2:
                message = f"{len(fields)} tab-separated fields, expected source TAB target"
                raise DataError(message, tsv, number)
            yield fields[0], fields[1]

    def _files(self, prefix: str) -> list[str]:
        """The files of a split, a side each, or of the one side there is."""
        first = 1 if self.config.only_target else 0
        return [text_file(prefix, language) for language in self.languages[first:]]

    def _pairs(self, prefix: str) -> Iterator[tuple[str, ...]]:
        """The lines of a split's sides; the side that is nothing has empty ones."""
        rows = read_aligned(self._files(prefix), self.config.encoding_errors)
        return (("", *row) for row in rows) if self.config.only_target else rows

    def _tokenized(
        self, pairs: Iterable[tuple[str, ...]], limit: int | None = None
    ) -> Iterator[Chunk]:
        return tokenize_pairs(pairs, self.specs[0], self.specs[1], self.config.workers, limit)

    # splits

    def _training_split(self, tsv: str | None) -> None:
        writers = [
            SideWriter(self.folder, "train", self.languages[side], self._provisional(side))
            for side in (0, 1)
        ]
        words: list[dict[str, int]] = [growing_index(), growing_index()]
        empty = long = pairs = 0
        for chunk in self._tokenized(self._training_pairs(tsv), self.config.max_length):
            pairs += len(chunk)
            empty += chunk.empty
            long += chunk.long
            for side, tokens in enumerate((chunk.source, chunk.target)):
                numbers = map(words[side].__getitem__, tokens.words)
                table = np.fromiter(numbers, np.int32, len(tokens.words))
                writers[side].append(table[tokens.places], tokens.lengths)
        for writer in writers:
            writer.close()
        if pairs == 0:
            prefix = self.config.trainpref
            name = self._files(prefix)[0] if prefix else tsv
            skipped = f"{empty} with an empty side and {long} over-long ones were skipped"
            what = "lines" if self.config.only_target else "pairs"
            raise DataError(f"no usable training {what} ({skipped})", name)
        provisional = [list(index) for index in words]
        for side in (0, 1):  # the counts take the place of the ids: a second table costs memory
            counts = self._count(side, len(words[side]))
            words[side].update(zip(provisional[side], counts.tolist(), strict=True))
        self._build_vocabularies(words)
        sides = [self._remap(side, provisional[side]) for side in (0, 1)]
        self._report(SplitReport("train", pairs, sides[0], sides[1], empty, long))

    def _held_out_split(self, name: str, prefix: str) -> None:
        writers = [SideWriter(self.folder, name, language) for language in self.languages]
        unknown = [0, 0]
        pairs = 0
        for chunk in self._tokenized(self._pairs(prefix)):
            pairs += len(chunk)
            for side, tokens in enumerate((chunk.source, chunk.target)):
                vocabulary = self.vocabularies[side]
                assert vocabulary is not None
                table = np.array(vocabulary.encode(tokens.words), dtype=np.int32)
                ids = table[tokens.places]
                unknown[side] += int(np.count_nonzero(ids == UNK_ID))
                writers[side].append(ids, tokens.lengths)
        for writer in writers:
            writer.close()
        if pairs == 0:
            raise DataError("no lines", self._files(prefix)[0])
        source, target = (SideCounts(writers[i].ids.length, unknown[i]) for i in (0, 1))
        self._report(SplitReport(name, pairs, source, target, 0, 0))

    def _report(self, report: SplitReport) -> None:
        """Keeps a split's counts, and warns where a side is mostly unknown."""
        self.reports.append(report)
        given = (self.config.srcdict, self.config.tgtdict)
        sides = zip(self.languages, (report.source, report.target), given, strict=True)
        for language, side, path in sides:
            text, dictionary = f"{language} tokens", path or "the vocabulary"
            warning = mostly_unknown(side.unknown, side.tokens, text, dictionary)
            if warning is not None:
                log.warning("%s: %s", report.name, warning)

    # vocabularies

    def _given_vocabularies(self) -> list[Vocabulary | None]:
        given = (self.config.srcdict, self.config.tgtdict)
        found: list[Vocabulary | None] = []
        for path, language in zip(given, self.languages, strict=True):
            if path is None:
                found.append(Vocabulary([], []) if language == ABSENT else None)
                continue
            found.append(read_dictionary(path, language)[1])
            self._tell_foreign_words(len(found) - 1, path, found[-1])
        return found

    def _tell_foreign_words(self, side: int, path: str, vocabulary: Vocabulary | None) -> None:
        """Warns of a dict file's words that the side's SentencePiece model never gives."""
        pieces = self.pieces[side]
        if pieces is None or vocabulary is None or Path(path).is_dir():
            return
        foreign = len(set(vocabulary.tokens[len(SPECIALS) :]).difference(pieces))
        if foreign:
            log.warning(
                "%s: %s of its %s words are no pieces of the SentencePiece model of %s: no text "
                "gives them", path, f"{foreign:,}", f"{len(vocabulary) - len(SPECIALS):,}",
                self.languages[side],
            )  # fmt: skip

    def _check_joined(self) -> None:
        """Raises UsageError where one vocabulary for both sides cannot be."""
        if not self.config.joined_dictionary:
            return
        if self.vocabularies[0] != self.vocabularies[1]:
            raise UsageError("--joined-dictionary: --srcdict and --tgtdict have different words")
        if self.vocabularies[0] is None and self.pieces[0] != self.pieces[1]:
            raise UsageError(
                "--joined-dictionary needs one SentencePiece model: give the same file as "
                "--source-sentencepiece and --target-sentencepiece"
            )

    def _build_vocabularies(self, counts: list[dict[str, int]]) -> None:
        """Makes what no file gave, emptying `counts`, the occurrences of every word of a side."""
        config = self.config
        if config.joined_dictionary:
            joined = counts[0]
            for word, count in counts[1].items():
                joined[word] = joined.get(word, 0) + count
            counts[1] = joined
        limits = [config.nwordssrc, config.nwordstgt]
        thresholds = [config.thresholdsrc, config.thresholdtgt]
        if config.joined_dictionary:  # a limit given for one side holds for the one vocabulary
            limits = [next((limit for limit in limits if limit is not None), None)] * 2
            thresholds = [max(thresholds)] * 2
        for side in (0, 1):
            pieces = self.pieces[side]
            if pieces is not None:  # those alone, and all of them: rare ones may come in other text
                counts[side] = {piece: counts[side].get(piece, 0) for piece in pieces}
            if self.vocabularies[side] is None:
                self.vocabularies[side] = Vocabulary.build(
                    counts[side], limits[side], thresholds[side]
                )
            counts[side] = {}  # a large one is not kept for nothing

    def _count(self, side: int, words: int) -> npt.NDArray[np.int64]:
        total = np.zeros(words, dtype=np.int64)
        for part in parts_of(self._provisional(side)):
            total += np.bincount(part, minlength=words)
        return total

    def _remap(self, side: int, words: list[str]) -> SideCounts:
        """Turns the provisional ids of a side into final ones."""
        vocabulary = self.vocabularies[side]
        assert vocabulary is not None
        table = np.array(vocabulary.encode(words), dtype=np.int32)
        writer = ArrayWriter(ids_path(self.folder, "train", self.languages[side]), np.int32)
        unknown = 0
        for part in parts_of(self._provisional(side)):
            final = table[part]
            writer.append(final)
            unknown += int(np.count_nonzero(final == UNK_ID))
        writer.close()
        durable_files.remove_file(self._provisional(side))
        return SideCounts(writer.length, unknown)

    def _provisional(self, side: int) -> Path:
        return self.folder / f"provisional.{side}.npy"

    # files

    def _write_manifest(self) -> None:
        for vocabulary, language in zip(self.vocabularies, self.languages, strict=True):
            assert vocabulary is not None
            vocabulary.save(self.folder / f"dict.{language}.txt")
        save_models(self.folder, self.specs)
        files: dict[str, Any] = {}
        for path in sorted(self.folder.iterdir()):
            files[path.name] = {
                "size": path.stat().st_size,
                "sha256": durable_files.sha256_of(path),
            }
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "source_language": self.languages[0],
            "target_language": self.languages[1],
            "tokenizers": {"source": self.specs[0].record(), "target": self.specs[1].record()},
            "splits": {report.name: asdict(report) for report in self.reports},
            "files": files,
        }
        durable_files.write_file(self.folder / MANIFEST, seal(manifest))

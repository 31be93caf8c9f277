"""Preprocessing: parallel text to a store of word ids, with vocabularies, in bounded memory.

Memory grows with the number of distinct words, not with the number of pairs. Training text is read
once: every new word gets the next provisional id. When the vocabulary is known, the ids on disk are
rewritten chunk by chunk.
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
from s2st.data.dictionaries import read_dictionary
from s2st.data.id_writer import SideWriter, ids_path, read_id_chunks
from s2st.data.preprocess_options import PreprocessConfig, checked, models_given
from s2st.data.preprocess_workers import Chunk, growing_index, tokenize_pairs
from s2st.data.store import FORMAT, VERSION
from s2st.data.trained_tokenizers import checked_spec, shown_name, train_model
from s2st.data.validation_text import VALIDATION, with_text_kept
from s2st.errors import DataError, UsageError
from s2st.process import durable_files, durable_folders
from s2st.process.folder_manifest import MANIFEST, seal
from s2st.process.worker_processes import run_in_subprocess
from s2st.text.compressed_input import FORMATS
from s2st.text.line_files import read_aligned, read_lines
from s2st.text.tokenizers import (
    ABSENT,
    MODEL_KINDS,
    TokenizerSpec,
    read_model,
    save_models,
)
from s2st.text.vocabulary import SPECIALS, UNK_ID, Vocabulary, mostly_unknown

log = logging.getLogger("s2st")
SPOOL_LINES = 1000


@dataclass(frozen=True)
class SideCounts:
    """Number of tokens and of unknown tokens of one side of a split, without EOS."""

    tokens: int
    unknown: int


@dataclass(frozen=True)
class SplitReport:
    """Counts of one split: pairs kept, and training pairs skipped by reason."""

    name: str
    pairs: int
    source: SideCounts
    target: SideCounts
    skipped_empty: int
    skipped_long: int


@dataclass(frozen=True)
class PreprocessReport:
    """Folder, vocabulary sizes and splits of the store that `preprocess` wrote."""

    folder: Path
    source_words: int
    target_words: int
    splits: tuple[SplitReport, ...]


def write_store(
    config: PreprocessConfig, source: TokenizerSpec, target: TokenizerSpec
) -> PreprocessReport:
    """Write a store.

    Args:
        config: input files, vocabulary limits, destination.
        source, target: the tokenizers; a sentencepiece tokenizer without a model is trained first.

    Raises:
        UsageError: options contradict each other.
        InputMissingError: a text is missing.
        DataError: a text is not UTF-8, or two parallel files have different numbers of lines.
        OutputError: the destination exists or cannot be written.
    """
    config = checked(config)
    final = Path(config.destdir)
    durable_folders.refuse_existing(final)  # fail before the work, not after it
    with durable_folders.new_folder(final) as folder:
        report = _Preprocessing(config, folder, source, target).run()
    return replace(report, folder=final)


def text_file(prefix: str, language: str) -> str:
    """Return PREFIX.LANG; if only a compressed file exists, PREFIX.LANG.gz, .xz or .bz2."""
    plain = f"{prefix}.{language}"
    names = [plain, *(plain + form.suffix for form in FORMATS if form.suffix)]
    return next((name for name in names if os.path.exists(name)), plain)


class _Preprocessing:
    """One run of `preprocess` in its temporary folder."""

    def __init__(
        self, config: PreprocessConfig, folder: Path, source: TokenizerSpec, target: TokenizerSpec
    ) -> None:
        self.config = config
        self.folder = folder
        self.languages = (config.source_lang, config.target_lang)
        self.specs = [source, target]
        self.models_given = models_given(config, source, target)
        self.reports: list[SplitReport] = []

    def run(self) -> PreprocessReport:
        config = self.config
        has_training = config.trainpref is not None or config.tsv is not None
        tsv = config.tsv
        if tsv is not None and any(self._needs_model(side) for side in (0, 1)):
            tsv = self._spool(tsv)  # the text is read twice, which a pipe does not allow
        for side in (0, 1):
            if self.specs[side].name in MODEL_KINDS and self.specs[side].model is None:
                self.specs[side] = self._with_model(side, tsv)
        tokenizers = [spec.build() for spec in self.specs]
        remarks = (remark for tokenizer in tokenizers for remark in tokenizer.remarks())
        for remark in dict.fromkeys(remarks):
            log.warning(remark)
        self.pieces = [tokenizer.pieces() for tokenizer in tokenizers]
        self.further = [tokenizer.further_tokens for tokenizer in tokenizers]
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
        return PreprocessReport(self.folder, sizes[0], sizes[1], tuple(self.reports))

    # tokenizers

    def _needs_model(self, side: int) -> bool:
        spec, path = self.specs[side], self.models_given[side]
        return spec.name in MODEL_KINDS and spec.model is None and path is None

    def _with_model(self, side: int, tsv: str | None) -> TokenizerSpec:
        spec, path = self.specs[side], self.models_given[side]
        if path is not None:
            return checked_spec(replace(spec, model=read_model(path, spec.name)), path)
        log.info("training %s for %s", shown_name(spec.name), spec.language)
        if self.config.joined_dictionary:
            if side == 1 and self.specs[0].model is not None:
                return replace(spec, model=self.specs[0].model)
            pairs: Iterable[tuple[str, ...]] = self._training_pairs(tsv)
            lines: Iterable[str] = chain.from_iterable(pairs)
            language = " and ".join(self.languages)
        else:
            lines = (pair[side] for pair in self._training_pairs(tsv))
            language = spec.language
        arguments = (spec.name, spec.config, language)
        return replace(spec, model=run_in_subprocess(train_model, lines, arguments))

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
        """Return the files of a split, one per side; with --only-target just the target's."""
        first = 1 if self.config.only_target else 0
        return [text_file(prefix, language) for language in self.languages[first:]]

    def _pairs(self, prefix: str) -> Iterator[tuple[str, ...]]:
        """Yield (source, target) lines of a split; lines of an absent source are empty."""
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
            skipped = f"skipped: {empty} with an empty side, {long} too long"
            unit = "lines" if self.config.only_target else "pairs"
            raise DataError(f"no usable training {unit} ({skipped})", name)
        provisional = [list(index) for index in words]
        for side in (0, 1):  # counts replace the ids in place: a second table would cost memory
            counts = self._count(side, len(words[side]))
            words[side].update(zip(provisional[side], counts.tolist(), strict=True))
        self._build_vocabularies(words)
        sides = [self._remap(side, provisional[side]) for side in (0, 1)]
        self._report(SplitReport("train", pairs, sides[0], sides[1], empty, long))

    def _held_out_split(self, name: str, prefix: str) -> None:
        writers = [SideWriter(self.folder, name, language) for language in self.languages]
        unknown = [0, 0]
        pairs = 0
        lines = self._pairs(prefix)
        if name.startswith(VALIDATION):
            lines = with_text_kept(self.folder, name, self.languages, lines)
        for chunk in self._tokenized(lines):
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
            raise DataError("no lines in the file", self._files(prefix)[0])
        source, target = (SideCounts(writers[i].ids.length, unknown[i]) for i in (0, 1))
        self._report(SplitReport(name, pairs, source, target, 0, 0))

    def _report(self, report: SplitReport) -> None:
        """Record the counts of a split, and warn if most of a side's tokens are unknown."""
        self.reports.append(report)
        dictionaries = (self.config.srcdict, self.config.tgtdict)
        sides = zip(self.languages, (report.source, report.target), dictionaries, strict=True)
        for language, side, path in sides:
            text, dictionary = f"{language} tokens", path or "the vocabulary"
            warning = mostly_unknown(side.unknown, side.tokens, text, dictionary)
            if warning is not None:
                log.warning("%s: %s", report.name, warning)

    # vocabularies

    def _given_vocabularies(self) -> list[Vocabulary | None]:
        """Return the vocabularies that the user gave or that are empty; None for the others."""
        dictionaries = (self.config.srcdict, self.config.tgtdict)
        vocabularies: list[Vocabulary | None] = []
        for path, language in zip(dictionaries, self.languages, strict=True):
            if path is None:
                vocabularies.append(Vocabulary([], []) if language == ABSENT else None)
                continue
            vocabularies.append(read_dictionary(path, language)[1])
            self._warn_foreign_words(len(vocabularies) - 1, path, vocabularies[-1])
        return vocabularies

    def _warn_foreign_words(self, side: int, path: str, vocabulary: Vocabulary | None) -> None:
        """Warn of a dict file's words that the side's trained model never produces."""
        pieces = self.pieces[side]
        if pieces is None or vocabulary is None or Path(path).is_dir():
            return
        foreign = len(set(vocabulary.tokens[len(SPECIALS) :]).difference(pieces))
        if foreign:
            log.warning(
                "%s: %s of its %s words are not pieces of the %s model of %s, so no text contains "
                "them", path, f"{foreign:,}", f"{len(vocabulary) - len(SPECIALS):,}",
                shown_name(self.specs[side].name),
                self.languages[side],
            )  # fmt: skip

    def _check_joined(self) -> None:
        """Raise UsageError if both sides cannot have one vocabulary."""
        if not self.config.joined_dictionary:
            return
        if self.vocabularies[0] != self.vocabularies[1]:
            raise UsageError(
                "--joined-dictionary: --srcdict and --tgtdict have different words; give the same "
                "dictionary for both"
            )
        if self.vocabularies[0] is None and self.pieces[0] != self.pieces[1]:
            remedy = "give one --tokenizer-json"
            if self.specs[0].name == "sentencepiece":
                remedy = "give the same file as --source-sentencepiece and --target-sentencepiece"
            name = shown_name(self.specs[0].name)
            raise UsageError(f"--joined-dictionary needs one {name} model: {remedy}")

    def _build_vocabularies(self, counts: list[dict[str, int]]) -> None:
        """Build the vocabularies that the user did not give.

        Args:
            counts: frequency of every word of each side; emptied, to free memory.
        """
        config = self.config
        if config.joined_dictionary:
            joined = counts[0]
            for word, count in counts[1].items():
                joined[word] = joined.get(word, 0) + count
            counts[1] = joined
        limits = [config.nwordssrc, config.nwordstgt]
        thresholds = [config.thresholdsrc, config.thresholdtgt]
        if config.joined_dictionary:  # a limit of either side applies to the joined vocabulary
            limits = [next((limit for limit in limits if limit is not None), None)] * 2
            thresholds = [max(thresholds)] * 2
        for side in (0, 1):
            pieces = self.pieces[side]
            if pieces is not None:  # exactly the model's pieces: other text may need the rare ones
                counts[side] = {piece: counts[side].get(piece, 0) for piece in pieces}
            for token in self.further[side](tuple(counts[side])):
                counts[side].setdefault(token, 0)
            if self.vocabularies[side] is None:
                self.vocabularies[side] = Vocabulary.build(
                    counts[side], limits[side], thresholds[side]
                )
            counts[side] = {}  # free the memory

    def _count(self, side: int, words: int) -> npt.NDArray[np.int64]:
        total = np.zeros(words, dtype=np.int64)
        for chunk in read_id_chunks(self._provisional(side)):
            total += np.bincount(chunk, minlength=words)
        return total

    def _remap(self, side: int, words: list[str]) -> SideCounts:
        """Rewrite the provisional ids of a side as final ids."""
        vocabulary = self.vocabularies[side]
        assert vocabulary is not None
        table = np.array(vocabulary.encode(words), dtype=np.int32)
        writer = ArrayWriter(ids_path(self.folder, "train", self.languages[side]), np.int32)
        unknown = 0
        for chunk in read_id_chunks(self._provisional(side)):
            final = table[chunk]
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

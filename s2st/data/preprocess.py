"""Preprocessing: parallel text to a store of word ids, with vocabularies, in bounded memory.

Memory grows with the number of distinct words, not with the number of pairs. Training text is read
once: every new word gets the next provisional id. When the vocabulary is known, the ids on disk are
rewritten chunk by chunk.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from s2st.data.array_files import ArrayWriter, open_array
from s2st.data.corpus_reader import CorpusReader
from s2st.data.corpus_texts import CorpusText, PairTexts
from s2st.data.duplicate_filter import SeenHashes
from s2st.data.id_writer import (
    SideWriter,
    VectorWriter,
    ids_path,
    read_id_chunks,
    vectors_path,
)
from s2st.data.preprocess_languages import (
    Language,
    build_vocabularies,
    check_joined,
    languages_for,
)
from s2st.data.preprocess_options import PreprocessConfig, checked, texts_of
from s2st.data.preprocess_report import CorpusCounts as CorpusCounts
from s2st.data.preprocess_report import PreprocessReport as PreprocessReport
from s2st.data.preprocess_report import SideCounts as SideCounts
from s2st.data.preprocess_report import SplitReport as SplitReport
from s2st.data.preprocess_workers import Chunk, Rules, SideVectors, tokenize_pairs
from s2st.data.store import FORMAT, VERSION, VERSION_OF_PAIRS
from s2st.data.trained_tokenizers import checked_spec, shown_name, train_model
from s2st.data.validation_text import VALIDATION, with_text_kept
from s2st.errors import DataError
from s2st.process import durable_files, durable_folders
from s2st.process.folder_manifest import MANIFEST, seal
from s2st.process.worker_processes import run_in_subprocess
from s2st.text.tokenizer_files import read_model, save_models
from s2st.text.tokenizers import ABSENT, MODEL_KINDS, TokenizerSpec
from s2st.text.vocabulary import UNK_ID, mostly_unknown

log = logging.getLogger("s2st")
REASONS = ("empty", "long", "ratio", "copies")  # of skipped pairs, besides duplicates


def write_store(config: PreprocessConfig, *tokenizers: TokenizerSpec) -> PreprocessReport:
    """Write a store.

    Args:
        config: input files, vocabulary limits, destination.
        tokenizers: one for each language, in the order of `languages_of`: source and target, or
            those of several pairs. A sentencepiece tokenizer without a model is trained first.

    Raises:
        UsageError: options contradict each other.
        InputMissingError: a text is missing.
        DataError: a text is not UTF-8, or two parallel files have different numbers of lines.
        OutputError: the destination exists or cannot be written.
    """
    config = checked(config)
    texts = texts_of(config)
    languages = languages_for(config, texts, tokenizers)
    final = Path(config.destdir)
    durable_folders.refuse_existing(final)  # fail before the work, not after it
    with durable_folders.new_folder(final) as folder:
        report = _Preprocessing(config, folder, texts, languages).run()
    return replace(report, folder=final)


class _Preprocessing:
    """One run of `preprocess` in its temporary folder."""

    def __init__(
        self,
        config: PreprocessConfig,
        folder: Path,
        texts: Sequence[PairTexts],
        languages: Sequence[Language],
    ) -> None:
        self.config = config
        self.folder = folder
        self.texts = texts
        self.languages = {language.name: language for language in languages}
        self.reader = CorpusReader(config, self.languages)
        self.reports: list[SplitReport] = []

    def run(self) -> PreprocessReport:
        languages = list(self.languages.values())
        if any(language.needs_model for language in languages):
            self.reader.spool(self.folder)  # the training text is read twice
        for language in languages:
            if language.spec.name in MODEL_KINDS and language.spec.model is None:
                language.spec = self._with_model(language)
        tokenizers = [language.spec.build() for language in languages]
        remarks = (remark for tokenizer in tokenizers for remark in tokenizer.remarks())
        for remark in dict.fromkeys(remarks):
            log.warning(remark)
        for language, tokenizer in zip(languages, tokenizers, strict=True):
            language.pieces = tokenizer.pieces()
            language.further_tokens = tokenizer.further_tokens
            language.read_vocabulary()
        if self.config.joined_dictionary:
            check_joined(languages)
        self._training_splits()
        for pair in self.texts:
            for kind, texts in (("valid", pair.valid), ("test", pair.test)):
                for number, text in enumerate(texts):
                    self._held_out_split(self._split(kind, pair, number), text)
        self.reader.remove_spool()
        self._write_manifest()
        sizes = {language.name: language.words_kept for language in languages}
        return PreprocessReport(self.folder, sizes, tuple(self.reports))

    # tokenizers

    def _with_model(self, language: Language) -> TokenizerSpec:
        spec = language.spec
        if language.model_file is not None:
            path = language.model_file
            return checked_spec(replace(spec, model=read_model(path, spec.name)), path)
        name = language.name
        if self.config.joined_dictionary:
            first = next(iter(self.languages.values()))
            if first.spec.model is not None:
                return replace(spec, model=first.spec.model)
            lines: Iterable[str] = chain.from_iterable(
                chain.from_iterable(self.reader.training_pairs(pair)) for pair in self.texts
            )
            name = " and ".join(self.languages)  # one model for all
        else:
            lines = chain.from_iterable(
                (row[side] for row in self.reader.training_pairs(pair))
                for pair in self.texts
                for side, own in enumerate((pair.source, pair.target))
                if own == language.name
            )
        log.info("training %s for %s", shown_name(spec.name), name)
        arguments = (spec.name, spec.config, name)
        return replace(spec, model=run_in_subprocess(train_model, lines, arguments))

    # text

    def _tokenized(
        self, pairs: Iterable[tuple[str, ...]], text: CorpusText, rules: Rules | None = None
    ) -> Iterator[Chunk]:
        specs = [self.languages[name].spec for name in (text.source, text.target)]
        return tokenize_pairs(pairs, specs[0], specs[1], self.config.workers, rules)

    # splits

    def _split(self, kind: str, pair: PairTexts, number: int = 0) -> str:
        """Return the name of a split; with --pair it ends with the language pair."""
        name = kind + (str(number) if number else "")
        return f"{name}.{pair.source}-{pair.target}" if self.config.pair else name

    def _training_splits(self) -> None:
        counted = []
        for pair in self.texts:
            texts = self.reader.training_texts(pair)
            if texts:
                counted.append((pair, self._training_split(pair, texts)))
        if not counted:
            return
        languages = list(self.languages.values())
        for language in languages:
            language.count_words()
        targets = list(dict.fromkeys(pair.target for pair in self.texts))
        joined = self.config.joined_dictionary
        build_vocabularies(languages, joined, targets if joined and len(targets) > 1 else ())
        for pair, corpora in counted:
            split = self._split("train", pair)
            sides = [self._remap(split, self.languages[n]) for n in (pair.source, pair.target)]
            report = SplitReport(
                split, pairs=0, source=sides[0], target=sides[1], skipped_empty=0, skipped_long=0,
                source_language=pair.source, target_language=pair.target, corpora=tuple(corpora),
            )  # fmt: skip
            totals = {
                field: sum(getattr(corpus, field) for corpus in corpora)
                for field in vars(corpora[0])
                if field != "name"
            }
            self._report(replace(report, **totals))

    def _training_split(
        self, pair: PairTexts, texts: Sequence[CorpusText]
    ) -> Sequence[CorpusCounts]:
        """Write the provisional ids of a pair's training text; return the counts of its corpora."""
        split = self._split("train", pair)
        sides = [self.languages[name] for name in (pair.source, pair.target)]
        writers = [self._writer(split, side, provisional=True) for side in sides]
        seen = SeenHashes()
        counts = []
        for text in texts:
            skipped, pairs, duplicates = Counter[str](), 0, 0
            for chunk in self._tokenized(self.reader.pairs(text), text, self._rules()):
                skipped.update({name: getattr(chunk, name) for name in REASONS})
                if chunk.hashes is not None:
                    new = seen.add(chunk.hashes)
                    duplicates += len(chunk) - int(new.sum())
                    chunk = chunk.only(new)
                pairs += len(chunk)
                for side, writer, tokens in zip(
                    sides, writers, (chunk.source, chunk.target), strict=True
                ):
                    if isinstance(tokens, SideVectors):
                        assert isinstance(writer, VectorWriter)
                        writer.append_vectors(tokens.values, tokens.lengths)
                        continue
                    numbers = map(side.words.__getitem__, tokens.words)
                    table = np.fromiter(numbers, np.int32, len(tokens.words))
                    writer.append(table[tokens.places], tokens.lengths)
            reasons = {f"skipped_{name}": skipped[name] for name in REASONS}
            corpus = CorpusCounts(text.name, pairs, **reasons, skipped_duplicates=duplicates)
            if pairs == 0:
                raise self._nothing_usable(text, corpus)
            counts.append(corpus)
        for writer in writers:
            writer.close()
        return counts

    def _writer(self, split: str, language: Language, provisional: bool) -> SideWriter:
        """Return the writer of a language's side of a split."""
        if language.spec.vector_size:
            return VectorWriter(self.folder, split, language.name)
        ids = language.provisional(self.folder, split) if provisional else None
        return SideWriter(self.folder, split, language.name, ids)

    def _rules(self) -> Rules:
        config = self.config
        return Rules(
            config.max_length, config.max_ratio, config.drop_copies, config.drop_duplicates
        )

    def _nothing_usable(self, text: CorpusText, corpus: CorpusCounts) -> DataError:
        name = self.reader.files(text)[0]
        unit = "lines" if self.config.only_target else "pairs"
        if not any(getattr(corpus, f"skipped_{reason}") for reason in (*REASONS, "duplicates")):
            return DataError(f"the training corpus is empty: the file has no {unit}", name)
        skipped = (
            f"skipped: {corpus.skipped_empty} with an empty side, {corpus.skipped_long} too long"
        )
        others = {
            "with an extreme length ratio": corpus.skipped_ratio,
            "copies": corpus.skipped_copies,
            "duplicates": corpus.skipped_duplicates,
        }
        skipped += "".join(f", {count} {what}" for what, count in others.items() if count)
        return DataError(f"no usable training {unit} ({skipped})", name)

    def _held_out_split(self, split: str, text: CorpusText) -> None:
        sides = [self.languages[name] for name in (text.source, text.target)]
        writers = [self._writer(split, side, provisional=False) for side in sides]
        unknown = [0, 0]
        pairs = 0
        lines = self.reader.pairs(text)
        if split.startswith(VALIDATION):
            kept = ABSENT if text.vectors else text.source
            lines = with_text_kept(self.folder, split, (kept, text.target), lines)
        for chunk in self._tokenized(lines, text):
            pairs += len(chunk)
            for number, tokens in enumerate((chunk.source, chunk.target)):
                writer = writers[number]
                if isinstance(tokens, SideVectors):
                    assert isinstance(writer, VectorWriter)
                    writer.append_vectors(tokens.values, tokens.lengths)
                    continue
                vocabulary = sides[number].known_words
                table = np.array(vocabulary.encode(tokens.words), dtype=np.int32)
                ids = table[tokens.places]
                unknown[number] += int(np.count_nonzero(ids == UNK_ID))
                writer.append(ids, tokens.lengths)
        for writer in writers:
            writer.close()
        if pairs == 0:
            raise DataError("no lines in the file", self.reader.files(text)[0])
        source, target = (SideCounts(writers[i].tokens, unknown[i]) for i in (0, 1))
        self._report(
            SplitReport(
                split, pairs, source, target, 0, 0, source_language=text.source,
                target_language=text.target, corpora=(CorpusCounts(text.name, pairs),),
            )
        )  # fmt: skip

    def _report(self, report: SplitReport) -> None:
        """Record the counts of a split, and warn if most of a side's tokens are unknown."""
        self.reports.append(report)
        for name, side in (
            (report.source_language, report.source), (report.target_language, report.target)
        ):  # fmt: skip
            dictionary = self.languages[name].dictionary or "the vocabulary"
            warning = mostly_unknown(side.unknown, side.tokens, f"{name} tokens", dictionary)
            if warning is not None:
                log.warning("%s: %s", report.name, warning)

    def _remap(self, split: str, language: Language) -> SideCounts:
        """Rewrite the provisional ids of one side of a split as final ids.

        A side of vectors is final already.
        """
        if language.spec.vector_size:
            size = language.spec.vector_size
            numbers = len(open_array(vectors_path(self.folder, split, language.name), np.float32))
            return SideCounts(numbers // size, 0)
        writer = ArrayWriter(ids_path(self.folder, split, language.name), np.int32)
        provisional = language.provisional(self.folder, split)
        unknown = 0
        for chunk in read_id_chunks(provisional):
            final = language.final_ids[chunk]
            writer.append(final)
            unknown += int(np.count_nonzero(final == UNK_ID))
        writer.close()
        durable_files.remove_file(provisional)
        return SideCounts(writer.length, unknown)

    # files

    def _write_manifest(self) -> None:
        languages = list(self.languages.values())
        for language in languages:
            language.known_words.save(self.folder / f"dict.{language.name}.txt")
        save_models(self.folder, [language.spec for language in languages])
        files: dict[str, Any] = {}
        for path in sorted(self.folder.iterdir()):
            files[path.name] = {
                "size": path.stat().st_size,
                "sha256": durable_files.sha256_of(path),
            }
        first = self.texts[0]
        source, target = self.languages[first.source], self.languages[first.target]
        manifest = {
            "format": FORMAT,
            "version": VERSION_OF_PAIRS if self.config.pair else VERSION,
            "source_language": source.name,
            "target_language": target.name,
            "tokenizers": {"source": source.spec.record(), "target": target.spec.record()},
            "splits": {report.name: asdict(report) for report in self.reports},
            "files": files,
        }
        if self.config.pair:
            manifest["languages"] = [language.spec.record() for language in languages]
        durable_files.write_file(self.folder / MANIFEST, seal(manifest))

"""Sentence pairs as `preprocess` reads them: from parallel files, one TSV text, or vectors."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

from s2st.data.corpus_texts import CorpusText, PairTexts, text_file
from s2st.data.preprocess_languages import Language
from s2st.data.preprocess_options import PreprocessConfig
from s2st.errors import DataError
from s2st.process import durable_files
from s2st.text.line_files import read_aligned, read_lines
from s2st.text.vector_files import open_vectors

SPOOL_LINES = 1000


class CorpusReader:
    """Reads the texts that the options name.

    Args:
        config: the options.
        languages: by name; the sizes of vectors are theirs.
    """

    def __init__(self, config: PreprocessConfig, languages: Mapping[str, Language]) -> None:
        self._config = config
        self._languages = languages
        self._tsv = config.tsv
        self._spool: Path | None = None

    def spool(self, folder: Path) -> None:
        """Copy a TSV text into the folder, so that it can be read twice, which no pipe allows."""
        if self._tsv is None:
            return
        self._spool = folder / "spool.tsv"
        lines = (f"{source}\t{target}\n" for source, target in self._tsv_pairs(self._tsv))
        with durable_files.Writer(self._spool) as writer:
            while piece := "".join(islice(lines, SPOOL_LINES)):
                writer.write(piece.encode())
        self._tsv = str(self._spool)

    def remove_spool(self) -> None:
        """Remove the copy, if there is one."""
        if self._spool is not None:
            durable_files.remove_file(self._spool)

    def training_texts(self, pair: PairTexts) -> Sequence[CorpusText]:
        """Return the training corpora of a pair; the TSV text has an empty prefix."""
        if self._tsv is not None:
            return (CorpusText("train", "", pair.source, pair.target),)
        return pair.train

    def training_pairs(self, pair: PairTexts) -> Iterator[tuple[str, ...]]:
        """Yield the (source, target) lines of all training corpora of a pair."""
        return chain.from_iterable(self.pairs(text) for text in self.training_texts(pair))

    def files(self, text: CorpusText) -> list[str]:
        """Return the files of a corpus, one per side; with --only-target just the target's."""
        if not text.prefix:
            assert self._tsv is not None
            return [self._tsv]
        target_only = self._config.only_target or bool(text.vectors)
        languages = (text.source, text.target)[1 if target_only else 0 :]
        return [text_file(text.prefix, language) for language in languages]

    def pairs(self, text: CorpusText) -> Iterator[tuple[str, ...]]:
        """Yield (source, target) lines of a corpus; lines of an absent source are empty.

        Raises:
            DataError: a line is not UTF-8, the sides have different lengths, a line of TSV has
                other than two fields, or vectors have another size than those of the training.
        """
        files = self.files(text)
        if not text.prefix:
            return self._tsv_pairs(files[0])
        if text.vectors:
            return self._vector_pairs(text)
        rows = read_aligned(files, self._config.encoding_errors)
        return (("", *row) for row in rows) if self._config.only_target else rows

    def _tsv_pairs(self, tsv: str) -> Iterator[tuple[str, ...]]:
        for number, line in enumerate(read_lines(tsv, self._config.encoding_errors), start=1):
            fields = line.split("\t")
            if len(fields) != 2:
                message = f"{len(fields)} tab-separated fields, expected source TAB target"
                raise DataError(message, tsv, number)
            yield fields[0], fields[1]

    def _vector_pairs(self, text: CorpusText) -> Iterator[tuple[str, ...]]:
        """Yield (source, target) lines of a corpus whose sources are vectors."""
        found, size = open_vectors(text.vectors), self._languages[text.source].spec.vector_size
        if found.size != size:
            first = self._config.source_vectors[0]
            raise DataError(f"vectors of size {found.size}, but {first} has {size}", found.path)
        target = text_file(text.prefix, text.target)
        vectors = found.lines()
        number = 0
        for number, line in enumerate(read_lines(target, self._config.encoding_errors), start=1):
            if number > len(found):
                raise DataError(
                    f"has more lines than {found.path} has sentences ({len(found):,})",
                    target,
                    number,
                )
            yield next(vectors), line
        if number < len(found):
            raise DataError(
                f"has {len(found):,} sentences, but {target} has {number:,} lines", found.path
            )

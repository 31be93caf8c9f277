"""The job of `s2st analyze neighbors`: the words with the most similar embeddings.

Importable without torch, so that wrong options are reported at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from s2st.analysis.options import NeighborsConfig
from s2st.errors import UsageError
from s2st.jobs.report_types import ReportLine
from s2st.process.torch_import import import_torch


def analyze_neighbors(config: NeighborsConfig, words: Sequence[str]) -> Iterator[ReportLine]:
    """Finds the nearest neighbors of words by the cosine similarity of their vectors.

    Args:
        config: the vectors and the form of the output.
        words: the words whose neighbors to find.

    Yields:
        A table, or a record for each word where `config.format` is "json".

    Raises:
        UsageError: not exactly one of checkpoint and vectors, or a word that has no vector.
        InputMissingError, DataError, CheckpointError: vectors that cannot be read.
    """
    checkpoint, file, side = config.checkpoint, config.vectors, config.side
    if (checkpoint is None) == (file is None):
        raise UsageError("give either --checkpoint PATH or --vectors FILE")
    if file is not None and side is not None:
        raise UsageError("--side needs --checkpoint; a file of vectors has no sides")
    from s2st.analysis.nearest_words import checkpoint_vectors, nearest
    from s2st.text.word_vectors import read_vectors

    if checkpoint is None:
        assert file is not None
        vectors, where = read_vectors(file), file
    else:
        import_torch()
        side, vectors = checkpoint_vectors(checkpoint, side)
        where = f"the {side} side of {checkpoint}"
    found = nearest(vectors, words, config.count, where)
    if config.format == "json":
        for word, neighbors in found.items():
            yield {"word": word, "neighbors": [asdict(item) for item in neighbors]}
        return
    yield "word\tneighbor\tsimilarity"
    for word, neighbors in found.items():
        for item in neighbors:
            # rounded first, so that no similarity is printed as -0.0000
            yield f"{word}\t{item.word}\t{round(item.similarity, 4) + 0.0:.4f}"

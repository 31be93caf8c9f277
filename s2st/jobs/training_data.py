"""Training and validation data of `s2st train`: the corpora of a store and their mixture."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s2st.data.corpus_mixing import MixingConfig, pairs_per_epoch, shares_of

if TYPE_CHECKING:
    from s2st.data.corpora import CorpusSet
    from s2st.data.store import ParallelCorpus, Store

log = logging.getLogger("s2st")


def open_training(store: "Store", arch: Any, mixing: MixingConfig) -> "CorpusSet":
    """Return the training corpora, mixed as the options say, as an architecture reads them.

    Raises:
        InputMissingError: the store has no training split.
        UsageError: the options do not fit the corpora.
    """
    from s2st.data.corpora import read_split

    data = read_split(store, "train")
    if data is None:
        store.split("train")  # raises an error that names the splits
    assert data is not None
    shares = shares_of(mixing, data.sizes)
    if shares is not None:
        sizes = [size for _, size in data.sizes]
        data = replace(data, counts=tuple(pairs_per_epoch(sizes, shares)))
    return data.read_as(lambda part: as_read(part, arch))


def open_validation(store: "Store", arch: Any) -> "CorpusSet | None":
    """Return the validation corpora as an architecture reads them; None if the store has none."""
    from s2st.data.corpora import read_split

    data = read_split(store, "valid")
    if data is None:
        log.warning(
            "%s has no valid split: no early stopping, and checkpoint_best is the last",
            store.folder,
        )
        return None
    return data.read_as(lambda part: as_read(part, arch))


def as_read(corpus: "ParallelCorpus", arch: Any) -> "ParallelCorpus":
    """Return a split as an architecture reads it: without source, or with reversed targets."""
    if not getattr(arch, "reads_source", True):
        corpus = corpus.with_absent_source()
    return corpus.with_targets_reversed() if getattr(arch, "reverse_target", False) else corpus


def log_mixture(data: "CorpusSet") -> None:
    """Log the number of pairs of each corpus, and what an epoch has of it."""
    if len(data.sizes) == 1:
        return
    for (name, size), count in zip(
        data.sizes, data.counts or [size for _, size in data.sizes], strict=True
    ):
        times = f", each {count / size:.2f} times on average" if count != size else ""
        log.info("corpus %s: %s pairs; an epoch has %s%s", name, f"{size:,}", f"{count:,}", times)

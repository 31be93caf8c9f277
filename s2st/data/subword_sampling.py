"""Subword regularization (Kudo 2018; Provilkov et al. 2020): new segmentations in each epoch.

A store keeps ids of one segmentation and no text. The pieces of these ids spell the text as the
tokenizer normalized it, so other segmentations are drawn from them. A draw is used if it spells the
same characters and has as many unknown tokens; otherwise the stored segmentation stays. So every
store of a subword tokenizer can be sampled, and no store grows.

A draw is a function of (seed, epoch, number of the pair, side). It depends neither on batches nor
on ranks.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from s2st.data.parallel_corpus import ParallelCorpus, Side
from s2st.errors import UsageError
from s2st.options.option_fields import option
from s2st.text.tokenizers import SampledTokenizer, TokenizerSpec
from s2st.text.vocabulary import UNK_ID, Vocabulary

Ids = npt.NDArray[np.int32]
KEPT_DRAWS = 1 << 16  # an update counts its tokens and then loads them


@dataclass(frozen=True)
class SubwordSamplingConfig:
    """Options of subword regularization."""

    subword_sampling: bool = option(
        False,
        "draw new segmentations of the training text in each epoch (subword regularization); for "
        "--tokenizer sentencepiece and subword-nmt",
    )
    unigram_alpha: float = option(
        0.2,
        "exponent of the probabilities of SentencePiece's unigram segmentations; 0: uniform",
        minimum=0,
        maximum=100,
    )
    bpe_dropout: float = option(
        0.1, "probability that a merge of BPE is left out", minimum=0, maximum=1
    )


class SideSampler:
    """Draws segmentations of the sentences of one side.

    Args:
        tokenizer, vocabulary: of the side.
        config: strength of the sampling.
        stream: name of the random stream, which tells sides and corpora apart.
        seed: seed of the run.
    """

    def __init__(
        self,
        tokenizer: SampledTokenizer,
        vocabulary: Vocabulary,
        config: SubwordSamplingConfig,
        stream: str,
        seed: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._config = config
        self._stream = f"{seed} {stream}"
        self._kept: dict[tuple[int, int], Ids] = {}

    def draw(self, index: int, epoch: int, stored: Ids) -> Ids:
        """Return ids of another segmentation of a sentence.

        Args:
            index: number of the sentence in its split.
            epoch: the epoch, from 0.
            stored: ids in the order of the text, without EOS.
        """
        found = self._kept.get((index, epoch))
        if found is None:
            found = self._drawn(index, epoch, stored)
            if len(self._kept) >= KEPT_DRAWS:
                self._kept.clear()
            self._kept[index, epoch] = found
        return found

    def _drawn(self, index: int, epoch: int, stored: Ids) -> Ids:
        tokens = [self._vocabulary.tokens[i] for i in stored.tolist()]
        digest = hashlib.sha256(f"{self._stream} {epoch} {index}".encode()).digest()
        seed = int.from_bytes(digest[:4], "little") >> 1
        config = self._config
        drawn = self._tokenizer.resample(
            tokens, self._vocabulary.__contains__, seed, config.unigram_alpha, config.bpe_dropout
        )
        ids = np.array(self._vocabulary.encode(drawn), dtype=np.int32)
        same = np.count_nonzero(ids == UNK_ID) == np.count_nonzero(stored == UNK_ID)
        return ids if same else stored


@dataclass(frozen=True)
class SampledSide:
    """Side of a corpus ("source" or "target") with what draws its segmentations.

    Attributes:
        side: its name, which is also that of the random stream.
        spec, vocabulary: its tokenizer and its words.
    """

    side: str
    spec: TokenizerSpec
    vocabulary: Vocabulary


def sampled_corpus(
    corpus: ParallelCorpus,
    sides: Sequence[SampledSide],
    config: SubwordSamplingConfig,
    seed: int,
    name: str = "",
) -> ParallelCorpus:
    """Return a corpus whose sentences are segmented anew in each epoch.

    A side whose tokenizer has one segmentation only stays as it is.

    Args:
        corpus: the training split.
        sides: the sides to sample.
        config: strength of the sampling.
        seed: seed of the run.
        name: name of the corpus among several, so that their draws differ.

    Raises:
        UsageError: no side can be segmented anew.
    """
    found: dict[str, Side] = {}
    for one in sides:
        tokenizer = one.spec.build()
        if isinstance(tokenizer, SampledTokenizer) and tokenizer.can_resample():
            sampler = SideSampler(tokenizer, one.vocabulary, config, f"{name}{one.side}", seed)
            side: Side = getattr(corpus, one.side)
            found[one.side] = replace(side, sampler=sampler)
    if not found:
        names = " and ".join(dict.fromkeys(one.spec.name for one in sides))
        raise UsageError(
            f"--subword-sampling cannot draw segmentations of --tokenizer {names}: use --tokenizer "
            "sentencepiece (model type unigram or bpe) or subword-nmt in `s2st preprocess`"
        )
    return replace(
        corpus,
        source=found.get("source", corpus.source),
        target=found.get("target", corpus.target),
    )

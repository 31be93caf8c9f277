"""The output layer that every architecture has: features to words, and the loss of given words.

Letters: N rows, H width, V words. A word's id is its rank by frequency (the four special tokens
first), which the adaptive and the sampled softmax rely on.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import moved
from s2st.errors import UsageError
from s2st.models.base import ModelSizes
from s2st.models.packed.packed_linear import make_product
from s2st.models.registry import ModelConfig
from s2st.models.softmax.chunked_loss import at_least_float32, softmax_loss
from s2st.text.vocabulary import PAD_ID

NARROWER = 4  # how much narrower each part of an adaptive softmax is than the one before


class Output(nn.Module):
    """A softmax without bias over the target words: full, adaptive or sampled.

    The adaptive one (Grave et al. 2017) is torch's: frequent words first, rare ones in parts of a
    quarter of the width of the part before. The sampled one trains each position on its own word
    and on words that are drawn for the batch, with replacement, by a log-uniform law over ids: each
    stands for as many as its chance to be drawn is small, so that the sum over all words is
    estimated without bias (Bengio & Senecal 2003; Jean et al. 2015). Scores are those of the full
    softmax.

    Args:
        width: H.
        words: V.
        config: kind of softmax, and whether its matrix is the target embedding's.
        embedding: the target embedding, (V, H), used where the config ties.

    Raises:
        UsageError: options that do not fit together.
    """

    def __init__(
        self, width: int, words: int, config: ModelConfig, embedding: nn.Embedding | None = None
    ) -> None:
        super().__init__()
        self.words = words
        self.kind = config.softmax
        self.samples = min(config.softmax_samples, words)
        self.adaptive: nn.AdaptiveLogSoftmaxWithLoss | None = None
        self.tied: tuple[nn.Embedding, ...] = ()  # a tuple: no parameters of this module
        self._prepared: nn.Module | None = None
        if self.kind == "adaptive":
            if config.tie_embeddings != "none":
                raise UsageError("--softmax adaptive cannot share weights: leave --tie-embeddings")
            cutoffs = config.adaptive_cutoffs or default_cutoffs(width, words)
            _check_cutoffs(cutoffs, width, words)
            self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(
                width, words, list(cutoffs), div_value=NARROWER
            )
        elif config.tie_embeddings != "none":
            assert embedding is not None
            if embedding.embedding_dim != width:
                raise UsageError(
                    f"--tie-embeddings {config.tie_embeddings}: the softmax reads {width} numbers, "
                    f"the embeddings have {embedding.embedding_dim}; they must be equally wide"
                )
            self.tied = (embedding,)
        else:
            self.weight = nn.Parameter(torch.empty(words, width))
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Linear

    def matrix(self) -> torch.Tensor:
        """(V, H): logits are features @ matrix.T; raises UsageError of an adaptive softmax."""
        if self.adaptive is not None:
            raise UsageError("--softmax adaptive has no single matrix; use full or sampled")
        return self.tied[0].weight if self.tied else self.weight

    def divisible_matrix(self) -> torch.Tensor:
        """(V, H) as `matrix`, to be divided over processes.

        Raises:
            UsageError: there is none, it is an embedding too, or training is by samples of it.
        """
        if self.tied:
            raise UsageError(
                "--pipeline-stages and --vocabulary-parts divide the softmax: it cannot share its "
                "weights (--tie-embeddings none)"
            )
        if self.kind != "full":
            raise UsageError(
                f"--pipeline-stages and --vocabulary-parts divide a full softmax, not --softmax "
                f"{self.kind}"
            )
        return self.matrix()

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (..., V) of features (..., H); of an adaptive softmax they are normalized."""
        if self.adaptive is not None:
            flat = self.adaptive.log_prob(at_least_float32(features.flatten(0, -2)))
            return flat.view(*features.shape[:-1], self.words)
        if self._prepared is None:
            return F.linear(features, self.matrix())
        logits: torch.Tensor = self._prepared(features.flatten(0, -2))
        return logits.view(*features.shape[:-1], self.words)

    def loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums over N rows of the loss and of -log p(word): see `Seq2SeqModel.target_loss`.

        In training with a sampled softmax both are of the words drawn.

        Raises:
            UsageError: a sampled softmax is to be smoothed over all words.
        """
        if self.adaptive is not None:
            return self._adaptive_loss(features, words, smoothing)
        if self.kind == "sampled" and self.training:
            if smoothing:
                raise UsageError("--softmax sampled cannot be smoothed over all words: use full")
            return self._sampled_loss(features, words)
        return softmax_loss(features, self.matrix(), words, smoothing)

    def prepare(self, precision: str) -> None:
        """Lays the weights out for scoring on a CPU in this number format, for good."""
        if self.adaptive is None:
            self._prepared = make_product(self.matrix(), None, precision)
            return
        adaptive = self.adaptive
        adaptive.head = make_product(adaptive.head.weight, None, precision)  # type: ignore[assignment]
        for index, part in enumerate(adaptive.tail):
            assert isinstance(part, nn.Sequential)
            weights = (layer.get_parameter("weight") for layer in part)
            products = [make_product(weight, None, precision) for weight in weights]
            adaptive.tail[index] = nn.Sequential(*products)

    def _adaptive_loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.adaptive is not None
        features = at_least_float32(features)
        if not smoothing:
            nll = -self.adaptive(features, words).output.sum()
            return nll, nll.detach()
        log_probs = self.adaptive.log_prob(features)
        nll = -log_probs.gather(1, words.unsqueeze(1)).sum()
        return (1 - smoothing) * nll - smoothing * log_probs.mean(dim=1).sum(), nll.detach()

    def _sampled_loss(
        self, features: torch.Tensor, words: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # P(id) = log((id + 2) / (id + 1)) / log(V + 1), drawn by inverting its distribution; on
        # the CPU, so that a GPU draws the same
        uniform = torch.rand(self.samples, dtype=torch.float64)
        ids = (torch.exp(uniform * math.log(self.words + 1)) - 1).long().clamp_(max=self.words - 1)
        drawn, times = ids.unique(return_counts=True)
        chance = torch.log((drawn + 2) / (drawn + 1).double()) / math.log(self.words + 1)
        stands_for = moved(torch.log(times / (self.samples * chance)).float(), words.device)
        drawn = moved(drawn, words.device)
        matrix = self.matrix()
        target_logits = (features * F.embedding(words, matrix)).sum(dim=1, keepdim=True)
        others = at_least_float32(F.linear(features, F.embedding(drawn, matrix))) + stands_for
        # a row's own word is in the sum already, in full
        others = others.masked_fill(words.unsqueeze(1) == drawn, -torch.inf)
        logits = torch.cat([at_least_float32(target_logits), others], dim=1)
        loss = (logits.logsumexp(dim=1) - logits[:, 0]).sum()
        return loss, loss.detach()


def _check_cutoffs(cutoffs: tuple[int, ...], width: int, words: int) -> None:
    shown = f"--adaptive-cutoffs {' '.join(map(str, cutoffs))}: "
    if list(cutoffs) != sorted(set(cutoffs)) or not cutoffs or cutoffs[-1] >= words:
        raise UsageError(f"{shown}rising numbers below the vocabulary's {words} words are needed")
    if width < NARROWER ** len(cutoffs):
        raise UsageError(
            f"{shown}each part has a {NARROWER}th of the width of the one before, and there are "
            f"only {width} numbers to begin with; give fewer"
        )


def default_cutoffs(width: int, words: int) -> tuple[int, ...]:
    """A sixteenth of the words in the first part, three sixteenths in the second.

    There are fewer parts where the width of the features or the words are too few for three.
    """
    first = max(1, words // 16)
    cutoffs = [first, max(first + 1, words // 4)]
    return tuple(
        cut
        for count, cut in enumerate(cutoffs, start=1)
        if cut < words and width >= NARROWER**count
    )


def word_tables(
    config: ModelConfig, sizes: ModelSizes, width: int
) -> tuple[nn.Embedding, nn.Embedding]:
    """The source and the target embedding, which are one where the config shares all.

    Raises:
        UsageError: they are to be one, and the vocabularies are not of one size.
    """
    if config.tie_embeddings != "all":
        source = nn.Embedding(sizes.source_vocabulary, width, PAD_ID)
        return source, nn.Embedding(sizes.target_vocabulary, width, PAD_ID)
    if sizes.source_vocabulary != sizes.target_vocabulary:
        raise UsageError(
            "--tie-embeddings all needs one vocabulary for both sides: preprocess with "
            "--joined-dictionary"
        )
    table = nn.Embedding(sizes.target_vocabulary, width, PAD_ID)
    return table, table

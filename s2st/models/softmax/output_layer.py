"""The output layer of every architecture: logits of features, and the loss of target words.

Letters: N rows, H width, V words. Word ids are sorted by frequency, after the four special tokens.
The adaptive and the sampled softmax depend on that order.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import moved
from s2st.errors import UsageError
from s2st.models.base import ModelSizes
from s2st.models.configs import ModelConfig
from s2st.models.packed.packed_linear import make_product
from s2st.models.softmax.chunked_loss import at_least_float32, softmax_loss
from s2st.models.vector_input import VectorInput
from s2st.text.vocabulary import PAD_ID

NARROWER = 4  # each part of an adaptive softmax has 1 / NARROWER of the width of the one before


class Output(nn.Module):
    """A softmax over the target words: full, adaptive or sampled.

    The adaptive softmax (Grave et al. 2017) is torch's. The first part has the frequent words; each
    further part has rarer words and a quarter of the width of the part before.

    The sampled softmax trains each position on its target word and on words drawn for the batch,
    with replacement, from a log-uniform distribution over ids. A drawn word is weighted by the
    inverse of its probability, so that the estimate of the sum over all words has no bias (Bengio &
    Senecal 2003; Jean et al. 2015). Scoring uses the full softmax.

    Args:
        width: H.
        words: V.
        config: the kind of softmax, and whether it shares the target embedding's matrix.
        embedding: the target embedding (V, H), used if the config ties the weights.

    Raises:
        UsageError: options contradict each other.
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
        self.bias: nn.Parameter | None = None
        self._prepared: nn.Module | None = None
        if getattr(config, "output_bias", False):
            if self.kind != "full":
                raise UsageError(f"--output-bias needs --softmax full, not {self.kind}")
            self.bias = nn.Parameter(torch.zeros(words))
        if self.kind == "adaptive":
            if config.tie_embeddings != "none":
                raise UsageError(
                    "--softmax adaptive cannot share weights: use --tie-embeddings none"
                )
            cutoffs = config.adaptive_cutoffs or default_cutoffs(width, words)
            _check_cutoffs(cutoffs, width, words)
            self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(
                width, words, list(cutoffs), div_value=NARROWER
            )
        elif config.tie_embeddings != "none":
            assert embedding is not None
            if embedding.embedding_dim != width:
                raise UsageError(
                    f"--tie-embeddings {config.tie_embeddings}: the softmax has the width {width}, "
                    f"the embeddings have {embedding.embedding_dim}; they must be equally wide"
                )
            self.tied = (embedding,)
        else:
            self.weight = nn.Parameter(torch.empty(words, width))
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # like nn.Linear

    def matrix(self) -> torch.Tensor:
        """(V, H): logits are features @ matrix.T; raises UsageError for an adaptive softmax."""
        if self.adaptive is not None:
            raise UsageError("--softmax adaptive has no single matrix; use full or sampled")
        return self.tied[0].weight if self.tied else self.weight

    def divisible_matrix(self) -> torch.Tensor:
        """The matrix (V, H), which the caller divides over processes.

        Raises:
            UsageError: the softmax is not full, has a bias, or shares its matrix with an embedding.
        """
        if self.bias is not None:
            raise UsageError("--pipeline-stages and --vocabulary-parts need --no-output-bias")
        if self.tied:
            raise UsageError(
                "--pipeline-stages and --vocabulary-parts divide the softmax, which then cannot "
                "share its weights: use --tie-embeddings none"
            )
        if self.kind != "full":
            raise UsageError(
                f"--pipeline-stages and --vocabulary-parts divide a full softmax, not --softmax "
                f"{self.kind}"
            )
        return self.matrix()

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (..., V) of features (..., H); an adaptive softmax returns log-probabilities."""
        if self.adaptive is not None:
            flat = self.adaptive.log_prob(at_least_float32(features.flatten(0, -2)))
            return flat.view(*features.shape[:-1], self.words)
        if self._prepared is None:
            return F.linear(features, self.matrix(), self.bias)
        logits: torch.Tensor = self._prepared(features.flatten(0, -2))
        return logits.view(*features.shape[:-1], self.words)

    def loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums over N rows of the loss and of -log p(word): see `Seq2SeqModel.target_loss`.

        In training with a sampled softmax, both sums are over the target and the drawn words.

        Raises:
            UsageError: smoothing is asked of a sampled softmax, which has no loss over all words.
        """
        if self.adaptive is not None:
            return self._adaptive_loss(features, words, smoothing)
        if self.kind == "sampled" and self.training:
            if smoothing:
                raise UsageError(
                    "--softmax sampled cannot be smoothed over all words: use --softmax full"
                )
            return self._sampled_loss(features, words)
        if self.bias is not None:  # a further feature that is always 1
            features = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
            matrix = torch.cat([self.matrix(), self.bias.unsqueeze(1)], dim=1)
            return softmax_loss(features, matrix, words, smoothing)
        return softmax_loss(features, self.matrix(), words, smoothing)

    def prepare(self, precision: str) -> None:
        """Packs the weights for scoring on a CPU in this precision, permanently."""
        if self.adaptive is None:
            self._prepared = make_product(self.matrix(), self.bias, precision)
            return
        adaptive = self.adaptive
        adaptive.head = make_product(adaptive.head.weight, None, precision)  # type: ignore[assignment]
        for index, part in enumerate(adaptive.tail):
            assert isinstance(part, nn.Sequential)
            weights = (layer.get_parameter("weight") for layer in part)
            products = [make_product(weight, None, precision) for weight in weights]
            adaptive.tail[index] = nn.Sequential(*products)

    def narrowed(self, words: torch.Tensor, precision: str) -> nn.Module:
        """The product (N, H) -> (N, K) with the rows of K words, packed as `prepare` does.

        Raises:
            UsageError: the softmax is adaptive.
        """
        if self.adaptive is not None:
            raise UsageError(
                "--shortlist cannot narrow an adaptive softmax: train with --softmax full or "
                "sampled"
            )
        bias = None if self.bias is None else self.bias.detach()[words]
        return make_product(self.matrix().detach()[words], bias, precision)

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
        # P(id) = log((id + 2) / (id + 1)) / log(V + 1), drawn by inverting the distribution
        # function; on the CPU, so that the draws are the same with and without a GPU
        uniform = torch.rand(self.samples, dtype=torch.float64)
        ids = (torch.exp(uniform * math.log(self.words + 1)) - 1).long().clamp_(max=self.words - 1)
        drawn, times = ids.unique(return_counts=True)
        chance = torch.log((drawn + 2) / (drawn + 1).double()) / math.log(self.words + 1)
        stands_for = moved(torch.log(times / (self.samples * chance)).float(), words.device)
        drawn = moved(drawn, words.device)
        matrix = self.matrix()
        target_logits = (features * F.embedding(words, matrix)).sum(dim=1, keepdim=True)
        others = at_least_float32(F.linear(features, F.embedding(drawn, matrix))) + stands_for
        # the sum already has the target word, with weight 1
        others = others.masked_fill(words.unsqueeze(1) == drawn, -torch.inf)
        logits = torch.cat([at_least_float32(target_logits), others], dim=1)
        loss = (logits.logsumexp(dim=1) - logits[:, 0]).sum()
        return loss, loss.detach()


def _check_cutoffs(cutoffs: tuple[int, ...], width: int, words: int) -> None:
    shown = f"--adaptive-cutoffs {' '.join(map(str, cutoffs))}: "
    if list(cutoffs) != sorted(set(cutoffs)) or not cutoffs or cutoffs[-1] >= words:
        raise UsageError(f"{shown}give increasing numbers below the vocabulary's {words} words")
    if width < NARROWER ** len(cutoffs):
        raise UsageError(
            f"{shown}each part has 1/{NARROWER} of the width of the one before, and the first has "
            f"only {width}; give fewer numbers"
        )


def default_cutoffs(width: int, words: int) -> tuple[int, ...]:
    """First ids of the second and third part: 1/16 and 1/4 of the words.

    There are fewer parts if the features are too narrow, or the words too few, for three.
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
    """The source and the target embedding; one table with `--tie-embeddings all`.

    Raises:
        UsageError: one table is asked for, but the vocabularies have different sizes.
    """
    if sizes.source_vectors:
        if config.tie_embeddings == "all":
            raise UsageError(
                "--tie-embeddings all: a source of vectors (--source-vectors) has no table of word "
                "vectors to share; use output"
            )
        vectors = VectorInput(sizes.source_vectors, width)
        return vectors, nn.Embedding(sizes.target_vocabulary, width, PAD_ID)
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

"""Guided alignment: attention learns which source words translate a target word (Chen et al. 2016).

A lexicon of word translations says which source word j a target word t belongs to, by the posterior
of IBM model 1: a_tj = p(t | s_j) / (sum over source words k of p(t | s_k)). Chen et al. take links
of GIZA++ instead of a_tj. The loss of a sentence pair is

    cross entropy - weight * (sum over t and j of a_tj * log w_tj),

where w_tj is the attention weight (their equation 6, cross entropy; also in Liu et al. 2016). The
words of each batch are looked up in the lexicon, so that subword sampling changes nothing.

Letters: B sentences, S source and T target length, L entries of the lexicon.
"""

import numpy as np
import torch

from s2st.criteria.cross_entropy import Criterion, CriterionOutput, check_smoothing, decoded_loss
from s2st.criteria.registry import GuidedAlignmentConfig
from s2st.data.batch import Batch, moved
from s2st.errors import UsageError
from s2st.lexicon.lexicon_files import Lexicon, read_lexicon
from s2st.models.attention_record import recorded, weights_of
from s2st.models.base import Seq2SeqModel
from s2st.models.model_record import ModelRecord
from s2st.models.multi_decoder import MultiDecoderModel
from s2st.models.softmax.chunked_loss import at_least_float32


class TranslationTable:
    """Looks up the translation probabilities of many word pairs.

    Args:
        lexicon: word translations.
        target_words: size of the target vocabulary.
    """

    def __init__(self, lexicon: Lexicon, target_words: int) -> None:
        keys = lexicon.source * target_words + lexicon.target
        order = np.argsort(keys, kind="stable")
        self._target_words = target_words
        self._keys = torch.from_numpy(keys[order])  # (L,), rising
        self._values = torch.from_numpy(lexicon.probabilities()[order]).float()

    def probabilities(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """p(target | source) (B, T, S) of ids (B, S) and (B, T); 0 for pairs without an entry."""
        self._keys = moved(self._keys, source.device)
        self._values = moved(self._values, source.device)
        wanted = source.unsqueeze(1) * self._target_words + target.unsqueeze(2)
        places = torch.searchsorted(self._keys, wanted).clamp(max=len(self._keys) - 1)
        found = self._values[places]
        return torch.where(self._keys[places] == wanted, found, torch.zeros_like(found))


def posteriors(probabilities: torch.Tensor) -> torch.Tensor:
    """(B, T, S) a_tj of p(t | s_j); zeros for a target word that no source word translates."""
    sums = probabilities.sum(dim=2, keepdim=True)
    return probabilities / sums.clamp(min=torch.finfo(sums.dtype).tiny)


def alignment_loss(weights: torch.Tensor, alignment: torch.Tensor) -> torch.Tensor:
    """-sum of a_tj * log w_tj.

    Args:
        weights: (B, T, S) attention weights, in at least float32.
        alignment: (B, T, S) a_tj; 0 at padding.
    """
    least = torch.finfo(weights.dtype).tiny  # padding has the weight 0
    return -(alignment * weights.clamp(min=least).log()).sum()


class GuidedAlignment(Criterion):
    """Cross entropy, and in training the alignment loss of the top layer's attention.

    The weights of several heads are averaged, as in `generate --alignments`. In validation this is
    cross entropy alone.
    """

    def __init__(self, config: GuidedAlignmentConfig) -> None:
        self.config = config
        self._table: TranslationTable | None = None

    def check(self, model: Seq2SeqModel) -> None:
        """Raises UsageError for models that cannot be guided, or as `check_smoothing`."""
        if isinstance(model, MultiDecoderModel):
            raise UsageError(
                "--criterion guided-alignment cannot be combined with --decoders per-language: a "
                "lexicon has one target vocabulary"
            )
        if not model.source_attention():
            raise UsageError(
                "--criterion guided-alignment needs attention to the source: use --arch "
                "lstm-attention, gru-attention or transformer"
            )
        check_smoothing(model, self.config.label_smoothing)

    def read_files(self, record: ModelRecord) -> None:
        """Reads the lexicon.

        Raises:
            UsageError: there is no lexicon, or it cannot have the model's words.
            InputMissingError, DataError: the lexicon cannot be read.
        """
        path = self.config.alignment_lexicon
        if path is None:
            raise UsageError(
                "--criterion guided-alignment needs --alignment-lexicon FILE; `s2st train-lexicon` "
                "writes one"
            )
        if record.source_tokenizer.vector_size:
            raise UsageError("--criterion guided-alignment needs sources of words, not vectors")
        source, target = record.source_vocabulary, record.target_vocabulary
        self._table = TranslationTable(read_lexicon(path, source, target), len(target))

    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums over the batch."""
        model.check_pairs(batch)
        state = model.initial_state(model.encode(batch.source))
        smoothing = self.config.label_smoothing
        if self._table is None or not model.training:
            return decoded_loss(model, state, batch, smoothing)
        top = model.source_attention()[-1:]
        with recorded(top, gradient=True) as record:
            output = decoded_loss(model, state, batch, smoothing)
        (weights,) = weights_of(record, top)
        found = self._table.probabilities(batch.source.tokens, batch.target_out)
        loss = alignment_loss(at_least_float32(weights.mean(dim=1)), posteriors(found))
        total = output.loss_sum + self.config.alignment_weight * loss
        return CriterionOutput(total, output.nll_sum, output.token_count, output.sentence_count)

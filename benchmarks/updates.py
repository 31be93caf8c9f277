"""One training update for the benchmarks: what the trainer makes of a batch, and plainer ways."""

import math
from collections.abc import Callable

import torch
from model_sizes import LSTM, make_model, work_of

from s2st.criteria.cross_entropy import CrossEntropy
from s2st.criteria.registry import CrossEntropyConfig
from s2st.data.batch import Batch
from s2st.models.base import ModelSizes, Seq2SeqModel
from s2st.models.recurrent.encoder_decoder import RecurrentModel, RecurrentState
from s2st.training.gradient_accumulation import Loss as TrainingLoss
from s2st.training.optimizers import OPTIMIZERS
from s2st.training.sparse_embeddings import clip_gradients, set_sparse_tables

CLIP = 5.0
CPU = torch.device("cpu")
Loss = Callable[[Seq2SeqModel, Batch], torch.Tensor]


class Updates:
    """A model of any size, with an optimizer of ours, and how it learns.

    Args:
        layers, width: of encoder and decoder.
        sizes: vocabularies.
        optimizer: its name; with its default options.
        device: of the model; batches are moved to it.
        architecture: LSTM (the paper's) or TRANSFORMER.
        precision: of the trainer's own loss: float32 or bfloat16.
        dropout: of the model.
    """

    def __init__(
        self,
        layers: int,
        width: int,
        sizes: ModelSizes,
        optimizer: str,
        device: torch.device = CPU,
        architecture: str = LSTM,
        precision: str = "float32",
        dropout: float = 0.0,
    ) -> None:
        torch.manual_seed(1)
        self.model = make_model(architecture, layers, width, sizes, dropout).train().to(device)
        criterion = CrossEntropy(CrossEntropyConfig())
        self.loss = TrainingLoss(self.model, criterion, device, precision)
        self.device = device
        rule = OPTIMIZERS.get(optimizer)
        self.optimizer = rule.build(rule.config_type(), self.model.parameters())
        set_sparse_tables(self.model, getattr(self.optimizer, "sparse_tables", False))
        self.work = work_of(self.model)

    def update(self, batch: Batch, loss: Loss | None = None) -> float:
        """Gradient of the loss a sentence, clipping, optimizer; the loss.

        The loss is that of the trainer, unless another one is given.
        """
        self.optimizer.zero_grad(set_to_none=True)
        moved = batch.to(self.device)
        value = self.loss(moved)[0] if loss is None else loss(self.model, moved)
        (value / len(batch)).backward()  # type: ignore[no-untyped-call]
        clip_gradients(self.model.parameters(), CLIP)
        self.optimizer.step()
        result = float(value.detach())
        if not math.isfinite(result):
            raise RuntimeError(f"loss {result}")
        return result

    def operations(self, source_words: int, target_words: int) -> float:
        """Useful ones of an update: 6 a weight of a product and real position."""
        return 3 * self.work.operations(source_words, target_words)


def plain_loss(model: Seq2SeqModel, batch: Batch) -> torch.Tensor:
    """With all logits of the real positions held, and automatic gradients."""
    features = model.decode(batch.target_in, model.initial_state(model.encode(batch.source)))
    mask = batch.target_mask()
    return Seq2SeqModel.target_loss(model, features[mask], batch.target_out[mask], 0.0)[0]


def padded_loss(model: Seq2SeqModel, batch: Batch) -> torch.Tensor:
    """The time of padding everywhere: an encoder that reads it, logits of every position.

    For recurrent models. The encoder's states are those after the padding: nobody should translate
    with them.
    """
    assert isinstance(model, RecurrentModel)
    inputs = model.source_embedding(batch.source.tokens.t())
    _, memory = model.encoder.run(inputs, None, 0.0)
    features = model.decode(batch.target_in, RecurrentState(memory, None))
    logits = model.project(features)
    mask = batch.target_mask().flatten()
    words = torch.where(mask, batch.target_out.flatten(), -100)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), words, reduction="sum")

"""How strongly each source position influences each target word: norms of gradients.

For a sentence pair, the number at (t, s) is the Euclidean norm of the gradient of
log p(y_t | y_<t, x) with respect to the embedding of the source token x_s. It says how much the
prediction changes if that embedding moves a little, and how much the embedding would learn from
that word. Where the norms shrink with the number of recurrent steps between both positions, the
gradient vanishes (Bengio, Simard and Frasconi 1994).

Letters: S source positions, T target positions, both with EOS, E width of the embeddings, N rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import SourceBatch, make_batch
from s2st.errors import UsageError
from s2st.models.base import Seq2SeqModel
from s2st.models.languages import ANY, LanguageChoice
from s2st.models.model_files import load_saved
from s2st.models.softmax.chunked_loss import at_least_float32
from s2st.scoring.base import TextSide
from s2st.scoring.load_scorers import text_sides

Floats = npt.NDArray[np.float64]
POSITIONS = 1 << 14  # source and target positions that are computed together


@dataclass(frozen=True)
class Differentiable:
    """A model whose gradients are asked for; its weights are as they were trained.

    Attributes:
        model: the model in evaluation mode.
        source, target: the sides that define tokens and ids.
        tag: id of the tag that the model reads before each source; None without tags.
        architecture: its name.
        reads_reversed: whether the encoder reads the last source word first.
    """

    model: Seq2SeqModel
    source: TextSide
    target: TextSide
    tag: int | None
    architecture: str
    reads_reversed: bool


def load_differentiable(
    path: str, device: torch.device, languages: LanguageChoice = ANY
) -> Differentiable:
    """Load a checkpoint without preparing its weights for scoring.

    Raises:
        InputMissingError, CheckpointError: the path is no checkpoint.
        UsageError: the model has no source, or no table of source embeddings.
    """
    saved, model = load_saved(path, device, choice=languages)
    record = saved.record
    source, target = text_sides(record)
    if source.absent:
        raise UsageError(f"{path}: a language model reads no source, so no gradient reaches one")
    if model.embeddings().source is None:
        raise UsageError(
            f"{path}: the architecture {record.architecture} has no table of source embeddings"
        )
    reads_reversed = bool(getattr(record.config, "reverse_source", False))
    return Differentiable(
        model.eval(), source, target, record.tag, record.architecture, reads_reversed
    )


def gradient_norms(
    model: Seq2SeqModel, source: Sequence[int], target: Sequence[int], tag: int | None = None
) -> Floats:
    """Return (T, S) norms of the gradients of a sentence pair.

    The source is repeated for each target word. So one backward pass returns the gradients of
    several words, and models whose backward pass can run only once work too.

    Args:
        model: a model in evaluation mode, whose weights are not prepared for scoring.
        source, target: ids without EOS; the target's are in the order of prediction.
        tag: id of a tag before the source, which has no column.

    Raises:
        DataError: the model gives the pair the probability 0.
        UsageError: no gradient reaches the table of source embeddings.
    """
    device = next(model.parameters()).device
    batch = make_batch([source], [target], [0])
    if tag is not None:
        batch = make_batch([[tag, *source]], [target], [0])
    model.check_pairs(batch)
    batch = batch.to(device)
    length, width = batch.target_tokens, batch.source_tokens
    size = max(1, POSITIONS // (length + width))
    parts = []
    for begin in range(0, length, size):
        rows = torch.arange(begin, min(length, begin + size), device=device)
        parts.append(_gradients(model, batch.source, batch.target_in, batch.target_out, rows))
    norms: Floats = torch.cat(parts).numpy()
    return norms if tag is None else norms[:, 1:]


def _gradients(
    model: Seq2SeqModel,
    source: SourceBatch,
    target_in: torch.Tensor,
    target_out: torch.Tensor,
    rows: torch.Tensor,
) -> torch.Tensor:
    """(N, S) norms of the target positions `rows` (N,), as float64 on the CPU."""
    count, width = len(rows), source.tokens.shape[1]
    table = model.embeddings().source
    assert table is not None
    inputs = table(source.tokens).detach().repeat(count, 1, 1).requires_grad_()
    # each position of each copy has an id of its own, so that no two share a gradient
    ids = torch.arange(count * width, device=rows.device).view(count, width)
    copies = SourceBatch(ids, source.lengths.repeat(count), source.line_ids * count)
    # cuDNN has no backward pass for recurrent layers in evaluation mode
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        with _reading(table, inputs.flatten(0, 1)):
            encoded = model.encode(copies)
        state = model.initial_state(encoded)
        features = model.decode(target_in.expand(count, -1), state)
        chosen = features[torch.arange(count, device=rows.device), rows]
        log_probs = torch.log_softmax(at_least_float32(model.project(chosen)), dim=-1)
        total = log_probs.gather(1, target_out[0, rows].unsqueeze(1)).sum()
        if not total.requires_grad:
            raise _no_gradient()
        (found,) = torch.autograd.grad(total, [inputs], allow_unused=True)
    if found is None:
        raise _no_gradient()
    # in float64, because squares of small numbers underflow in float32
    norms: torch.Tensor = found.double().norm(dim=2)
    return norms.cpu()


@contextmanager
def _reading(table: nn.Embedding, rows: torch.Tensor) -> Iterator[None]:
    """Let a table return these rows (N x S, E) for the ids from 0 on."""
    table.__dict__["forward"] = lambda ids: F.embedding(ids, rows)
    try:
        yield
    finally:
        del table.__dict__["forward"]


def _no_gradient() -> UsageError:
    return UsageError(
        "no gradient reaches the source embeddings: the model's encode() does not call the table "
        "that embeddings() returns"
    )

"""Sentence vectors: the encoder's final state of each line, as a matrix."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import make_source
from s2st.data.batch_planner import BatchingConfig, plan_in_order
from s2st.errors import UsageError, describe_lines
from s2st.process.device import out_of_memory_errors
from s2st.scoring.base import Scorer

ALL = "all"  # name of the concatenation of all parts of a state
BATCHING = BatchingConfig(batch_size=256, max_tokens=16_384)
Matrix = npt.NDArray[np.float64]


def sentence_vectors(scorer: Scorer, lines: Sequence[str], part: str = ALL) -> Matrix:
    """Return the states (N, D) of N lines, at least one, in float64.

    Args:
        scorer: a model, or an ensemble, whose members' states are concatenated.
        lines: the lines, not tokenized.
        part: part of the state. A recurrent model has "hidden", an LSTM also "cell"; "all" is the
            concatenation of all parts.

    Raises:
        UsageError: the model's state has no such part.
        OutOfMemoryError: the message names the lines by number.
    """
    tokenize = scorer.source.tokenizer.encode
    rows = [scorer.source.ids(tokenize(line)) for line in lines]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    order, found = [], []
    for batch in plan_in_order(lengths, BATCHING):
        indices = batch.tolist()
        with out_of_memory_errors(describe_lines(indices, int(lengths[batch].max()))):
            source = make_source([rows[i] for i in indices], indices)
            parts = scorer.sentence_vectors(source)
        if part != ALL and part not in parts:
            known = ", ".join([*parts, ALL])
            raise UsageError(f"--part {part}: this model's state has only {known}")
        chosen = list(parts.values()) if part == ALL else [parts[part]]
        found.append(torch.cat(chosen, dim=1).double().cpu().numpy())
        order += indices
    result = np.empty((len(rows), found[0].shape[1]))
    result[order] = np.concatenate(found)
    return result

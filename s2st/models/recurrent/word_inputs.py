"""Inputs of the first recurrent layer: embeddings of distinct words, or of every position."""

import torch

from s2st.models.dropout import dropped
from s2st.models.recurrent.bidirectional_stack import BidirectionalStack
from s2st.models.recurrent.layer_stack import Stack
from s2st.models.vector_input import InputTable


def word_inputs(
    table: InputTable,
    tokens: torch.Tensor,
    stack: Stack | BidirectionalStack,
    dropout: float,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The inputs of a stack for tokens (T, B), and which one each position reads.

    Returns:
        (U, E) embeddings of the distinct words and (T, B) their numbers, where the stack can use
        them. Otherwise (T, B, E) embeddings of every position, with dropout, and None: dropout
        makes the inputs of equal words different.
    """
    drops = dropout > 0 and stack.training
    if not drops and stack.shares_words(table.weight):
        words, rows = torch.unique(tokens, return_inverse=True)
        if stack.worth_sharing(rows, len(words)):
            return table(words), rows
    return dropped(table(tokens), dropout, stack.training), None

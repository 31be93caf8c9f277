"""The tables of words of fairseq's models in the order of s2st's ids."""

import torch

from s2st.errors import DataError
from s2st.text.vocabulary import Vocabulary

SOURCE_ROWS = (1, 0, 2, 3)  # fairseq's ids of <pad> <s> </s> <unk>
TARGET_ROWS = (1, 2, 2, 3)  # as read by the decoder, which starts from </s>
TABLES = {
    "source_embedding": SOURCE_ROWS,
    "target_embedding": TARGET_ROWS,
    "softmax": SOURCE_ROWS,
}


def word_rows(name: str, table: torch.Tensor, vocabulary: Vocabulary, where: str) -> torch.Tensor:
    """The rows of one of `TABLES`, or the elements of the softmax's bias.

    Raises:
        DataError: the table does not fit the vocabulary.
    """
    if len(table) != len(vocabulary):
        raise DataError(
            f"{where}: {len(table)} rows of {name}, but {len(vocabulary)} words and special "
            "tokens; is it the dictionary of the training?"
        )
    special = TABLES[name]
    return torch.cat([table[list(special)], table[len(special) :]])

"""The vocabularies of OpenNMT-py's models, and their tables of words in the order of s2st's ids.

`vocab.json` has the tokens of both sides in the order of their ids, and the token that starts a
target. The special tokens are `<blank>` (padding), `<s>`, `</s>` and `<unk>`, at any place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from s2st.errors import DataError
from s2st.models.foreign_folder import ForeignFolder, text_of
from s2st.text.tokenizers import SPACE_SIGN
from s2st.text.vocabulary import SPECIALS, Vocabulary

PAD, BOS, EOS, UNK = "<blank>", "<s>", "</s>", "<unk>"
MISSING = -1  # in place of a row that a vocabulary does not have


@dataclass(frozen=True)
class Words:
    """A vocabulary of OpenNMT-py.

    Attributes:
        vocabulary: as s2st has it.
        rows: for each of its ids, the row of the table of embeddings, or MISSING.
        outputs: as `rows`, in the softmax. It differs where a target starts with another token.
    """

    vocabulary: Vocabulary
    rows: Sequence[int]
    outputs: Sequence[int]


def read_words(folder: ForeignFolder) -> tuple[Words, Words]:
    """The vocabularies of source and target of a folder's vocab.json.

    Raises:
        InputMissingError: there is no such file.
        DataError: it does not describe two vocabularies, or lacks a special token.
    """
    fields, where = folder.json("vocab.json"), f"{folder.path}/vocab.json"
    start = text_of(fields.get("decoder_start_token")) or BOS
    return _words(fields, "src", BOS, where), _words(fields, "tgt", start, where)


def _words(fields: Mapping[str, Any], side: str, start: str, where: str) -> Words:
    tokens = fields.get(side)
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise DataError(f"{where}: {side} is not a list of tokens")
    if fields.get(f"{side}_feats"):
        raise DataError(f"{where}: the model reads features of words; s2st reads models without")
    ids = {token: number for number, token in enumerate(tokens)}
    needed = (PAD, UNK) if side == "src" else (PAD, UNK, EOS, start)
    for token in needed:
        if token not in ids:
            raise DataError(f"{where}: {side} has no {token}")
    special = {PAD, BOS, EOS, UNK}
    words = [token for token in tokens if token not in special]
    spelled = ["".join(SPACE_SIGN if c.isspace() else c for c in word) for word in words]
    if "" in spelled or len({*spelled, *SPECIALS}) < len(spelled) + len(SPECIALS):
        raise DataError(f"{where}: {side} has an empty token, <pad>, or a token twice")
    own = [ids[word] for word in words]
    first = [ids.get(token, MISSING) for token in (PAD, BOS, EOS, UNK)]
    rows = [first[0], ids.get(start, MISSING), *first[2:], *own]
    return Words(Vocabulary(spelled, [1] * len(spelled)), rows, [*first, *own])


def picked(table: torch.Tensor, rows: Sequence[int], missing: float, where: str) -> torch.Tensor:
    """The rows of a table, or the elements of a bias, with a number in place of missing ones.

    Raises:
        DataError: the table does not fit the vocabulary.
    """
    if len(table) != max(rows) + 1:
        raise DataError(
            f"{where}: {len(table)} rows of words, but {max(rows) + 1} tokens in vocab.json"
        )
    found = table[[max(row, 0) for row in rows]].clone()
    found[torch.tensor(rows) == MISSING] = missing
    return found

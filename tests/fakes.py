"""A Scorer whose answer is known: a table says the probability of every next word."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from s2st.data.batch import SourceBatch
from s2st.models.base import DecoderState
from s2st.scoring.base import Scorer, ScorerStep, TextSide
from s2st.text.tokenizers import NoneConfig, TokenizerSpec, WhitespaceTokenizer
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, Vocabulary


def text_side(words: str, language: str = "en") -> TextSide:
    """A side whose vocabulary is the words of a string."""
    spec = TokenizerSpec("none", NoneConfig(), language)
    names = words.split()
    return TextSide(language, WhitespaceTokenizer(spec), Vocabulary(names, [1] * len(names)))


MAX_POSITIONS = 12


@dataclass(frozen=True)
class FakeState(DecoderState):
    """All that the fake remembers: each row's first source word, and how many words it read."""

    keys: torch.Tensor
    read: torch.Tensor

    def select(self, rows: torch.Tensor) -> "FakeState":
        return FakeState(self.keys.index_select(0, rows), self.read.index_select(0, rows))


class FakeScorer(Scorer):
    """p(next | word before, position, first source word), from a table.

    Args:
        tables: for each first source word's id, (V, V) probabilities: row the word before, column
            the next one; or (L, V, V), one such table a position, the last one for all later.
        words: the target words, ids from 4.

    Attributes:
        rows: how many rows each call of `step` was given.
    """

    def __init__(self, tables: Mapping[int, np.ndarray], words: str) -> None:
        self.source = text_side("A B C D E F", "en")
        self.target = text_side(words, "fr")
        self.device = torch.device("cpu")
        size = len(self.target.vocabulary)
        shape = (len(self.source.vocabulary), MAX_POSITIONS, size, size)
        self._log_probs = torch.full(shape, torch.nan, dtype=torch.float64)
        for key, table in tables.items():
            with np.errstate(divide="ignore"):
                log = torch.from_numpy(np.log(table)).reshape(-1, size, size)
            self._log_probs[key, : len(log)] = log
            self._log_probs[key, len(log) :] = log[-1]
        self.rows: list[int] = []

    def start(self, source: SourceBatch) -> FakeState:
        return FakeState(source.tokens[:, 0], torch.zeros_like(source.tokens[:, 0]))

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        assert isinstance(state, FakeState)
        assert tokens.shape == state.keys.shape
        self.rows.append(len(tokens))
        position = state.read.clamp(max=MAX_POSITIONS - 1)
        after = FakeState(state.keys, state.read + 1)
        return ScorerStep(self._log_probs[state.keys, position, tokens], after, None)


def random_table(seed: int, words: int, end: float = 1.0, sharpness: float = 1.0) -> np.ndarray:
    """(12, V, V) random next-word probabilities; `end` scales EOS's, pad and BOS have none.

    They differ by position, so that no two hypotheses have the same probability.
    """
    rng = np.random.default_rng(seed)
    size = (MAX_POSITIONS, words + 4, words + 4)
    table = rng.gamma(1.0 / sharpness, size=size) + 1e-4
    table[..., EOS_ID] *= end
    table[..., [PAD_ID, BOS_ID]] = 0
    return table / table.sum(axis=-1, keepdims=True)

"""An n-gram model as a `Scorer`: no source, and the words of its ARPA file."""

import copy
import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from s2st.data.batch import Batch, SourceBatch
from s2st.models.base import DecoderState
from s2st.ngram.arpa_files import LOG10_OF_ZERO, read_arpa, read_model, read_words
from s2st.ngram.lookup_tables import NGrams
from s2st.process.consistent_reads import check_same, stamp_of
from s2st.scoring.base import Advance, Features, Scorer, ScorerStep, TextSide
from s2st.text.tokenizers import (
    ABSENT,
    MODEL_KINDS,
    NoneConfig,
    TokenizerSpec,
    absent_side,
)
from s2st.text.vocabulary import BOS_ID, PAD_ID, UNK_ID, Vocabulary

log = logging.getLogger("s2st")


@dataclass(frozen=True)
class NGramState(DecoderState):
    """The last words of each row, as contexts.

    Attributes:
        contexts: (N, order - 1) int64; column j - 1 is the number of the n-gram of the last j
            words, or -1 if there is no such n-gram.
    """

    contexts: torch.Tensor

    def select(self, rows: torch.Tensor) -> "NGramState":
        """A new state with these rows."""
        return NGramState(self.contexts.index_select(0, rows))


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length, as in `ngram/lookup_tables.py`, with natural logarithms."""

    keys: torch.Tensor
    log_probs: torch.Tensor
    backoffs: torch.Tensor


class _Tables:
    """Tables of a file on a device; with kenlm they are read only when a step needs them."""

    def __init__(self, path: str | Path, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self.path = path
        self._stamp = stamp_of(Path(path))
        self.kenlm = kenlm_model(path)
        self._orders: list[_Order] | None = None
        if self.kenlm is not None:
            self.vocabulary, self.tokenizer = read_words(path)
        else:
            ngrams, self.tokenizer = read_model(path)
            self.vocabulary, self._orders = ngrams.vocabulary, self._moved(ngrams)
        check_same(Path(path), self._stamp)

    @property
    def orders(self) -> list[_Order]:
        """Single words first."""
        if self._orders is None:
            self._orders = self._moved(read_arpa(self.path))
            check_same(Path(self.path), self._stamp)  # as kenlm has read it
        return self._orders

    def _moved(self, ngrams: NGrams) -> list[_Order]:
        orders = [
            _Order(
                torch.from_numpy(order.keys).to(self.device),
                torch.from_numpy(order.log_probs * math.log(10)).to(self.device, self.dtype),
                torch.from_numpy(order.backoffs * math.log(10)).to(self.device, self.dtype),
            )
            for order in ngrams.orders
        ]
        for never in (PAD_ID, BOS_ID):
            orders[0].log_probs[never] = -math.inf
        return orders


def kenlm_model(path: str | Path) -> Any:
    """The file loaded by KenLM; None if kenlm is not installed, or cannot read the file.

    In that case the reader of s2st reads the file, or reports what is wrong with it.
    """
    try:
        import kenlm
    except ImportError:
        return None
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config)
    except (OSError, RuntimeError, ValueError):
        return None


class NGramScorer(Scorer):
    """p(word | last words) of an n-gram model, on any device. Missing words count as `<unk>`.

    If kenlm is installed, it scores whole sentences (`score`) in float32. The tables, which take
    several times longer to load, are then loaded only for the steps of a search.

    Args:
        path: the ARPA file.
        device: device of the tables.
        dtype: data type of log-probabilities.

    Raises:
        InputMissingError, DataError: see `read_arpa` in `ngram/arpa_files.py`.
    """

    # -99, less rounding in single precision
    log_zero = (LOG10_OF_ZERO + 0.001) * math.log(10)

    def __init__(
        self,
        path: str | Path,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.source = TextSide(ABSENT, absent_side().build(), Vocabulary([], []))
        self._tables = _Tables(path, self.device, dtype)
        tokenizer = self._tables.tokenizer
        if tokenizer.name in MODEL_KINDS:  # its model is not in the file
            kind = "SentencePiece" if tokenizer.name == "sentencepiece" else tokenizer.name
            log.warning(
                "%s: its words are %s pieces: in an ensemble the other checkpoints' %s model "
                "splits the text; alone, it needs text that is split already", path, kind, kind,
            )  # fmt: skip
            tokenizer = TokenizerSpec("none", NoneConfig(), "")
        self._vocabulary = self._tables.vocabulary
        self.target = TextSide("", tokenizer.build(), self._vocabulary)
        # for each id of the target side: the id of the ARPA file, and a term of the log-probability
        self._id_map: torch.Tensor | None = None
        self._shares: torch.Tensor | None = None

    @property
    def _orders(self) -> list[_Order]:
        return self._tables.orders

    def over(self, target: TextSide) -> "NGramScorer":
        """This model for the ids of another target side.

        The probability of `<unk>` is divided evenly among `<unk>` and the side's words that this
        model lacks, so that an ensemble can average probabilities. The probability of words that
        the side lacks is dropped, so that the probabilities of a step can sum to less than 1.
        """
        mapping = target.vocabulary.mapping_to(self._vocabulary)
        other = copy.copy(self)
        other.target = replace(target, right_to_left=False)
        other._id_map = torch.from_numpy(mapping).to(self.device)
        unknown = other._id_map == UNK_ID
        shares = torch.zeros(len(mapping), dtype=self._tables.dtype, device=self.device)
        other._shares = shares.masked_fill(unknown, -math.log(int(unknown.sum())))
        return other

    def start(self, source: SourceBatch) -> NGramState:
        """No words; the sources are ignored."""
        shape = (len(source), len(self._orders) - 1)
        return NGramState(torch.full(shape, -1, dtype=torch.int64, device=self.device))

    @torch.inference_mode()
    def advance(self, tokens: torch.Tensor, state: DecoderState) -> Advance:
        """Looks up the contexts that end with the tokens; the features are these."""
        assert isinstance(state, NGramState)
        last = self._ids(tokens)
        found = [last]
        for length in range(1, len(self._orders) - 1):
            found.append(self._find(length, state.contexts[:, length - 1], last))
        contexts = torch.stack(found, dim=1)[:, : len(self._orders) - 1]
        return Advance(contexts, NGramState(contexts), None)

    @torch.inference_mode()
    def log_probs(self, features: Features) -> torch.Tensor:
        """All words: unigram probabilities, overwritten by those of longer and longer n-grams."""
        assert isinstance(features, torch.Tensor)
        weights = self._weights(features)
        table = self._orders[0].log_probs + weights[:, :1]
        for length in range(1, len(self._orders)):
            order = self._orders[length]
            rows, places = self._continuations(length, features[:, length - 1])
            words = order.keys[places] % len(self._vocabulary)
            table[rows, words] = order.log_probs[places] + weights[rows, length]
        if self._id_map is None or self._shares is None:
            return table
        return table.index_select(1, self._id_map).add_(self._shares)

    @torch.inference_mode()
    def pick(self, features: Features, rows: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Looks up only these words."""
        assert isinstance(features, torch.Tensor)
        contexts, ids = features[rows], self._ids(words)
        weights = self._weights(contexts)
        result = self._orders[0].log_probs[ids] + weights[:, 0]
        for length in range(1, len(self._orders)):
            places = self._find(length, contexts[:, length - 1], ids)
            longer = self._orders[length].log_probs
            if len(longer):
                found = longer[places.clamp(min=0)] + weights[:, length]
                result = torch.where(places >= 0, found, result)
        return result if self._shares is None else result + self._shares[words]

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """Log-probabilities of all words."""
        return self.whole_step(tokens, state)

    @torch.inference_mode()
    def score(self, batch: Batch) -> torch.Tensor:
        """Scores all positions at once."""
        batch = batch.to(self.device)
        if self._tables.kenlm is not None:
            return self._kenlm_score(batch)
        words = self._ids(batch.target_in)
        contexts = [words]
        for length in range(1, len(self._orders) - 1):
            before = torch.nn.functional.pad(contexts[-1][:, :-1], (1, 0), value=-1)
            contexts.append(self._find(length, before, words))
        features = torch.stack(contexts, dim=2)[:, :, : len(self._orders) - 1].flatten(0, 1)
        places = batch.target_positions()
        found = self.pick(features, places, batch.target_out.flatten()[places])
        result = found.new_zeros(batch.target_out.numel())
        result[places] = found
        return result.view_as(batch.target_out)

    def _kenlm_score(self, batch: Batch) -> torch.Tensor:
        """`score` with kenlm."""
        rows, names = self._ids(batch.target_out).tolist(), self._vocabulary.tokens
        result = torch.zeros(batch.target_out.shape, dtype=self._tables.dtype)
        for index, length in enumerate(batch.target_lengths.tolist()):
            text = " ".join([names[i] for i in rows[index][: length - 1]])
            found = [score for score, _, _ in self._tables.kenlm.full_scores(text)]
            result[index, :length] = torch.tensor(found, dtype=self._tables.dtype)
        result = result.mul_(math.log(10)).to(self.device)
        if self._shares is None:
            return result
        return result + self._shares[batch.target_out].masked_fill(~batch.target_mask(), 0)

    def _ids(self, words: torch.Tensor) -> torch.Tensor:
        """The ids of the ARPA file for target ids."""
        words = words.to(self.device)
        return words if self._id_map is None else self._id_map[words]

    def _find(self, length: int, contexts: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Numbers of n-grams of `length` + 1 words, given their contexts and last words."""
        keys = self._orders[length].keys
        if not len(keys):
            return torch.full_like(words, -1)
        wanted = contexts * len(self._vocabulary) + words
        places = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
        return places.masked_fill_((keys[places] != wanted) | (contexts < 0), -1)

    def _weights(self, contexts: torch.Tensor) -> torch.Tensor:
        """(N, order) sums of back-off logarithms that apply to n-grams of 1, 2, ... words."""
        columns = [self._orders[0].log_probs.new_zeros(len(contexts))]
        for length in range(len(self._orders) - 1, 0, -1):
            numbers, backoffs = contexts[:, length - 1], self._orders[length - 1].backoffs
            known = (
                backoffs[numbers.clamp(min=0)] if len(backoffs) else torch.zeros_like(columns[0])
            )
            columns.append(columns[-1] + known.masked_fill(numbers < 0, 0))
        return torch.stack(columns[::-1], dim=1)

    def _continuations(
        self, length: int, contexts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Row and number of every n-gram of `length` + 1 words that extends a context (N,)."""
        keys, size = self._orders[length].keys, len(self._vocabulary)
        begins = torch.searchsorted(keys, contexts * size)
        counts = torch.searchsorted(keys, (contexts + 1) * size) - begins
        counts = counts.masked_fill_(contexts < 0, 0)
        rows = torch.arange(len(contexts), device=self.device).repeat_interleave(counts)
        first = counts.cumsum(0) - counts  # of each row among all
        return rows, torch.arange(len(rows), device=self.device) + (begins - first)[rows]

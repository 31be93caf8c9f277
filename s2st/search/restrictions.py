"""Restrictions of a search: rules about the words that may follow in each row.

A `Restriction` masks the log-probabilities of a step, and follows the rows as `DecoderState.select`
does. `Restrictions` is the list of them. A search calls it `forbid`, and knows no particular rule:

    forbid = restrictions(config, source, scorer.device)      # a row for each sentence
    found = scorer.step_best(tokens, state, count, forbid)    # masks the table of the step
    state = found.state.select(parents)
    forbid = forbid.select(parents, words)                    # each new row has read its word

Letters: N rows, V words of the vocabulary, T words that each row has.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from s2st.data.batch import SourceBatch, moved
from s2st.scoring.base import BestStep
from s2st.search.base import length_limits
from s2st.search.phrase_constraints import PhraseConstraints, phrase_trackers
from s2st.search.registry import SearchConfig
from s2st.search.restriction import Required, Restriction
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID

FREE = -1  # any word may come


class Restrictions:
    """The restrictions of N rows that have all read the same number of words.

    Attributes:
        limits: (N,) maximum words of each row; after so many words only EOS may follow.
        step: number of words that each row has read.

    Args:
        least: no limit is lower; before so many words, a GPU need not be asked about limits.
    """

    def __init__(
        self, rules: Sequence[Restriction], limits: torch.Tensor, step: int = 0, least: int = 0
    ) -> None:
        self.rules = tuple(rules)
        self._least = least
        self.limits = limits
        self.step = step
        self._wanted = next((r.wanted for r in self.rules if r.wanted is not None), None)
        self._wanted_values: torch.Tensor | None = None

    @property
    def at_limit(self) -> torch.Tensor:
        """(N,) whether only EOS may follow."""
        return self.limits <= self.step

    @property
    def penalizes(self) -> bool:
        """Whether a rule lowers log-probabilities, so that totals differ from the scorer's."""
        return any(rule.penalizes for rule in self.rules)

    def __call__(self, log_probs: torch.Tensor, part: slice = slice(None)) -> torch.Tensor:
        """Sets the log-probabilities of forbidden words to -inf, in place, and returns them.

        Args:
            log_probs: (n, V) log-probabilities of the next word in some of the rows.
            part: which of the N rows these are.
        """
        required = [words for rule in self.rules if (words := rule.required(part)) is not None]
        values = [log_probs[words.rows, words.words] for words in required]
        wanted = None if self._wanted is None else log_probs.gather(1, self._wanted[part])
        log_probs[:, PAD_ID] = -torch.inf
        log_probs[:, BOS_ID] = -torch.inf
        for rule in self.rules:
            rule.mask(log_probs, part)
        at_limit = self.at_limit[part]
        if self.step >= self._least and bool(at_limit.any()):
            eos = log_probs[at_limit, EOS_ID]
            log_probs[at_limit] = -torch.inf
            log_probs[at_limit, EOS_ID] = eos
        if wanted is not None and self._wanted is not None:
            dead = (log_probs == -torch.inf).all(dim=1)
            if bool(dead.any()):
                rescued = log_probs[dead].scatter(1, self._wanted[part][dead], wanted[dead])
                rescued[:, PAD_ID] = -torch.inf
                log_probs[dead] = rescued
        for words, own in zip(required, values, strict=True):
            log_probs[words.rows] = -torch.inf
            log_probs[words.rows, words.words] = own
        if self._wanted is not None:
            found = log_probs.gather(1, self._wanted[part])
            if self._wanted_values is None:
                self._wanted_values = found.new_empty(self._wanted.shape)
            self._wanted_values[part] = found
        return log_probs

    def select(self, rows: torch.Tensor, words: torch.Tensor | None = None) -> "Restrictions":
        """The restrictions of other rows; this object stays as it is.

        Args:
            rows: (N',) the old row of each new one.
            words: (N',) the word that each new row has read; None if it has read none.
        """
        return Restrictions(
            [rule.select(rows, words) for rule in self.rules],
            self.limits[rows],
            self.step if words is None else self.step + 1,
            self._least,
        )

    def candidates(self, found: BestStep) -> BestStep:
        """The step with the words that a rule wants as further columns, -inf where they repeat."""
        if self._wanted is None or self._wanted_values is None:
            return found
        known = (self._wanted.unsqueeze(2) == found.words.unsqueeze(1)).any(dim=2)
        values = self._wanted_values.to(found.log_probs.dtype).masked_fill(known, -torch.inf)
        return replace(
            found,
            log_probs=torch.cat([found.log_probs, values], dim=1),
            words=torch.cat([found.words, self._wanted], dim=1),
        )

    def progress(self, words: torch.Tensor) -> torch.Tensor | None:
        """(N, K) how far each row is with what it must contain, after each of its words (N, K).

        A beam search divides its beam evenly over the numbers that occur. None if no rule counts.
        """
        for rule in self.rules:
            found = rule.progress(words)
            if found is not None:
                return found
        return None

    def scorer_log_probs(self, words: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """(N, K) the scorer's own log-probabilities of words (N, K), given the masked ones."""
        for rule in self.rules:
            values = rule.unmask(words, values)
        return values


def restrictions(
    config: SearchConfig,
    source: SourceBatch,
    device: torch.device,
    more: Sequence[Restriction] = (),
) -> Restrictions:
    """The restrictions of a search's first rows, one for each sentence.

    Args:
        config: the options of the search.
        source: the sentences, with their prefixes and phrases.
        device: device of the log-probabilities.
        more: further rules, such as a plugin's own.

    Raises:
        UsageError: `min_len` is above the length limit of a sentence.
    """
    limits = length_limits(config, source)
    rules: list[Restriction] = []
    if config.repetition_penalty != 1:  # first, because it notes the scorer's own values
        rules.append(RepetitionPenalty(config.repetition_penalty, _no_words(source, device)))
    if not config.unk:
        rules.append(NoUnknownWord())
    if config.min_len:
        rules.append(MinLength(config.min_len))
    if config.no_repeat_ngram_size:
        rules.append(NoRepeatedNgram(config.no_repeat_ngram_size, _no_words(source, device)))
    rules += more
    if any(source.constraints):
        trackers = phrase_trackers(source.constraints)
        prefixes = source.prefixes or ((),) * len(source)
        for row, (tracker, prefix) in enumerate(zip(trackers, prefixes, strict=True)):
            if tracker is not None:  # the phrases fit, whatever the limit
                least = len(prefix) + tracker.needed(tracker.after(prefix))
                limits[row] = max(int(limits[row]), least)
        rules.append(PhraseConstraints(trackers, limits, device))
    if source.prefixes:
        rules.append(Prefixes(moved(_prefix_table(source), device)))
    least = int(limits.min()) if len(limits) else 0
    return Restrictions(rules, moved(limits, device), least=least)


class Prefixes(Restriction):
    """Rows begin with given words, whatever the other rules say.

    Args:
        table: (N, P) the words that each row must still read, then FREE.
    """

    def __init__(self, table: torch.Tensor) -> None:
        self.table = table

    def mask(self, log_probs: torch.Tensor, part: slice) -> None:
        """Forbids nothing: the required words do."""

    def required(self, part: slice) -> Required | None:
        """The next word of each row that has not read its prefix."""
        if not self.table.shape[1]:
            return None
        words = self.table[part, 0]
        rows = torch.nonzero(words != FREE).squeeze(1)
        return Required(rows, words[rows])

    def select(self, rows: torch.Tensor, words: torch.Tensor | None) -> Restriction:
        """Drops the words that were read."""
        return Prefixes(self.table[rows] if words is None else self.table[rows, 1:])


class NoUnknownWord(Restriction):
    """The unknown word never follows."""

    def mask(self, log_probs: torch.Tensor, part: slice) -> None:
        """Forbids the unknown word."""
        log_probs[:, UNK_ID] = -torch.inf

    def select(self, rows: torch.Tensor, words: torch.Tensor | None) -> Restriction:
        """The rule is the same for all rows."""
        return self


class MinLength(Restriction):
    """EOS follows only after so many words."""

    def __init__(self, words: int) -> None:
        self.words = words

    def mask(self, log_probs: torch.Tensor, part: slice) -> None:
        """Forbids EOS in rows that are too short."""
        if self.words > 0:
            log_probs[:, EOS_ID] = -torch.inf

    def select(self, rows: torch.Tensor, words: torch.Tensor | None) -> Restriction:
        """One word less is missing."""
        return self if words is None else MinLength(self.words - 1)


class NoRepeatedNgram(Restriction):
    """No n-gram of words occurs twice in a row (Paulus et al. 2018).

    Args:
        order: n.
        history: (N, T) words so far, the prefix included.
    """

    def __init__(self, order: int, history: torch.Tensor) -> None:
        self.order = order
        self.history = history

    def mask(self, log_probs: torch.Tensor, part: slice) -> None:
        """Forbids each word that would complete an n-gram that the row has."""
        history = self.history[part]
        if history.shape[1] < self.order:
            return
        ngrams = history.unfold(1, self.order, 1)  # (n, T - order + 1, order)
        last = history[:, history.shape[1] - self.order + 1 :].unsqueeze(1)
        row, place = torch.nonzero((ngrams[:, :, :-1] == last).all(dim=2), as_tuple=True)
        log_probs[row, ngrams[row, place, -1]] = -torch.inf

    def select(self, rows: torch.Tensor, words: torch.Tensor | None) -> Restriction:
        """Adds the words to the history."""
        return NoRepeatedNgram(self.order, _extended(self.history, rows, words))


class RepetitionPenalty(Restriction):
    """Multiplies the log-probability of each word that the row has (after Keskar et al. 2019).

    The result is no distribution. It decides the search; hypotheses keep the scorer's own
    log-probabilities.

    Args:
        penalty: the factor, at least 1.
        history: (N, T) words so far, the prefix included.
    """

    penalizes = True

    def __init__(self, penalty: float, history: torch.Tensor) -> None:
        self.penalty = penalty
        self.history = history
        self._plain: torch.Tensor | None = None  # (N, T) the scorer's values in this step

    def mask(self, log_probs: torch.Tensor, part: slice) -> None:
        """Lowers the log-probabilities of repeated words."""
        seen = self.history[part]
        plain = log_probs.gather(1, seen)
        if self._plain is None:
            self._plain = plain.new_empty(self.history.shape)
        self._plain[part] = plain
        log_probs.scatter_(1, seen, plain * self.penalty)

    def select(self, rows: torch.Tensor, words: torch.Tensor | None) -> Restriction:
        """Adds the words to the history."""
        return RepetitionPenalty(self.penalty, _extended(self.history, rows, words))

    def unmask(self, words: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """(N, K) the scorer's own log-probabilities of words (N, K)."""
        if self._plain is None or not self.history.shape[1]:
            return values
        same = words.unsqueeze(2) == self.history.unsqueeze(1)  # (N, K, T)
        plain = self._plain.gather(1, same.int().argmax(dim=2)).to(values.dtype)
        return torch.where(same.any(dim=2) & (values > -torch.inf), plain, values)


def _no_words(source: SourceBatch, device: torch.device) -> torch.Tensor:
    return torch.empty((len(source), 0), dtype=torch.int64, device=device)


def _extended(
    history: torch.Tensor, rows: torch.Tensor, words: torch.Tensor | None
) -> torch.Tensor:
    """(N', T + 1) the history of other rows, each with one more word."""
    selected = history[rows]
    return selected if words is None else torch.cat([selected, words.unsqueeze(1)], dim=1)


def _prefix_table(source: SourceBatch) -> torch.Tensor:
    """(B, P) the words with which hypotheses must begin, then FREE."""
    table = torch.full((len(source.prefixes), max(map(len, source.prefixes))), FREE)
    for row, prefix in enumerate(source.prefixes):
        table[row, : len(prefix)] = torch.tensor(prefix, dtype=torch.int64)
    return table

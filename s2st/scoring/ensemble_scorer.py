"""Ensembles. Members can differ in architecture, source direction and source vocabulary."""

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import torch

from s2st.data.batch import Batch, SourceBatch
from s2st.errors import UsageError
from s2st.models.base import DecoderState
from s2st.models.prefix_tree import PrefixTree
from s2st.scoring.base import Advance, Features, MemberApart, Scorer, ScorerStep, TextSide
from s2st.scoring.shortlist import Shortlist, narrowed_side
from s2st.text.vocabulary import Vocabulary

LEAST = 1e-36  # above it the logarithm of a probability is exact in float32


@dataclass(frozen=True)
class EnsembleState(DecoderState):
    """The members' states, in order."""

    members: tuple[DecoderState, ...]

    def select(self, rows: torch.Tensor) -> "EnsembleState":
        """Selects the rows in the state of every member."""
        return EnsembleState(tuple(state.select(rows) for state in self.members))


class EnsembleScorer(Scorer):
    """The log of the weighted mean of the members' probabilities, at every step.

    With mode "log-probability" it is the weighted mean of log-probabilities, renormalized over
    the vocabulary (a geometric mean). The source ids are those of the union of the members'
    source vocabularies. The target ids are those of the first member; words match as strings.

    Args:
        members: at least one scorer, all on one device.
        weights: one positive number per member, equal by default. They are divided by their sum.
        mode: "probability" or "log-probability".

    Raises:
        UsageError: the weights do not fit, or the members have different target words or
            different directions of the target.
    """

    def __init__(
        self, members: Sequence[Scorer], weights: Sequence[float] = (), mode: str = "probability"
    ) -> None:
        if not members:
            raise UsageError("an ensemble needs at least one member")
        weights = weights or [1.0] * len(members)
        if len(weights) != len(members):
            raise UsageError(
                f"{len(weights)} ensemble weights for {len(members)} models; give one for each"
            )
        if not all(math.isfinite(weight) and weight > 0 for weight in weights):
            raise UsageError("ensemble weights must be positive numbers")
        side = next((m.target for m in members if m.target.language), members[0].target)
        members = [member.over(side) for member in members]
        self.members = tuple(members)
        self.weights = tuple(weight / sum(weights) for weight in weights)
        self.mode = mode
        self.log_zero = self._log_zero()
        self._forbidden: torch.Tensor | None = None  # (B, V) words that a shortlist leaves out
        self.device = members[0].device
        self.computes_trees = all(member.computes_trees for member in members)
        self.target = members[0].target
        self.source = _union_source([member.source for member in members])
        self._source_maps = [self._map(self.source.vocabulary, m.source) for m in members]
        self._target_maps = [self._target_map(m.target) for m in members]

    def _log_zero(self) -> float:
        """The bound of log-probabilities that stand for 0; only n-gram models have a finite one.

        With the mean of log-probabilities one member's 0 is enough. Its weighted bound is far below
        the sum that the others reach for a word. With the mean of probabilities all must be 0.
        """
        bounds = [member.log_zero for member in self.members]
        if self.mode == "log-probability":
            return max(w * bound for w, bound in zip(self.weights, bounds, strict=True))
        return max(bounds) if all(map(math.isfinite, bounds)) else -math.inf

    def start(self, source: SourceBatch) -> DecoderState:
        """Starts every member with the sources in the member's ids."""
        members = zip(self.members, self._member_sources(source), strict=True)
        return EnsembleState(tuple(member.start(ids) for member, ids in members))

    def sentence_vectors(self, source: SourceBatch) -> dict[str, torch.Tensor]:
        """The members' vectors, concatenated for each part; the ensemble's weights do not matter.

        Members without a part are skipped.

        Raises:
            UsageError: a member has no sentence vectors.
        """
        found: dict[str, list[torch.Tensor]] = {}
        for member, member_source in zip(self.members, self._member_sources(source), strict=True):
            for name, part in member.sentence_vectors(member_source).items():
                found.setdefault(name, []).append(part)
        return {name: torch.cat(parts, dim=1) for name, parts in found.items()}

    def over(self, target: TextSide) -> Scorer:
        """Used for ensembles of n-gram models, which accept any words."""
        if self.target.language:
            return self
        members = [member.over(target) for member in self.members]
        return EnsembleScorer(members, self.weights, self.mode)

    def _member_sources(self, source: SourceBatch) -> list[SourceBatch]:
        """The sources with the ids of each member."""
        source = source.to(self.device)
        return [
            source.with_absent_source()
            if member.source.absent
            else replace(source, tokens=_member_ids(table, source.tokens))
            for member, table in zip(self.members, self._source_maps, strict=True)
        ]

    def check_pairs(self, batch: Batch) -> None:
        """Checks the pairs with every member."""
        member_sources = self._member_sources(batch.source)
        for member, member_source, targets in zip(
            self.members, member_sources, self._target_maps, strict=True
        ):
            member.check_pairs(_translate(batch, member_source, targets))

    @torch.inference_mode()
    def advance(self, tokens: torch.Tensor, state: DecoderState) -> Advance:
        """Steps every member."""
        assert isinstance(state, EnsembleState)
        results = [
            member.advance(_member_ids(table, tokens), inner)
            for member, inner, table in zip(
                self.members, state.members, self._target_maps, strict=True
            )
        ]
        features = tuple(result.features for result in results)
        states = EnsembleState(tuple(result.state for result in results))
        return Advance(features, states, self._attention([r.attention for r in results]))

    @torch.inference_mode()
    def tree_features(self, state: DecoderState, tree: PrefixTree) -> "Features | None":
        """The features of every member, if all of them compute trees."""
        assert isinstance(state, EnsembleState)
        found = []
        for member, inner, table in zip(
            self.members, state.members, self._target_maps, strict=True
        ):
            own = tree if table is None else replace(tree, tokens=table.cpu()[tree.tokens.cpu()])
            features = member.tree_features(inner, own)
            if features is None:
                return None
            found.append(features)
        return tuple(found)

    def members_apart(self, state: DecoderState) -> Sequence[MemberApart]:
        """All members in mode "probability", whose mean needs no other words' probabilities."""
        if self.mode != "probability":
            return ()
        assert isinstance(state, EnsembleState)
        members = zip(self.members, state.members, self._target_maps, strict=True)
        return [
            MemberApart(member, inner, None if table is None else table.cpu())
            for member, inner, table in members
        ]

    def combined(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """The log of the weighted mean of the probabilities."""
        return self._combine(parts)

    def _attention(self, parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
        """The weighted mean over the members that read a source; None if one of them has none."""
        named = zip(self.members, self.weights, parts, strict=True)
        readers = [(weight, part) for m, weight, part in named if not m.source.absent]
        found = [weight * part for weight, part in readers if part is not None]
        if not found or len(found) < len(readers):
            return None
        return torch.stack(found).sum(0) / sum(weight for weight, _ in readers)

    @torch.inference_mode()
    def log_probs(self, features: Features) -> torch.Tensor:
        """Averages the members' probabilities or log-probabilities."""
        if self.mode == "probability" and len(self.members) > 1:
            mean = self._mean(features)
            if self._is_exact(mean, features):
                return mean.log_()
            # some probabilities underflow, so average in the log domain, which is slower
        return self._combine(
            [
                _columns(member.log_probs(member_features), table)
                for member, member_features, table in zip(
                    self.members, features, self._target_maps, strict=True
                )
            ]
        )

    def _is_exact(self, mean: torch.Tensor, features: Features) -> bool:
        """Whether the logarithms of probabilities (N, V) are exact in float32."""
        if not len(mean):
            return True
        if self._forbidden is None:
            return float(mean.amin()) > LEAST
        return bool(((mean > LEAST) | self._forbidden[_sentences(features)]).all())

    def _mean(self, features: Features) -> torch.Tensor:
        """(N, V) the weighted mean of the members' probabilities, in one running sum."""
        members = zip(self.members, features, self._target_maps, self.weights, strict=True)
        total: torch.Tensor | None = None
        for member, member_features, table, weight in members:
            probabilities = _columns(member.probabilities(member_features), table)
            if total is None:
                total = probabilities.mul_(weight)
            else:
                total.add_(probabilities, alpha=weight)
        assert total is not None
        return total

    def narrowed(self, shortlist: Shortlist) -> Scorer:
        """Narrows every member to the same words; raises UsageError if one cannot be narrowed."""
        small = copy(self)
        small.members = tuple(
            member.narrowed(replace(shortlist, words=_member_ids(table, shortlist.words)))
            for member, table in zip(self.members, self._target_maps, strict=True)
        )
        small._forbidden = shortlist.forbidden.to(self.device)
        small.target = narrowed_side(self.target, shortlist.words)
        small._target_maps = [None] * len(self.members)
        return small

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """Steps every member and averages."""
        return self.whole_step(tokens, state)

    @torch.inference_mode()
    def score(self, batch: Batch) -> torch.Tensor:
        """Fast in mode "probability": each member scores only the given words."""
        if self.mode != "probability":
            return super().score(batch)
        parts = []
        member_sources = self._member_sources(batch.source)
        for member, member_source, targets in zip(
            self.members, member_sources, self._target_maps, strict=True
        ):
            parts.append(member.score(_translate(batch, member_source, targets)))
        mask = batch.target_mask().to(self.device)
        return self._combine(parts).masked_fill(~mask, 0)

    def _combine(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        if len(parts) == 1:
            return parts[0]
        if self.mode == "probability":
            # in place on one running sum: log(sum of w p) without stacking M x N x V
            total = parts[0] + math.log(self.weights[0])
            for weight, part in zip(self.weights[1:], parts[1:], strict=True):
                total = torch.logaddexp(total, part + math.log(weight))
            return total
        total = self.weights[0] * parts[0]
        for weight, part in zip(self.weights[1:], parts[1:], strict=True):
            total = total + weight * part
        return total.log_softmax(dim=-1)

    def _target_map(self, target: TextSide) -> torch.Tensor | None:
        if self.target.right_to_left != target.right_to_left:
            raise UsageError(
                "some members of the ensemble predict from right to left and some from left to "
                "right, so that their steps predict different words; use rescore-nbest "
                "--feature-per member, which scores with each member"
            )
        vocabulary = self.target.vocabulary
        if set(vocabulary.tokens) != set(target.vocabulary.tokens):
            differing = sorted(set(vocabulary.tokens) ^ set(target.vocabulary.tokens))
            raise UsageError(
                f"the members of the ensemble have different target vocabularies: {len(differing)} "
                f"words are not in all of them, such as {differing[0]!r}; train them on one store"
            )
        return self._map(vocabulary, target)

    def _map(self, vocabulary: Vocabulary, side: TextSide) -> torch.Tensor | None:
        if vocabulary == side.vocabulary:
            return None
        return torch.from_numpy(vocabulary.mapping_to(side.vocabulary)).to(self.device)


def _union_source(sides: Sequence[TextSide]) -> TextSide:
    sides = [side for side in sides if not side.absent] or sides
    first = sides[0]
    if all(side.vocabulary == first.vocabulary for side in sides):
        return first
    words: dict[str, int] = {}
    for side in sides:
        for word in side.vocabulary.tokens[side.vocabulary.first_word :]:
            words[word] = 1
    return replace(first, vocabulary=Vocabulary(list(words), list(words.values())))


def _sentences(features: Features) -> torch.Tensor:
    """(N,) the sentence of each row, in the features of an ensemble over a shortlist."""
    inner, sentences = features[0], features[1]
    if isinstance(inner, torch.Tensor):
        assert isinstance(sentences, torch.Tensor)
        return sentences
    return _sentences(inner)


def _member_ids(table: torch.Tensor | None, ids: torch.Tensor) -> torch.Tensor:
    """A member's ids of the same words; table is None if its ids are the ensemble's."""
    return ids if table is None else table[ids.to(table.device)]


def _columns(table: torch.Tensor, words: torch.Tensor | None) -> torch.Tensor:
    """The table with its columns in the order of the ensemble's words."""
    return table if words is None else table[:, words]


def _translate(batch: Batch, source: SourceBatch, targets: torch.Tensor | None) -> Batch:
    """The batch with the ids of a member."""
    target_in, target_out = (
        _member_ids(targets, batch.target_in),
        _member_ids(targets, batch.target_out),
    )
    return replace(batch, source=source, target_in=target_in, target_out=target_out)

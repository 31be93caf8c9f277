"""Stochastic beam search (Kool et al. 2019): samples of whole outputs without replacement.

Each output has its log-probability perturbed by Gumbel noise; the k outputs with the largest values
are k samples without replacement. A partial hypothesis has the largest value of its continuations,
so top-k over partial hypotheses finds them: the noise of its children is drawn under the condition
that their maximum is the value of the parent.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from s2st.data.batch import SourceBatch
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.registry import StochasticBeamConfig
from s2st.search.restrictions import restrictions
from s2st.search.single_path import check_finite
from s2st.text.vocabulary import BOS_ID, EOS_ID


class StochasticBeamSearch(Search):
    """Draws `nbest` different hypotheses per sentence, ordered by the model's log-probability.

    There are fewer if the restrictions allow fewer. Each sentence has its own generator, seeded by
    (seed, line), so results do not depend on which sentences share a batch.
    """

    depends_on_vocabulary = True

    def __init__(self, config: StochasticBeamConfig) -> None:
        self.config = config
        self.rows_per_sentence = config.nbest

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The sampled hypotheses of each source."""
        return _Run(self.config, scorer, source).run()


@dataclass(frozen=True)
class _Path:
    """A hypothesis, complete or not.

    Attributes:
        sentence: its sentence.
        tokens, log_probs: its words with EOS if complete, and the scorer's log-probabilities.
        attention: the attention (S,) of each step; empty for a model without attention.
        total: log-probability of the sampling distribution.
        value: perturbed log-probability.
        complete: whether it has EOS.
        forced: whether the length limit left only EOS.
    """

    sentence: int
    tokens: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    attention: tuple["np.typing.NDArray[np.float32]", ...] = ()
    total: float = 0.0
    value: float = 0.0
    complete: bool = False
    forced: bool = False


class _Run:
    """The search of one batch."""

    def __init__(self, config: StochasticBeamConfig, scorer: Scorer, source: SourceBatch) -> None:
        self.config = config
        self.scorer = scorer
        self.source = source
        self.generators = [_generator(config.sampling_seed, line) for line in source.line_ids]

    def run(self) -> list[list[Hypothesis]]:
        """The hypotheses of each sentence."""
        scorer, source = self.scorer, self.source
        beams = [[_Path(sentence)] for sentence in range(len(source))]
        state = scorer.start(source)
        forbid = restrictions(self.config, source, scorer.device)
        tokens = torch.full((len(source),), BOS_ID, device=scorer.device)
        while len(tokens):
            result = scorer.step(tokens, state)
            allowed = forbid(result.log_probs)
            rows = [path for beam in beams for path in beam if not path.complete]
            values, totals = self._perturbed(rows, allowed)
            best = values.topk(min(self.config.nbest, values.shape[1]), dim=1)
            words = best.indices
            plain = forbid.scorer_log_probs(words, allowed.gather(1, words)).double()
            columns = zip(
                words.tolist(), best.values.tolist(), plain.tolist(),
                totals.gather(1, words).tolist(), strict=True,
            )  # fmt: skip
            forced = forbid.at_limit.tolist()
            children: list[list[tuple[_Path, int]]] = [
                [(path, -1) for path in beam if path.complete] for beam in beams
            ]
            for row, (path, column) in enumerate(zip(rows, columns, strict=True)):
                attention = path.attention
                if result.attention is not None:
                    attention = (*attention, result.attention[row].float().cpu().numpy())
                children[path.sentence] += [
                    (_extended(path, *child, attention, forced[row]), row)
                    for child in zip(*column, strict=True)
                    if child[1] > -np.inf
                ]
            kept = [
                sorted(group, key=lambda item: -item[0].value)[: self.config.nbest]
                for group in children
            ]
            beams = [[path for path, _ in group] for group in kept]
            going = [item for group in kept for item in group if not item[0].complete]
            parents = torch.tensor([row for _, row in going], dtype=torch.int64).to(scorer.device)
            tokens = torch.tensor([p.tokens[-1] for p, _ in going], dtype=torch.int64)
            tokens = tokens.to(scorer.device)
            state = result.state.select(parents)
            forbid = forbid.select(parents, tokens)
        lengths = source.lengths.tolist()
        return [_hypotheses(beam, length) for beam, length in zip(beams, lengths, strict=True)]

    def _perturbed(
        self, rows: list[_Path], allowed: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, V) perturbed values of each row's children, and their log-probabilities (N, V).

        Kool et al. 2019, section 4.1 and appendix B.3 (numerically stable form).
        """
        totals = (allowed.double() / self.config.temperature).log_softmax(dim=1)
        totals = totals + _column([path.total for path in rows], totals)
        noise = torch.stack([self._gumbel(path.sentence, totals.shape[1]) for path in rows])
        free = totals + noise.to(totals.device)
        largest = free.amax(dim=1, keepdim=True)
        parent = _column([path.value for path in rows], totals)
        if not rows[0].tokens:  # the maximum of the whole sentence is free
            return free, totals
        gap = parent - free + torch.log1p(-torch.exp(free - largest))
        values = parent - gap.clamp(min=0) - torch.log1p(torch.exp(-gap.abs()))
        return values.masked_fill(totals == -torch.inf, -torch.inf), totals

    def _gumbel(self, sentence: int, size: int) -> torch.Tensor:
        uniform = torch.rand(size, generator=self.generators[sentence], dtype=torch.float64)
        return -torch.log(-torch.log(uniform.clamp(min=torch.finfo(torch.float64).tiny)))


def _extended(
    path: _Path,
    word: int,
    value: float,
    log_prob: float,
    total: float,
    attention: tuple["np.typing.NDArray[np.float32]", ...],
    forced: bool,
) -> _Path:
    tokens, log_probs = (*path.tokens, word), (*path.log_probs, log_prob)
    complete = word == EOS_ID
    return _Path(
        path.sentence, tokens, log_probs, attention, total, value, complete, complete and forced
    )


def _hypotheses(beam: list[_Path], length: int) -> list[Hypothesis]:
    """The hypotheses of a sentence of so many words, EOS included."""
    check_finite(sum(beam[0].log_probs) if beam else np.nan)
    made = []
    for path in beam:
        total = sum(path.log_probs)
        seen = np.array(path.attention)[:, :length] if path.attention else None
        made.append(
            Hypothesis(path.tokens[:-1], path.log_probs, total, total, not path.forced, seen)
        )
    return sorted(made, key=lambda h: -h.score)


def _column(values: list[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)


def _generator(seed: int, line: int) -> torch.Generator:
    digest = hashlib.sha256(f"stochastic beam {seed} {line}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))

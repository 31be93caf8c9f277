"""What the run's files say: BLEU, perplexity, times; and intervals of each and of differences.

Intervals hold 95 % of a bootstrap over test sentences (Koehn 2004) and, for a model trained with
several seeds, over its seeds too. All use the same draws of sentences, so differences are paired.
BLEU is tokenised BLEU in percent, as multi-bleu.perl's; perplexity is per token, EOS counted.
"""

import json
import math
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s2st.rescoring.bleu_statistics import ReferenceCounts, bleu
from s2st.rescoring.oracle import Interval, resamples
from s2st.text.line_files import read_lines
from study.steps import StudyError

SAMPLES = 1000
SEED = 2014
_RATE = re.compile(r"([\d,]+) source \+ ([\d,]+) target words/s")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A figure of one system: its value, and what it is in each resampled test set.

    For several seeds: the mean over them.
    """

    value: float
    samples: Floats

    def interval(self) -> Interval:
        """With 95 % of the samples."""
        low, high = np.percentile(self.samples, [2.5, 97.5])
        return Interval(self.value, float(low), float(high))

    def less(self, other: "Measured") -> "Measured":
        """The difference, paired sample by sample."""
        return Measured(self.value - other.value, self.samples - other.samples)

    def least(self, other: "Measured") -> "Measured":
        """The smaller of the two: above 0 where both are."""
        return Measured(min(self.value, other.value), np.minimum(self.samples, other.samples))


class Measures:
    """Reads the files of a run, each once.

    Args:
        run: the run folder.
        source, target: the languages.
    """

    def __init__(self, run: Path, source: str, target: str) -> None:
        self.run = run
        self.sources = self._lines(f"data/test.{source}")
        self.references = self._lines(f"data/test.{target}")
        self._draws = resamples(len(self.references), SAMPLES, SEED)
        self._statistics: dict[str, npt.NDArray[np.int64]] = {}

    def bleu(self, paths: Sequence[str], only: npt.NDArray[np.bool_] | None = None) -> Measured:
        """Of translations of the test set; several files are seeds of one model.

        Args:
            paths: relative to the run folder.
            only: (sentences,) those that count; all where left out.
        """
        tables = [self.statistics(path) for path in paths]
        if only is not None:
            tables = [table * only[:, None] for table in tables]
        return self._over_seeds(
            paths,
            [float(bleu(table.sum(axis=0))) for table in tables],
            lambda seed: bleu(self._draws @ tables[seed]),
        )

    def perplexity(self, paths: Sequence[str]) -> Measured:
        """Of the test set, from the output of `s2st score --json`; several are seeds."""
        tables = []
        for path in paths:
            rows = [json.loads(line) for line in self._lines(path)]
            tables.append(
                np.array([[row["log_prob"], len(row["token_log_probs"])] for row in rows])
            )
        sums = [table.sum(axis=0) for table in tables]

        def samples(seed: int) -> Floats:
            drawn = self._draws @ tables[seed]
            return np.exp(-drawn[:, 0] / drawn[:, 1])

        values = [float(np.exp(-own[0] / own[1])) for own in sums]
        return self._over_seeds(paths, values, samples)

    def statistics(self, path: str) -> npt.NDArray[np.int64]:
        """(sentences, 9) BLEU statistics of a file of translations."""
        if path not in self._statistics:
            lines = self._lines(path)
            if len(lines) != len(self.references):
                raise StudyError(f"{self.run / path}: {len(lines)} lines for the test set")
            self._statistics[path] = np.array(
                [
                    ReferenceCounts([reference]).compare(line)
                    for line, reference in zip(lines, self.references, strict=True)
                ]
            )
        return self._statistics[path]

    def texts(self, path: str) -> list[str]:
        """The lines of a file of translations."""
        return self._lines(path)

    def words_per_second(self, step: str) -> tuple[float, float]:
        """(source, target) words/s of a training step: medians over its lines of progress.

        The first fifth of the lines is left out.
        """
        log = (self.run / "logs" / f"{step}.log").read_text("utf-8")
        found = [[float(n.replace(",", "")) for n in pair] for pair in _RATE.findall(log)]
        rates = np.array(found[len(found) // 5 :])
        if not rates.size:
            raise StudyError(f"{self.run}/logs/{step}.log has no line with words/s")
        return float(np.median(rates[:, 0])), float(np.median(rates[:, 1]))

    def json(self, path: str) -> Any:
        """A JSON file of the run."""
        return json.loads((self.run / path).read_text("utf-8"))

    def json_lines(self, path: str) -> list[dict[str, Any]]:
        """A file of JSON lines."""
        return [json.loads(line) for line in self._lines(path)]

    def history(self, member: str) -> list[dict[str, Any]]:
        """The validations of a trained model: epoch, nll, train_nll in nats a token."""
        state = self.json(f"models/{member}/checkpoint_last/training/state.json")
        history: list[dict[str, Any]] = state["state"]["history"]
        return history

    def _over_seeds(
        self, paths: Sequence[str], values: Sequence[float], samples: Callable[[int], Floats]
    ) -> Measured:
        columns = np.stack([samples(seed) for seed in range(len(values))])
        # sentences are paired across systems, seeds are not: a stream of its own for each system
        stream = zlib.crc32("\n".join(paths).encode())
        generator = np.random.Generator(np.random.PCG64([SEED, stream]))
        drawn = generator.integers(len(values), size=(len(values), SAMPLES))
        picked = columns[drawn, np.arange(SAMPLES)].mean(axis=0)
        # the spread of few seeds among themselves is too small by (n - 1) / n in variance
        center = columns.mean(axis=0)
        wider = math.sqrt(len(values) / max(1, len(values) - 1))
        return Measured(float(np.mean(values)), center + wider * (picked - center))

    def _lines(self, path: str) -> list[str]:
        return list(read_lines(str(self.run / path)))

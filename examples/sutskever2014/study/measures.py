"""BLEU, perplexity and times from the files of a run, with intervals of values and differences.

Intervals are 95 % bootstrap intervals over test sentences (Koehn 2004) and, for a model trained
with several seeds, over seeds too. All use the same samples of sentences, so differences are
paired. BLEU is tokenized BLEU in percent, as by multi-bleu.perl; perplexity is per token with EOS.
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
# a language model's progress line has one number: "1,078 words/s"
_RATE = re.compile(r"(?:([\d,]+) source \+ )?([\d,]+) (?:target )?words/s")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A figure of one system: its value, and its value in each resampled test set.

    With several seeds both are means over the seeds.
    """

    value: float
    samples: Floats

    def interval(self) -> Interval:
        """Return the value with its 95 % interval."""
        low, high = np.percentile(self.samples, [2.5, 97.5])
        return Interval(self.value, float(low), float(high))

    def less(self, other: "Measured") -> "Measured":
        """Return self - other, paired sample by sample."""
        return Measured(self.value - other.value, self.samples - other.samples)

    def least(self, other: "Measured") -> "Measured":
        """Return the smaller of the two, which is above 0 only if both are."""
        return Measured(min(self.value, other.value), np.minimum(self.samples, other.samples))


class Measures:
    """Measurements on the files of a run; each file is read once.

    Args:
        run: the run folder.
        source, target: the languages.
        name: of the test set's files in RUN/data.
    """

    def __init__(self, run: Path, source: str, target: str, name: str = "test") -> None:
        self.run = run
        self.sources = self._lines(f"data/{name}.{source}")
        self.references = self._lines(f"data/{name}.{target}")
        self._draws = resamples(len(self.references), SAMPLES, SEED)
        self._statistics: dict[str, npt.NDArray[np.int64]] = {}

    def bleu(self, paths: Sequence[str], only: npt.NDArray[np.bool_] | None = None) -> Measured:
        """Compute BLEU of translations of the test set.

        Args:
            paths: files relative to the run folder; several are seeds of one model.
            only: (sentences,) mask of the sentences to use; all by default.
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
        """Compute test perplexity from outputs of `s2st score --format json`, one file per seed."""
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
        """Return the (sentences, 9) BLEU statistics of a file of translations."""
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
        """Return the lines of a file of translations."""
        return self._lines(path)

    def words_per_second(self, step: str) -> tuple[float, float]:
        """Return (source, target) words/s of a training step: medians over its progress lines.

        The first fifth of the lines does not count. A language model has 0 source words/s.
        """
        log = (self.run / "logs" / f"{step}.log").read_text("utf-8")
        found = [[float((n or "0").replace(",", "")) for n in pair] for pair in _RATE.findall(log)]
        rates = np.array(found[len(found) // 5 :])
        if not rates.size:
            raise StudyError(f"{self.run}/logs/{step}.log has no line with words/s")
        return float(np.median(rates[:, 0])), float(np.median(rates[:, 1]))

    def json(self, path: str) -> Any:
        """Read a JSON file of the run."""
        return json.loads((self.run / path).read_text("utf-8"))

    def json_lines(self, path: str) -> list[dict[str, Any]]:
        """Read a file of JSON lines."""
        return [json.loads(line) for line in self._lines(path)]

    def history(self, member: str) -> list[dict[str, Any]]:
        """Return the validations of a model: epoch, nll and train_nll in nats per token."""
        state = self.json(f"models/{member}/checkpoint_last/training/state.json")
        history: list[dict[str, Any]] = state["state"]["history"]
        return history

    def _over_seeds(
        self, paths: Sequence[str], values: Sequence[float], samples: Callable[[int], Floats]
    ) -> Measured:
        columns = np.stack([samples(seed) for seed in range(len(values))])
        # sentences are paired across systems, seeds are not: each system has its own random stream
        stream = zlib.crc32("\n".join(paths).encode())
        generator = np.random.Generator(np.random.PCG64([SEED, stream]))
        drawn = generator.integers(len(values), size=(len(values), SAMPLES))
        picked = columns[drawn, np.arange(SAMPLES)].mean(axis=0)
        # the sample variance of n seeds is too small by the factor (n - 1) / n
        center = columns.mean(axis=0)
        wider = math.sqrt(len(values) / max(1, len(values) - 1))
        return Measured(float(np.mean(values)), center + wider * (picked - center))

    def _lines(self, path: str) -> list[str]:
        return list(read_lines(str(self.run / path)))

"""Translation of the validation corpora during training, by the code of `s2st generate`.

The beam search translates the lines of the store with a copy of the current weights, in float32 and
in the batches of `s2st generate`. So the metrics equal those of `s2st score` on the output of
`s2st generate` with the same beam. Ranks share the batches.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from s2st.data.corpora import splits_of
from s2st.errors import UsageError
from s2st.jobs.options import TranslateConfig
from s2st.jobs.training_resume_checks import METRIC_ROLE
from s2st.jobs.validation_metrics import ValidationMetric
from s2st.jobs.work_queue import TaskName, WorkQueue, in_order
from s2st.models.languages import LanguageChoice
from s2st.options.option_fields import load_json
from s2st.options.resolution import Resolved
from s2st.process.ranks import Ranks
from s2st.search.registry import SEARCHES
from s2st.training.observer import ValidationSample
from s2st.training.options import ValidationConfig
from s2st.training.validation import PERPLEXITY, BestMetric, Decoded

if TYPE_CHECKING:
    import torch

    from s2st.data.store import Store
    from s2st.models.model_record import ModelRecord
    from s2st.training.gradient_accumulation import Gradients


def plan_validation(
    options: Resolved, store: "Store", record: "ModelRecord", device: "torch.device"
) -> "tuple[BestMetric, Decoder | None]":
    """Return the metric that decides, and the decoder if the options need translations.

    Raises:
        UsageError: a metric cannot be built, the store has no validation split, or the model no
            source.
        CheckpointError: the store has no text of its validation split.
    """
    config = options.config(ValidationConfig)
    entry = options.entries[METRIC_ROLE]
    metric: ValidationMetric = entry.build(options.configs[METRIC_ROLE])
    best = BestMetric(entry.base, bool(metric.larger_is_better))
    translates = best.name != PERPLEXITY
    if not translates and not config.validate_samples:
        return best, None
    flag = f"--best-checkpoint-metric {entry.name}" if translates else "--validate-samples"
    splits = splits_of(store, "valid")
    if not splits:
        raise UsageError(
            f"{flag}: {store.folder} has no valid split; preprocess it with --validpref"
        )
    if not getattr(record.config, "reads_source", True):
        raise UsageError(f"{flag}: a language model has no source to translate")
    texts = [
        _Text((store.corpora(split) or [(split, 0)])[0][0], store.pair(split), *store.text(split))
        for split in splits
    ]
    named = (best.name, metric) if translates else None
    return best, Decoder(record, texts, config, named, device)


@dataclass(frozen=True)
class _Text:
    """Lines of one validation corpus, with its name and its language pair."""

    name: str
    pair: tuple[str, str]
    sources: Sequence[str]
    references: Sequence[str]

    def only(self, chosen: Sequence[int]) -> "_Text":
        """Return some of the lines."""
        sides = ([side[i] for i in chosen] for side in (self.sources, self.references))
        return _Text(self.name, self.pair, *sides)


class Decoder:
    """Translates the validation corpora and computes the metric of each.

    Args:
        record: describes the model.
        texts: lines of the validation corpora.
        config: beam and number of samples.
        metric: name and function; None if only samples are wanted.
        device: where to translate.
    """

    def __init__(
        self,
        record: "ModelRecord",
        texts: Sequence[_Text],
        config: ValidationConfig,
        metric: tuple[str, ValidationMetric] | None,
        device: "torch.device",
    ) -> None:
        self._record = record
        self._metric = metric
        self._device = device
        entry = SEARCHES.get("beam")
        self._search = entry.build(entry.config_type(beam=config.validate_beam))
        counts = [len(text.sources) for text in texts]
        # evenly spread over the corpora, and over the lines of each
        wanted = [len(part) for part in np.array_split(range(config.validate_samples), len(texts))]
        self._samples = [
            [index * count // min(samples, count) for index in range(min(samples, count))]
            for count, samples in zip(counts, wanted, strict=True)
        ]
        self._texts = list(texts)
        if metric is None:  # only the samples are translated
            pairs = zip(texts, self._samples, strict=True)
            self._texts = [text.only(samples) for text, samples in pairs]
            self._samples = [list(range(len(samples))) for samples in self._samples]

    def __call__(self, gradients: "Gradients") -> Decoded:
        """Translate with the current weights; every rank must call this method."""
        weights = gradients.whole_weights()
        found: dict[str, float] = {}
        samples: list[ValidationSample] = []
        for text, chosen in zip(self._texts, self._samples, strict=True):
            hypotheses = [] if weights is None else self._translate(text, weights, gradients)
            if not gradients.first:
                continue
            if self._metric is not None:
                found[text.name] = _value(*self._metric, hypotheses, text.references)
            samples += [
                ValidationSample(text.sources[i], text.references[i], hypotheses[i]) for i in chosen
            ]
        values = load_json(gradients.exchange_texts(json.dumps(self._named(found)))[0])
        return Decoded(values, samples)

    def _named(self, found: Mapping[str, float]) -> dict[str, float]:
        """Return the metric's mean over the corpora and, of several, each one's value, by name."""
        if self._metric is None or not found:
            return {}
        metric, several = self._metric[0], len(found) > 1
        each = {f"{metric}/{name}": value for name, value in found.items() if several}
        return {metric: sum(found.values()) / len(found), **each}

    def _translate(self, text: _Text, weights: Any, gradients: "Gradients") -> list[str]:
        """Return the translations of a corpus in order on rank 0."""
        from s2st.jobs.translation_tasks import plan
        from s2st.models.model_building import model_with_weights
        from s2st.models.multi_decoder import weights_for
        from s2st.scoring.load_scorers import text_sides
        from s2st.scoring.model_scorer import ModelScorer

        record = self._record
        if record.languages is not None:
            if record.languages.per_language:
                weights = weights_for(weights, text.pair[1])
            record = record.for_pair(LanguageChoice(*text.pair), text.name)
        model = model_with_weights(record, weights).to(self._device)
        scorer = ModelScorer(model, *text_sides(record), tag=record.tag)
        size = TranslateConfig().buffer_size
        sources = text.sources
        chunks = [sources[start : start + size] for start in range(0, len(sources), size)]
        # `preprocess` has warned about unknown words of this text, which it tokenized itself
        tasks = plan(scorer, self._search, chunks, None, detokenize=True, what=None)
        queue = ExchangeQueue(gradients.decoding_ranks, gradients.exchange_texts)
        return list(in_order(tasks, lambda translation: translation.texts[0], queue))


def _value(
    name: str, metric: ValidationMetric, hypotheses: Sequence[str], references: Sequence[str]
) -> float:
    value: Any = metric(hypotheses, references)  # a plugin may return anything
    if not isinstance(value, Real) or not math.isfinite(value):
        raise UsageError(f"metric {name!r} returned {value!r}, not a finite number")
    return float(value)


class ExchangeQueue(WorkQueue):
    """A work queue in memory: ranks take turns, and exchange their results at the end.

    Args:
        ranks: this process among the ranks of the job.
        exchange: returns the texts of all ranks, given that of this rank.
    """

    def __init__(self, ranks: Ranks, exchange: Callable[[str], list[str]]) -> None:
        super().__init__(ranks)
        self._exchange = exchange
        self._results: dict[str, Any] = {}
        self._claims = 0

    def claim(self, number: int) -> bool:
        """Return whether it is this rank's turn; all ranks claim all tasks in one order."""
        self._claims += 1
        return (self._claims - 1) % self.ranks.size == self.ranks.rank

    def finished(self, task: TaskName) -> bool:
        """Whether this rank has the result."""
        return task.file in self._results

    def read(self, task: TaskName) -> Any:
        """Return the result, None if this rank does not have it."""
        return self._results.get(task.file)

    def publish(self, task: TaskName, result: Any) -> None:
        """Keep the result."""
        self._results[task.file] = result

    def meet(self) -> None:
        """Give every rank all results."""
        for text in self._exchange(json.dumps(self._results)):
            self._results |= load_json(text)

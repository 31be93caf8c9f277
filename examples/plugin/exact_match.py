"""A plugin in one file: a validation metric.

PYTHONPATH=examples/plugin s2st train bin --plugin exact_match --best-checkpoint-metric exact-match
"""

from dataclasses import dataclass

from s2st.jobs.validation_metrics import METRICS, ValidationMetric


@dataclass(frozen=True)
class ExactConfig:
    """Options of the metric: none."""


@METRICS.registered("exact-match", ExactConfig, "share of translations that equal the reference")
class ExactMatch(ValidationMetric):
    larger_is_better = True

    def __init__(self, config):
        self.config = config

    def __call__(self, hypotheses, references):
        return sum(map(str.__eq__, hypotheses, references)) / len(references)

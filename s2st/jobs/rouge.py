"""ROUGE of summaries, by Google's package rouge-score (Lin 2004): the F1 of ROUGE-1, -2 and -L.

The package's own tokenizer keeps ASCII letters and digits only, and would delete Korean and cut
French words. Here words are runs of letters and digits of any script, which for ASCII text is the
same. The score of a corpus is the mean over its lines.
"""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from s2st.errors import DataError
from s2st.jobs.text_metrics import MetricScore
from s2st.models.extra_packages import import_extra

KINDS = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
_WORD = re.compile(r"[^\W_]+")


class _Words:
    """A tokenizer for rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


def rouge(
    name: str, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[MetricScore, ...]:
    """Compute ROUGE-1, ROUGE-2 and ROUGE-L of a system, in percent.

    Args:
        name: name of the system, for messages.
        hypotheses: the system's lines.
        references: one sequence of lines per reference set; the best reference of a line counts.

    Raises:
        UsageError: the package rouge-score is missing.
        DataError: there is no line.
    """
    if not hypotheses:
        raise DataError("no lines to score", name)
    scorer: Any = import_extra("rouge_score.rouge_scorer", "rouge-score", "rouge", "--rouge")
    computer = scorer.RougeScorer(list(KINDS.values()), use_stemmer=False, tokenizer=_Words())
    sums = dict.fromkeys(KINDS, 0.0)
    for hypothesis, *own in zip(hypotheses, *references, strict=True):
        best = computer.score_multi(own, hypothesis)
        for kind, key in KINDS.items():
            sums[kind] += best[key].fmeasure
    release = version("rouge-score")
    return tuple(
        _score(kind, 100 * total / len(hypotheses), release) for kind, total in sums.items()
    )


def _score(kind: str, score: float, release: str) -> MetricScore:
    how = f"rouge-score {release}, F1, lowercased words of letters and digits, not stemmed"
    signature = f"rouge-score|version:{release}|score:f1|tok:letters|case:lc|stem:no"
    return MetricScore(kind, score, f"{kind} = {score:.2f}", signature, how)

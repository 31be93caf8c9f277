"""Translations of the jobs as records of the Python interface."""

from typing import TYPE_CHECKING

from s2st.api.records import Hypothesis

if TYPE_CHECKING:
    from s2st.jobs.translation_tasks import Translation

END = "</s>"


def hypotheses_of(translation: "Translation") -> list[Hypothesis]:
    """Return the hypotheses of a line as records."""
    import numpy as np

    source = (*translation.source_words, END)
    made = []
    for found, words, text in zip(
        translation.hypotheses, translation.words, translation.texts, strict=True
    ):
        ended = (*words, END) if found.token_log_probs else ()
        attention = found.attention
        made.append(
            Hypothesis(
                text=text,
                tokens=ended,
                token_log_probs=np.array(found.token_log_probs, dtype=np.float64),
                log_prob=found.log_prob,
                score=found.score,
                finished=found.finished,
                source_tokens=source,
                attention=None if attention is None else attention.astype(np.float64),
            )
        )
    return made

"""Output formats of translations: plain text, Moses n-best lists, JSON lines, alignments."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from s2st.jobs.attention_alignments import format_links, links_of
from s2st.jobs.translation_tasks import Translation
from s2st.search.base import Hypothesis
from s2st.text.nbest_lists import NBestEntry, format_entry

MakeRecord = Callable[[Translation], str]


def alignment(translation: Translation) -> str:
    """Return the best hypothesis' alignment in Pharaoh format, "" without attention."""
    return _alignment(translation.hypotheses[0])


def _alignment(hypothesis: Hypothesis) -> str:
    return "" if hypothesis.attention is None else format_links(links_of(hypothesis.attention))


def _text(translation: Translation) -> str:
    return translation.texts[0]


def _moses(translation: Translation) -> str:
    lines = []
    for hypothesis, text in zip(translation.hypotheses, translation.texts, strict=True):
        features = (("LogProb", (hypothesis.log_prob,)),)
        extra = () if hypothesis.attention is None else (_alignment(hypothesis),)
        entry = NBestEntry(translation.line, text, features, hypothesis.score, extra, 0)
        lines.append(format_entry(entry))
    return "\n".join(lines)


def _json(translation: Translation) -> str:
    hypotheses: list[dict[str, Any]] = [
        {
            "text": text,
            "score": hypothesis.score,
            "log_prob": hypothesis.log_prob,
            "token_log_probs": list(hypothesis.token_log_probs),
            "finished": hypothesis.finished,
        }
        for hypothesis, text in zip(translation.hypotheses, translation.texts, strict=True)
    ]
    record: dict[str, Any] = {"line": translation.line, "source": translation.source}
    for found, hypothesis, words in zip(
        hypotheses, translation.hypotheses, translation.words, strict=True
    ):
        if hypothesis.attention is not None:
            record["source_tokens"] = translation.source_words
            found["tokens"] = words
            found["attention"] = [
                [round(weight, 4) for weight in row] for row in hypothesis.attention.tolist()
            ]
    record["hypotheses"] = hypotheses
    return json.dumps(record, ensure_ascii=False)


# format -> function that returns the output of an input line, without the last newline
FORMATS: Mapping[str, MakeRecord] = {"text": _text, "moses": _moses, "json": _json}

"""Records of the Python interface as JSON values. `openapi.py` describes them."""

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import s2st


def encoded(value: Any) -> bytes:
    """Return JSON in ASCII, so that no character of a text can be anything but text."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def _numbers(values: Iterable[float]) -> list[float | None]:
    """Return numbers; null for an infinite one, which JSON cannot write."""
    return [_number(value) for value in values]


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def hypothesis(found: "s2st.Hypothesis") -> dict[str, Any]:
    """Return one hypothesis as JSON."""
    attention = found.attention
    return {
        "text": found.text,
        "tokens": list(found.tokens),
        "token_log_probs": _numbers(found.token_log_probs.tolist()),
        "log_prob": _number(found.log_prob),
        "score": _number(found.score),
        "finished": found.finished,
        "attention": None if attention is None else attention.tolist(),
    }


def translation(source: str, hypotheses: "list[s2st.Hypothesis]") -> dict[str, Any]:
    """Return the n-best list of a line as JSON."""
    return {
        "source": source,
        "source_tokens": list(hypotheses[0].source_tokens),
        "text": hypotheses[0].text,
        "hypotheses": [hypothesis(found) for found in hypotheses],
    }


def explanation(model: str, found: "s2st.Explanation") -> dict[str, Any]:
    """Return an explanation as JSON, with the name of its model."""
    states = found.states
    return {
        "model": model,
        "source": found.source,
        "source_tokens": list(found.source_tokens),
        "hypotheses": [hypothesis(one) for one in found.hypotheses],
        "tree": [
            {
                "parent": node.parent,
                "token": node.token,
                "log_prob": _number(node.log_prob),
                "total": _number(node.total),
                "score": _number(node.score),
                "rank": node.rank,
            }
            for node in found.tree
        ],
        "choices": [
            {
                "tokens": list(choice.tokens),
                "log_probs": _numbers(choice.log_probs.tolist()),
                "prefix": list(choice.prefix),
            }
            for choice in found.choices
        ],
        "states": None
        if states is None
        else {
            "source": list(states.source),
            "target": list(states.target),
            "places": states.places.tolist(),
            "explained": list(states.explained),
        },
        "right_to_left": found.right_to_left,
    }

"""The OpenAPI 3.1 description of the JSON interface."""

from typing import Any

from s2st import __version__
from s2st_server.options import ServeConfig
from s2st_server.requests import MAX_ALTERNATIVES

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
NUMBER_OR_NULL = {"type": ["number", "null"]}
INTEGER = {"type": "integer"}


def description(limits: ServeConfig) -> dict[str, Any]:
    """Return the description, with the limits of this server."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "s2st serve", "version": __version__},
        "paths": {
            "/translate": _post("Translate lines.", "TranslateRequest", "Translations"),
            "/explain": _post("Show what the search considered.", "ExplainRequest", "Explanation"),
            "/health": _get("State of the server.", "Health"),
            "/openapi.json": {"get": {"summary": "This description.", "responses": _ok(None)}},
        },
        "components": {"schemas": {**_requests(limits), **_answers()}},
    }


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _ok(name: str | None) -> dict[str, Any]:
    schema = {"type": "object"} if name is None else _reference(name)
    return {"200": {"description": "answer", "content": {"application/json": {"schema": schema}}}}


def _get(summary: str, answer: str) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": _ok(answer)}}


def _post(summary: str, body: str, answer: str) -> dict[str, Any]:
    reasons = {
        "400": "the body is not JSON",
        "408": "the body did not arrive",
        "413": "the body, a line or a list is too large",
        "415": "the Content-Type is not application/json",
        "421": "the Host header is not local",
        "422": "a field is wrong",
        "500": "internal error",
        "503": "too many requests wait; see Retry-After",
    }
    content = {"application/json": {"schema": _reference("Error")}}
    refused = {code: {"description": text, "content": content} for code, text in reasons.items()}
    sent = {"application/json": {"schema": _reference(body)}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": sent},
            "responses": {**_ok(answer), **refused},
        }
    }


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _requests(limits: ServeConfig) -> dict[str, Any]:
    text = {**TEXT, "maxLength": limits.max_line_length}
    lines = {**_list(text), "minItems": 1, "maxItems": limits.max_lines}
    beam = {**INTEGER, "minimum": 1, "maximum": limits.max_beam}
    alternatives = {**INTEGER, "minimum": 1, "maximum": MAX_ALTERNATIVES}
    translate = _object(
        {},
        {
            "text": text,
            "lines": lines,
            "model": TEXT,
            "beam": beam,
            "nbest": beam,
            "prefix": {"oneOf": [text, lines], "description": "beginning of the translations"},
        },
    )
    translate["oneOf"] = [{"required": ["text"]}, {"required": ["lines"]}]
    prefix = {"oneOf": [text, _list(TEXT)], "description": "text, or tokens of the model"}
    optional = {"model": TEXT, "beam": beam, "alternatives": alternatives, "prefix": prefix}
    return {"TranslateRequest": translate, "ExplainRequest": _object({"text": text}, optional)}


def _answers() -> dict[str, Any]:
    model = _object({"name": TEXT, "source_lang": TEXT, "target_lang": TEXT})
    hypothesis = _object(
        {
            "text": TEXT,
            "tokens": _list(TEXT),
            "token_log_probs": _list(NUMBER_OR_NULL),
            "log_prob": NUMBER_OR_NULL,
            "score": NUMBER_OR_NULL,
            "finished": {"type": "boolean"},
            "attention": {"type": ["array", "null"], "items": _list(NUMBER)},
        }
    )
    hypotheses = _list(_reference("Hypothesis"))
    node = _object(
        {
            "parent": INTEGER,
            "token": TEXT,
            "log_prob": NUMBER_OR_NULL,
            "total": NUMBER_OR_NULL,
            "score": NUMBER_OR_NULL,
            "rank": {"type": ["integer", "null"]},
        }
    )
    choice = _object(
        {"tokens": _list(TEXT), "log_probs": _list(NUMBER_OR_NULL), "prefix": _list(TEXT)}
    )
    states = _object(
        {
            "source": _list(TEXT),
            "target": _list(TEXT),
            "places": _list(_list(NUMBER)),
            "explained": _list(NUMBER),
        }
    )
    line = {"source": TEXT, "source_tokens": _list(TEXT)}
    return {
        "Error": _object({"error": TEXT}),
        "Model": model,
        "Health": _object(
            {
                "status": TEXT,
                "version": TEXT,
                "models": _list(_reference("Model")),
                "requests": INTEGER,
            }
        ),
        "Hypothesis": hypothesis,
        "Translation": _object({**line, "text": TEXT, "hypotheses": hypotheses}),
        "Translations": _object({"model": TEXT, "translations": _list(_reference("Translation"))}),
        "BeamNode": node,
        "Choice": choice,
        "StatePath": states,
        "Explanation": _object(
            {
                "model": TEXT,
                **line,
                "hypotheses": hypotheses,
                "tree": _list(_reference("BeamNode")),
                "choices": _list(_reference("Choice")),
                "states": {"oneOf": [_reference("StatePath"), {"type": "null"}]},
                "right_to_left": {"type": "boolean"},
            }
        ),
    }

"""The page as one HTML document without external resources.

`s2st serve` sends it with the names of its models, and `s2st explain` writes it with the answers
themselves. All data is JSON in ASCII in which `<`, `>` and `&` are escaped; the script makes
elements from it and never HTML. A Content-Security-Policy allows only this script and style sheet,
by their hashes.
"""

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from s2st_server.answers import encoded

ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def live_page(server: Mapping[str, Any]) -> tuple[str, str]:
    """Return the page of a server and its Content-Security-Policy.

    Args:
        server: what the page must know about the server: models, beam and limits.
    """
    policy = _policy("'self'")
    header = f"{policy}; frame-ancestors 'none'"
    return _document("s2st", {"server": server}, policy), header


def written_page(
    sentence: str, models: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
) -> str:
    """Return the page of one sentence as a file.

    Args:
        sentence: the sentence.
        models: descriptions of the models.
        answers: the explanation of each model, as JSON.
    """
    data = {"sentence": sentence, "models": list(models), "answers": list(answers)}
    return _document("s2st explain", data, _policy("'none'"))


def _resource(name: str) -> str:
    return files("s2st_server").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _policy(connect: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(_resource('page.css'))}; "
        f"script-src {_hash(_resource('page.js'))}; connect-src {connect}; "
        "base-uri 'none'; form-action 'none'"
    )


def _document(title: str, data: Mapping[str, Any], policy: str) -> str:
    values = encoded(data).decode("ascii").translate(ESCAPES)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>{_resource("page.css")}</style>
</head>
<body>
<main id="page"><noscript>This page needs JavaScript.</noscript></main>
<script type="application/json" id="data">{values}</script>
<script>{_resource("page.js")}</script>
</body>
</html>
"""

"""The ASGI application: the page, the JSON interface and its description."""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from s2st import __version__
from s2st.errors import S2STError
from s2st_server import answers
from s2st_server.addresses import LOCAL, is_loopback
from s2st_server.limits import JSON, Guard, read_body
from s2st_server.openapi import description
from s2st_server.options import PageConfig, ServeConfig
from s2st_server.page import live_page
from s2st_server.queue import Queue, Work
from s2st_server.requests import (
    ExplainRequest,
    RefusedError,
    TranslateRequest,
    read_explain,
    read_translate,
)
from s2st_server.shown_models import Shown

log = logging.getLogger("s2st")


def make_app(models: Sequence[Shown], config: ServeConfig, page: PageConfig) -> Starlette:
    """Return the application.

    Args:
        models: the models, the default one first.
        config: address and limits.
        page: what the page shows.
    """
    server = _Server(models, config, page)
    local = [*LOCAL, config.host, f"[{config.host}]", *config.allow_host]
    return Starlette(
        routes=[
            Route("/", server.page, methods=["GET"]),
            Route("/translate", server.translate, methods=["POST"]),
            Route("/explain", server.explain, methods=["POST"]),
            Route("/health", server.health, methods=["GET"]),
            Route("/openapi.json", server.openapi, methods=["GET"]),
        ],
        middleware=[Middleware(Guard, hosts=local if is_loopback(config.host) else None)],
        exception_handlers={
            RefusedError: _refused,
            S2STError: _failed,
            HTTPException: _http_error,
        },
    )


class _Server:
    """The answers to requests."""

    def __init__(self, models: Sequence[Shown], config: ServeConfig, page: PageConfig) -> None:
        self.models = {shown.name: shown for shown in models}
        self.first = models[0]
        self.config = config
        self.alternatives = page.alternatives
        self.queue: Queue[Any] = Queue(config.concurrency, config.queue_size)
        described = [shown.described() for shown in models]
        limits = {"max_line_length": config.max_line_length, "max_beam": config.max_beam}
        first = {"beam": self.first.search["beam"], **limits}
        self.html, self.policy = live_page({"models": described, **first})

    async def page(self, request: Request) -> Response:
        """`GET /`."""
        return HTMLResponse(self.html, headers={"Content-Security-Policy": self.policy})

    async def translate(self, request: Request) -> Response:
        """`POST /translate`."""
        body = await read_body(request, self.config.max_request_bytes)
        asked = read_translate(body, self.config)
        shown = self._chosen(asked.model)
        beam = max(shown.search["beam"], asked.nbest) if asked.beam is None else asked.beam
        kind = shown.name, beam, asked.nbest, asked.prefix is None
        compute = partial(_translated, shown, beam)
        work = Work(asked, len(asked.lines), kind, compute, request.is_disconnected)
        return await self._computed(work)

    async def explain(self, request: Request) -> Response:
        """`POST /explain`."""
        body = await read_body(request, self.config.max_request_bytes)
        asked = read_explain(body, self.config)
        shown = self._chosen(asked.model)

        def compute(batch: Sequence[ExplainRequest]) -> list[bytes]:
            return [_explained(shown, one, self.alternatives) for one in batch]

        return await self._computed(Work(asked, 1, None, compute, request.is_disconnected))

    async def health(self, request: Request) -> Response:
        """`GET /health`."""
        models = [shown.described() for shown in self.models.values()]
        values = {"status": "ok", "version": __version__, "models": models}
        return _answer({**values, "requests": self.queue.accepted})

    async def openapi(self, request: Request) -> Response:
        """`GET /openapi.json`."""
        return _answer(description(self.config))

    def _chosen(self, name: str | None) -> Shown:
        if name is None:
            return self.first
        if name not in self.models:
            raise RefusedError(422, f"no model {name[:80]!r}; known: {', '.join(self.models)}")
        return self.models[name]

    async def _computed(self, work: Work[Any]) -> Response:
        """Answer with the JSON that a thread computes."""
        try:
            return Response(await self.queue.run(work), media_type=JSON)
        except (S2STError, RefusedError):
            raise
        except Exception as error:
            log.warning("internal error: %s: %s", type(error).__name__, error)
            raise RefusedError(500, "internal error; the server's log says which") from error


def _translated(shown: Shown, beam: int, batch: Sequence[TranslateRequest]) -> list[bytes]:
    """Return the JSON of each of some requests, which have the same options."""
    search = {**shown.search, "beam": beam}
    search.pop("nbest", None)
    lines = [line for asked in batch for line in asked.lines]
    prefix = None
    if batch[0].prefix is not None:
        prefix = [text for asked in batch for text in asked.prefix or ()]
    found = shown.model.nbest(lines, batch[0].nbest, prefix=prefix, **search)
    pairs = zip(lines, found, strict=True)
    translations = (answers.translation(line, hypotheses) for line, hypotheses in pairs)
    return [
        answers.encoded(
            {"model": shown.name, "translations": list(islice(translations, len(asked.lines)))}
        )
        for asked in batch
    ]


def _explained(shown: Shown, asked: ExplainRequest, alternatives: int) -> bytes:
    search = dict(shown.search)
    search.pop("nbest", None)
    if asked.beam is not None:
        search["beam"] = asked.beam
    found = shown.model.explain(
        asked.text,
        prefix=asked.prefix,
        alternatives=asked.alternatives or alternatives,
        **search,
    )
    return answers.encoded(answers.explanation(shown.name, found))


def _answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(answers.encoded(value), status, headers, JSON)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _answer({"error": str(error)}, error.status, error.headers)


def _failed(request: Request, error: Exception) -> Response:
    """Answer a request that the library refuses: its text, prefix or options."""
    assert isinstance(error, S2STError)
    status = 422 if error.exit_code in (2, 65) else 500
    return _answer({"error": str(error)}, status)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer({"error": error.detail}, error.status_code, dict(error.headers or {}))

"""What the server refuses: strange hosts, large or slow bodies, and more work than it can queue."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s2st_server.addresses import host_name
from s2st_server.answers import encoded
from s2st_server.requests import RefusedError

T = TypeVar("T")
LEFT = 499  # status that nobody reads, by the custom of nginx
BODY_SECONDS = 20  # in which a body must arrive
JSON = "application/json"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# of every answer but the page, which has its own
NO_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"


class Gate:
    """Runs work in threads, a limited number at a time, and refuses more than it can queue.

    Work of a client that left while it waited is not done: a page asks anew at every key.

    Args:
        concurrency: pieces of work at the same time.
        queue_size: pieces that may wait.

    Attributes:
        accepted: pieces that run or wait.
    """

    def __init__(self, concurrency: int, queue_size: int) -> None:
        self._most = concurrency + queue_size
        self._turns = anyio.Semaphore(concurrency)
        self._threads = anyio.CapacityLimiter(concurrency)
        self.accepted = 0

    async def run(self, work: Callable[[], T], left: Callable[[], Awaitable[bool]]) -> T:
        """Run the work and return its result.

        Args:
            work: what a thread does.
            left: whether the client is no longer there.

        Raises:
            RefusedError: the queue is full, or the client has left.
        """
        if self.accepted >= self._most:
            raise RefusedError(503, "too many requests wait; try again", {"Retry-After": "1"})
        self.accepted += 1
        try:
            async with self._turns:
                if await left():
                    raise RefusedError(LEFT, "the client has left")
                return await anyio.to_thread.run_sync(work, limiter=self._threads)
        finally:
            self.accepted -= 1


async def read_body(request: Request, most: int) -> bytes:
    """Return the body of a JSON request.

    The type must be JSON: a page of another site cannot send that without asking this server,
    which never agrees.

    Raises:
        RefusedError: the body has another type, is too large, or does not arrive.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise RefusedError(415, f"send the header Content-Type: {JSON}")
    refused = RefusedError(413, f"the body is larger than {most} bytes", {"Connection": "close"})
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise refused
    body = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise refused
    except TimeoutError as error:
        message = f"the body did not arrive within {BODY_SECONDS} seconds"
        raise RefusedError(408, message, {"Connection": "close"}) from error
    return bytes(body)


class Guard:
    """Adds security headers to every answer, and checks the Host header.

    A server on loopback answers only requests for a local name. Otherwise a page of another site
    could reach it by a name that resolves to 127.0.0.1 (DNS rebinding).

    Args:
        app: the application.
        hosts: names that are allowed; None allows all.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None) -> None:
        self.app = app
        self.hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", NO_CONTENT_POLICY)
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if self.hosts is not None and host_name(host) not in self.hosts:
            body = encoded({"error": "this server answers requests for localhost only"})
            await send_guarded(
                {
                    "type": "http.response.start",
                    "status": 421,
                    "headers": [(b"content-type", JSON.encode())],
                }
            )
            await send_guarded({"type": "http.response.body", "body": body})
            return
        await self.app(scope, receive, send_guarded)

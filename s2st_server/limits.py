"""What the server refuses: strange hosts, and large or slow bodies."""

from collections.abc import Sequence

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s2st_server.addresses import host_name
from s2st_server.answers import encoded
from s2st_server.requests import RefusedError

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

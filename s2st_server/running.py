"""Run the server: bind the socket, load the models, serve, and stop after the last answer."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from s2st.errors import OutputError, UsageError
from s2st_server.options import ServeConfig

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger("s2st")
STOP_SECONDS = 60  # for the answers to accepted requests
CONNECTIONS = 1000
POLL_SECONDS = 0.1


def require_libraries() -> None:
    """Raise UsageError without starlette and uvicorn."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError("s2st serve needs more libraries: pip install 's2st[serve]'") from error


def check_beam(beam: int, config: ServeConfig) -> None:
    """Raise UsageError if the default beam is larger than the limit of requests."""
    if beam > config.max_beam:
        raise UsageError(
            f"--beam {beam} is more than --max-beam {config.max_beam}; raise --max-beam"
        )


def bound_socket(config: ServeConfig) -> socket.socket:
    """Return a socket that is bound, so that a wrong address is an error before models are loaded.

    Raises:
        OutputError: the port is in use, or the address is not of this machine.
    """
    place = f"port {config.port} of {config.host}"
    try:
        found = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {config.host}: is no address of this machine") from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen()  # Linux lets two sockets bind, and refuses the second one here
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise OutputError(f"{place} is in use; choose another --port, or 0") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(f"--host {config.host}: is no address of this machine") from error
        raise OutputError(f"{place}: cannot be opened: {error.strerror}") from error
    return made


def serve(app: "ASGIApp", bound: socket.socket, stop_requested: Callable[[], int]) -> None:
    """Serve until a stop is requested and all accepted requests are answered.

    Args:
        app: the application.
        bound: the listening socket.
        stop_requested: returns 0 as long as the server shall run.
    """
    import uvicorn

    errors = logging.getLogger("uvicorn")
    errors.handlers, errors.propagate = log.handlers, False
    errors.setLevel(logging.ERROR)

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Leave the signals to the program."""
            yield

    server = Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none",
            server_header=False, proxy_headers=False, limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )  # fmt: skip

    async def run() -> None:
        async def watch() -> None:
            while not stop_requested():
                await asyncio.sleep(POLL_SECONDS)
            log.info("stopping: answering the accepted requests")
            server.should_exit = True

        watching = asyncio.create_task(watch())
        try:
            await server.serve(sockets=[bound])
        finally:
            watching.cancel()

    host, port = bound.getsockname()[:2]
    log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    asyncio.run(run())

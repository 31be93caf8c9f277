"""Options of `s2st serve` and `s2st explain`, importable without torch and starlette."""

from dataclasses import dataclass

from s2st.options.option_fields import option


@dataclass(frozen=True)
class PageConfig:
    """What the page shows."""

    compare: tuple[str, ...] = option(
        (),
        "checkpoint of another model to show beside that of --checkpoint, such as a reversed one; "
        "repeatable",
    )
    alternatives: int = option(
        5, "words to show at each position of the translation", minimum=1, maximum=100
    )


@dataclass(frozen=True)
class ServeConfig:
    """Address and limits of the server."""

    host: str = option(
        "127.0.0.1",
        "address to listen on; any other than loopback lets other machines use the server, which "
        "asks for no password",
    )
    port: int = option(8000, "port; 0 takes a free one", minimum=0, maximum=65535)
    allow_host: tuple[str, ...] = option(
        (),
        "name by which a proxy on this machine may ask, besides localhost; only for a loopback "
        "address; repeatable",
    )
    concurrency: int = option(2, "batches computed at the same time", minimum=1, maximum=1024)
    queue_size: int = option(
        64, "requests that may wait; more get status 503", minimum=0, maximum=100_000
    )
    max_request_bytes: int = option(
        1_000_000, "largest body of a request", minimum=1, maximum=1_000_000_000
    )
    max_lines: int = option(100, "largest number of lines", minimum=1, maximum=1_000_000)
    max_line_length: int = option(
        2000, "largest number of characters in a line or prefix", minimum=1, maximum=1_000_000
    )
    max_beam: int = option(50, "largest beam that a request may ask for", minimum=1, maximum=1000)

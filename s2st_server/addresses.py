"""Names of this machine, and the name in a Host header."""

import ipaddress

LOCAL = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(header: str) -> str:
    """Return the name in a Host header, without the port."""
    if header.startswith("["):
        address, bracket, _ = header.partition("]")
        return (address + bracket).lower()
    return header.partition(":")[0].lower()

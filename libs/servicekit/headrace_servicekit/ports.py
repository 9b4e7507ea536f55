"""Addresses that are listened on, and what to say when one cannot be."""

from __future__ import annotations

import errno
import os
import socket


class PortUnavailable(Exception):
    """The address cannot be listened on; the message names the port and its setting."""

    def __init__(self, host: str, port: int, setting: str, cause: str) -> None:
        super().__init__(
            f"cannot listen on {target(host, port)} ({cause}): "
            f"stop what uses the port, or choose another one with {setting}"
        )


def target(host: str, port: int) -> str:
    """Return host and port as one text; IPv6 addresses get their brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listening(host: str, port: int, backlog: int = 1024) -> socket.socket:
    """Return a socket that listens on an address; port 0 takes a free one. Raises OSError.

    What it accepts sends at once. asyncio sees to that only where a socket names its protocol, which accepted ones do
    not here, and an answer of two parts would wait 40 ms for the caller to acknowledge the first.
    """
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    made = socket.create_server((bare, port), family=family, backlog=backlog)  # noqa: TID251  (here it is done)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def problem(host: str, port: int) -> str | None:
    """Say why an address cannot be listened on; gRPC only says that it cannot, and prints to stderr."""
    if port == 0:
        return None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return cause_of(error)
    return None


def cause_of(error: OSError) -> str:
    """Say in a few words why listening failed."""
    if error.errno == errno.EADDRINUSE:
        return "the port is taken"
    return (
        os.strerror(error.errno).lower() if error.errno and error.errno > 0 else (error.strerror or str(error)).lower()
    )

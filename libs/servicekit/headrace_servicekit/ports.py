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

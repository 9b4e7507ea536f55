"""Bare connections, for callers who do what no client library would."""

from __future__ import annotations

import socket


def connected(address: str) -> socket.socket:
    """Connect to `host:port`."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def is_closed(connection: socket.socket) -> bool:
    """Return whether the other side has closed it; nothing must be on its way to us."""
    connection.settimeout(0.001)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True

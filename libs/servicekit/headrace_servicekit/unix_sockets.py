"""Unix sockets by the addresses that gRPC gives them, `unix:/path` or `unix:///path`."""

from __future__ import annotations

import os

SCHEME = "unix:"
# The longest path that a socket address holds, without the zero byte at its end.
MAX_PATH_BYTES = 107


def path_of(address: str) -> str | None:
    """Return the path of a socket; None for an address of another kind."""
    if not address.startswith(SCHEME):
        return None
    path = address.removeprefix(SCHEME)
    return path.removeprefix("//") if path.startswith("///") else path


def problem(path: str) -> str | None:
    """Return why no socket can have this path; None where one can."""
    size = len(os.fsencode(path))
    if not path.startswith("/"):
        return f"'{path}' is not an absolute path"
    if size > MAX_PATH_BYTES:
        return f"'{path}' has {size} bytes, and a socket's path at most {MAX_PATH_BYTES}"
    return None

"""As many connections as the limit of open files leaves room for: one more is closed at once, not left to wait."""

from __future__ import annotations

import resource

# For all that is no caller's connection: stores, peers, batchers, files.
RESERVED = 256
# Of a process without a limit.
MOST_CONNECTIONS = 100_000


def raise_limit() -> None:
    """Let this process open as many files as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def most_connections() -> int:
    """Return how many connections a server of this process may take, at least one."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(MOST_CONNECTIONS, files - RESERVED))

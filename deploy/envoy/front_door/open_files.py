"""As many connections as the limit of open files leaves room for: one that cannot be accepted waits, and Envoy spins.

What runs inside Envoy needs files too: keys and denied clients are read again and again, batchers are called.
"""

from __future__ import annotations

import resource
from typing import TypeVar

import structlog

from front_door.envoy_settings import EnvoySettings

log = structlog.get_logger()

# For all that is no caller's connection. Envoy and a data plane at rest have about sixty open.
RESERVED = 256

Settings = TypeVar("Settings", bound=EnvoySettings)


def connections_within(wanted: int, open_files: int) -> int:
    """Return how many connections one process may take, at least one. open_files: RLIM_INFINITY means no limit."""
    return wanted if open_files == resource.RLIM_INFINITY else max(1, min(wanted, open_files - RESERVED))


def raise_limit() -> int:
    """Let this process and its children open as many files as they may; return how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def fitted(settings: Settings) -> Settings:
    """Return the settings with no more connections than there can be files, which is logged when they are fewer."""
    open_files, wanted = raise_limit(), settings.share(settings.max_connections)
    most = connections_within(wanted, open_files)
    if most == wanted:
        return settings
    log.warning("fewer connections than set: raise the limit of open files", connections=most, open_files=open_files)
    return settings.model_copy(update={"max_connections": most * settings.processes})

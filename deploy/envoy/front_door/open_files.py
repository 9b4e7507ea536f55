"""Connection limit from the limit of open files: Envoy spins on a connection that it cannot accept.

Code inside Envoy needs files too: it rereads keys and denied clients, and calls batchers. Should it need more than
reserved, or an operator lower the limit, new connections are refused while few files are left.
"""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path
from typing import TypeVar

import structlog

from front_door.envoy_settings import EnvoySettings
from front_door.publish import publish

log = structlog.get_logger()

# For all that is no caller's connection. Envoy and a data plane at rest have about sixty open.
RESERVED = 256
# With fewer left every connection is refused. A refused connection needs one for a moment.
SCARCE = 32
PRESSURE_FILE = "open_files"
"""What Envoy's overload manager follows: 0 or 1."""
LOOK_S = 0.25

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


def reset(state_dir: Path) -> None:
    """Say that there are files enough. Raises OSError."""
    publish(state_dir, {PRESSURE_FILE: b"0"})


async def watch(pid: int, state_dir: Path) -> None:
    """Have Envoy refuse connections while few files are left; returns when Envoy has ended."""
    scarce = False
    while True:
        try:
            left = _left(pid)
        except OSError:
            return
        if (left < SCARCE) != scarce:
            scarce = not scarce
            await asyncio.to_thread(publish, state_dir, {PRESSURE_FILE: b"1" if scarce else b"0"})
            log.log(40 if scarce else 20, "files are scarce" if scarce else "files are enough", left=left)
        await asyncio.sleep(LOOK_S)


def _left(pid: int) -> int:
    """Return how many more files a process may open. Raises OSError when it has ended."""
    most, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    folder = f"/proc/{pid}/fd"
    # Kernels from 6.2 on say how many there are; others have to list them.
    used = os.stat(folder).st_size or len(os.listdir(folder))
    return SCARCE if most == resource.RLIM_INFINITY else most - used

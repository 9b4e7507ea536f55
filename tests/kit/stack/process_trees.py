"""The processes of a stack, and whether they still live."""

from __future__ import annotations

import psutil
from headrace_stack.snapshot import Snapshot


def processes(seen: Snapshot) -> list[psutil.Process]:
    """Return the supervisor and everything that descends from it."""
    supervisor = psutil.Process(seen.supervisor.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def lives(process: psutil.Process) -> bool:
    """Whether a process lives. A zombie does not: it only waits for its parent to look."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

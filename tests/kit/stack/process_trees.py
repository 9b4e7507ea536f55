"""The processes of a stack, and whether they still live."""

from __future__ import annotations

from typing import Any

import psutil
from headrace_stack.snapshot import Snapshot


def processes(seen: Snapshot) -> list[psutil.Process]:
    """Return the supervisor and everything that descends from it."""
    supervisor = psutil.Process(seen.supervisor.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def listening(seen: Snapshot) -> list[tuple[str, Any]]:
    """Return each address on which a process of the stack listens, with the name of the process. Without what scoring
    jobs of other tests run: Ray chooses its ports itself.
    """
    (scorer,) = [one.process.pid for one in seen.components if one.name == "scorer" and one.process] or [None]
    found = processes(seen)
    # After the list above: what a job starts meanwhile is among its children then. Of a job that ends, Ray's actors are
    # the supervisor's for a moment.
    of_jobs = {one.pid for one in psutil.Process(scorer).children(recursive=True)} if scorer else set()
    names: dict[int, str] = {}
    for process in found:
        try:
            name = process.name()
        except psutil.NoSuchProcess:  # as PostgreSQL's often end
            continue
        if process.pid not in of_jobs and not name.startswith("ray::"):
            names[process.pid] = name
    # Of all processes at once: psutil reads every socket of the machine for each question.
    open_ones = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return [(names[one.pid], one.laddr) for one in open_ones if one.pid in names]


def lives(process: psutil.Process) -> bool:
    """Whether a process lives. A zombie does not: it only waits for its parent to look."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

"""Compute seconds by client: the time of each execution, divided among its members by their rows. `take` clears the
counts, so that each second is reported once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from headrace_batcher.decisions.work import Work

# Clients of one version between two reports. Clients beyond these share one entry, and so do names that the monitor
# refuses: one such name would lose the whole report.
MAX_CLIENTS = 1000
MAX_NAME_CHARS = 256
OTHERS = "(others)"


class ClientUse(NamedTuple):
    """What one client used of one version at one priority."""

    model: str
    version: str
    client: str
    priority: int
    requests: int
    rows: int
    compute_s: float


class VersionUsage:
    """What was used of one version since it was taken last."""

    __slots__ = ("_uses",)

    def __init__(self) -> None:
        self._uses: dict[tuple[str, int], list[float]] = {}

    def executed(self, members: Sequence[Work], rows: int, seconds: float) -> None:
        """Count an execution, whatever came of it. rows: of all members, at least one."""
        uses, per_row_s = self._uses, seconds / rows
        for work in members:
            use = uses.get((work.client, work.priority))
            if use is None:
                use = self._begin(work.client, work.priority)
            # A request in pieces counts with its first one; one that is executed again, with its first execution.
            use[0] += not work.failed and (not work.is_piece or work.id == 0)
            use[1] += work.rows
            use[2] += work.rows * per_row_s

    def take(self) -> dict[tuple[str, int], list[float]]:
        """Return what was used since the last time, by client and priority."""
        uses, self._uses = self._uses, {}
        return uses

    def _begin(self, client: str, priority: int) -> list[float]:
        if len(self._uses) >= MAX_CLIENTS or len(client) > MAX_NAME_CHARS or not client.isprintable():
            client = OTHERS
        return self._uses.setdefault((client, priority), [0, 0, 0.0])


class Usage:
    """What was used of all versions of this process."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], VersionUsage] = {}

    def of(self, model: str, version: str) -> VersionUsage:
        """Return where a version's executions are counted: the same one when it is loaded again."""
        return self._versions.setdefault((model, version), VersionUsage())

    def take(self) -> Iterator[ClientUse]:
        """Yield what was used since the last time."""
        for (model, version), usage in list(self._versions.items()):
            for (client, priority), (requests, rows, compute_s) in usage.take().items():
                yield ClientUse(model, version, client, priority, int(requests), int(rows), compute_s)

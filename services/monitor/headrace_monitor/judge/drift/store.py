"""What a store of drift evaluations does.

`postgres` and `memory` keep the same promises: tests/contract/evaluation_store.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from headrace.monitor.v1 import monitor_pb2

from headrace_monitor.judge.drift.decisions.evaluation import DriftEvaluation

# Well below what clients and the front door's transcoder take.
MAX_PAGE_BYTES = 3 * 1024 * 1024
# Of an evaluation that says that nothing drifts.
MIN_CALM_ROWS = 200

# Evaluations with their numbers, the latest first, and whether there are more.
Page = tuple[list[tuple[int, monitor_pb2.Drift]], bool]


@dataclass(frozen=True, slots=True)
class DueWindow:
    """A window of a version that was not evaluated yet. reference: number of the current one."""

    reference: int
    model: str
    version: str
    start: datetime
    end: datetime


class EvaluationStore(Protocol):
    """Stores drift evaluations by version. Every method raises Unavailable while the store is away."""

    async def due(self, seconds: int, ended_by: datetime, ended_after: datetime, *, limit: int) -> list[DueWindow]:
        """Return windows of a length that were not evaluated yet, in the order of their ends.

        Of the current reference of each version. ended_by, ended_after: bounds of their ends, the first inclusive.
        """
        ...

    async def add(self, evaluation: DriftEvaluation) -> bool:
        """Store an evaluation and its observations, unless its window has one already; return whether it was stored."""
        ...

    async def page(self, model: str, version: str, below: int | None, size: int) -> Page:
        """Return evaluations with numbers below `below`, the latest first, and whether there are more.

        At least one, then as many as fit into MAX_PAGE_BYTES.
        """
        ...

    async def last_without_alarm(
        self, model: str, version: str, reference: int, before: datetime
    ) -> tuple[datetime, datetime] | None:
        """Return the time of the last evaluation against a reference that found no drift in at least MIN_CALM_ROWS."""
        ...

    async def expire(self, before: datetime) -> None:
        """Delete evaluations of windows that ended earlier."""
        ...

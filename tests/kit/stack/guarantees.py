"""Pure: what callers were promised while somebody changed the route, checked on the log of requests and operations.

A table may answer from the moment in which it was asked for until a later one is acknowledged by every data plane. A
request may be answered under any table that was so allowed at some moment between its sending and its answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.kit.stack.load import Exchange


@dataclass(frozen=True, slots=True)
class Operation:
    """A change of a route. Times are of `time.monotonic`; operations do not overlap.

    allowed: versions that may answer under the table that it leads to. generation: in force when it returned, 0 when it
    failed: then nobody knows whether it takes effect. unacknowledged: data planes named by its answer.
    """

    what: str
    asked_at: float
    returned_at: float
    allowed: frozenset[str]
    generation: int
    unacknowledged: tuple[str, ...] = ()

    @property
    def acknowledged(self) -> bool:
        """Whether no data plane answers under an older table from its return on."""
        return self.generation > 0 and not self.unacknowledged


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that one request disproves."""

    promise: str
    exchange: Exchange

    def __str__(self) -> str:
        one = self.exchange
        if not one.answered:
            return f"{self.promise}: {one}"
        seen = f"'{one.version}' of generation {one.generation} to {one.user}"
        return f"{self.promise}: {seen}, sent at {one.sent_at:.3f}, answered at {one.received_at:.3f}"


UNANSWERED = "every request is answered"
WRONG = "an answer holds what its version computes"
REMOVED = "no version answers after the acknowledgement that removed it"
EARLY = "no version answers before somebody asked for it"
FOREIGN = "an answer names a generation that allows its version"
MOVED = "a user keeps the version for as long as the generation lasts"


def broken(operations: Sequence[Operation], exchanges: Iterable[Exchange]) -> list[Broken]:
    """Return every promise that the log disproves. The first operation returned before the first request was sent."""
    found: list[Broken] = []
    ends = _ends(operations)
    versions = {one.generation: one.allowed for one in operations if one.generation}
    kept: dict[tuple[str, int], str] = {}
    for exchange in exchanges:
        if not exchange.answered:
            found.append(Broken(UNANSWERED, exchange))
            continue
        if not exchange.right:
            found.append(Broken(WRONG, exchange))
        possible = [
            operation
            for operation, end in zip(operations, ends, strict=True)
            if operation.asked_at <= exchange.received_at and end >= exchange.sent_at
        ]
        if not any(exchange.version in operation.allowed for operation in possible):
            earlier = any(
                exchange.version in operation.allowed and operation.asked_at <= exchange.received_at
                for operation in operations
            )
            found.append(Broken(REMOVED if earlier else EARLY, exchange))
        elif not _generation_fits(exchange, possible, versions):
            found.append(Broken(FOREIGN, exchange))
        if kept.setdefault((exchange.user, exchange.generation), exchange.version) != exchange.version:
            found.append(Broken(MOVED, exchange))
    return found


def _ends(operations: Sequence[Operation]) -> list[float]:
    """Return until when each operation's table may still answer."""
    ends: list[float] = []
    end = math.inf
    for operation in reversed(operations):
        ends.append(end)
        if operation.acknowledged:
            end = operation.returned_at
    return ends[::-1]


def _generation_fits(exchange: Exchange, possible: Sequence[Operation], versions: dict[int, frozenset[str]]) -> bool:
    if exchange.generation in versions:
        in_time = any(operation.generation == exchange.generation for operation in possible)
        return in_time and exchange.version in versions[exchange.generation]
    return any(operation.generation == 0 for operation in possible)  # of an operation that failed, or failed at first

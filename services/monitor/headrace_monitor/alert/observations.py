"""Observations: the measurements that alert rules evaluate. A component that measures stores them here, without
knowledge of the rules.

async with connections.transaction() as connection:
    ... what was measured ...
    await Observations.put(connection, [Observation("fraud", "v3", "error_rate", start, end, 0.02, Severity.NONE, "…")])
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics.severity import Severity

_SQL = load_queries("headrace_monitor.alert")

MAX_SUMMARY_CHARS = 1000
EVERY_MODEL = "*"


@dataclass(frozen=True, slots=True)
class Observation:
    """The value of one signal over one window. Put one for every window, also when all is well: alerts resolve by it.

    model: `*` where it is about no model alone. version: empty where it is about none.
    signal: one of `headrace_monitor.alert.decisions.signals`.
    window_start, window_end: the time that was looked at. Put them in the order of their ends: one that ends no later
    than what was judged before is kept and not judged.
    value: of the signal; of `drift` and `quality`, the effect. What is not finite says nothing.
    severity: of `drift` and `quality`, what rules compare; of other signals, NONE unless it is known to be bad.
    summary: a sentence with what is worst and where, such as "PSI of country is 0.31 at AT"; may be empty.
    rows: predictions that the value is made of; None where it is not made of any. Rules weigh by them, and say
    nothing of fewer than their `min_rows`.
    """

    model: str
    version: str
    signal: str
    window_start: datetime
    window_end: datetime
    value: float
    severity: Severity
    summary: str
    rows: int | None = None


class Observations:
    """The table of observations, as its writers see it."""

    @staticmethod
    async def put(connection: Any, observations: Iterable[Observation]) -> None:
        """Write observations in the caller's transaction.

        Repeating it is safe: the first one of a model, version, signal and window counts.
        """
        ordered = sorted(observations, key=_key)
        if not ordered:
            return
        columns = zip(*(_row(one) for one in ordered), strict=True)
        await connection.execute(_SQL["put_observations"], *columns)


def _key(one: Observation) -> tuple[str, str, str, datetime, datetime]:
    return one.model, one.version, one.signal, one.window_end, one.window_start


def _row(one: Observation) -> tuple[Any, ...]:
    return (
        *(one.model, one.version, one.signal, one.window_start, one.window_end),
        *(one.value, one.rows, int(one.severity), _text(one.summary)),
    )


def _text(summary: str) -> str:
    """Return text as PostgreSQL takes it, of bounded length."""
    return summary[:MAX_SUMMARY_CHARS].replace("\0", "")

"""What the leader writes: decisions, memories and outcomes, all of a round at once, refused once another one leads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from headrace_scaling.decisions.observations import EarlierHour, EarlierHours
from headrace_scaling.documents import to_json
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import Aborted, Unavailable

from headrace_autoscaler.decisions.actuation import Acting
from headrace_autoscaler.storage.database import QUERIES
from headrace_autoscaler.storage.pools import CHANNEL, STARTS_KEPT
from headrace_autoscaler.storage.values import DemandMinute, OutcomeUpdate, Round

_NOTIFY = f"select pg_notify('{CHANNEL}', '')"


@dataclass(frozen=True, slots=True)
class InForce:
    """What may be new to a leader. awaited: requests wait for a replica, and there is none."""

    revision: int
    paused: bool
    decision: int | None
    awaited: bool


@dataclass(frozen=True, slots=True)
class Start:
    """How long one replica took to be ready."""

    pool: str
    process: str
    duration_s: float


class Rounds:
    """The leader's side of the store. Every method raises Unavailable, and Aborted, reason NOT_LEADING."""

    def __init__(self, lease: LeaderLease) -> None:
        self._lease = lease

    async def in_force(self) -> tuple[datetime, Mapping[str, InForce]]:
        """Return the database's time, and the pools that have a policy."""

        async def read(connection: Any) -> tuple[datetime, Mapping[str, InForce]]:
            now = await connection.fetchval(QUERIES["now"])
            rows = await connection.fetch(QUERIES["in_force"])
            return now, {
                row["pool"]: InForce(row["revision"], row["paused"], row["decision"], row["awaited"]) for row in rows
            }

        return await self._lease.repeatable(read)

    async def starts(self) -> Mapping[str, list[float]]:
        """Return how long the last replicas of each pool took to be ready."""
        found: dict[str, list[float]] = {}
        rows = await self._lease.repeatable(lambda connection: connection.fetch(QUERIES["starts"], STARTS_KEPT))
        for row in rows:
            found.setdefault(row["pool"], []).append(row["duration_s"])
        return found

    async def seasonal_peaks(
        self, pool: str, metric: str, now: datetime, days: int, ahead: timedelta
    ) -> tuple[float, ...]:
        """Return the peak of each earlier day between this time of the day and a look-ahead later, yesterday's last.

        NaN for a day of which nothing is known.
        """
        rows = await self._lease.repeatable(
            lambda connection: connection.fetch(QUERIES["seasonal_peaks"], pool, metric, now, days, ahead)
        )
        return tuple(_known(row["peak"]) for row in rows)

    async def earlier_hours(self, pool: str, metric: str, now: datetime, hours: int, ahead: timedelta) -> EarlierHours:
        """Return the demand around this minute of each of the last hours, and how alike hours are."""

        async def read(connection: Any) -> EarlierHours:
            rows = await connection.fetch(QUERIES["earlier_hours"], pool, metric, now, hours, ahead)
            likeness = await connection.fetchval(QUERIES["likeness"], pool, metric, now)
            found = tuple(EarlierHour(_known(row["peak"]), _known(row["mean"])) for row in rows)
            return EarlierHours(found, _known(likeness))

        return await self._lease.repeatable(read)

    async def save(
        self,
        rounds: Sequence[Round],
        outcomes: Sequence[OutcomeUpdate],
        starts: Sequence[Start],
        minutes: Sequence[DemandMinute],
        now: datetime,
    ) -> dict[str, int]:
        """Keep a round whole; return the number of each pool's decision."""
        async with self._lease.transaction() as connection:
            numbers = await _add_decisions(connection, rounds)
            if rounds:
                last = await connection.fetchval(QUERIES["next_sequences"], len(rounds))
                first = last - len(rounds) + 1
                columns = zip(
                    *(
                        (
                            *(one.decision.pool, one.memory, to_json(one.acting_as(numbers[one.decision.pool]))),
                            *(numbers[one.decision.pool], json.dumps(one.problems), first + at, one.decision.revision),
                        )
                        for at, one in enumerate(rounds)
                    ),
                    strict=True,
                )
                await connection.execute(QUERIES["save_pools"], *columns)
            await _set_outcomes(connection, outcomes, now)
            if starts:
                columns = zip(*((one.pool, one.process, now, one.duration_s) for one in starts), strict=True)
                await connection.execute(QUERIES["add_starts"], *columns)
            if minutes:
                columns = zip(
                    *(
                        (one.pool, one.minute, one.metric, one.peak, one.mean, one.ready, one.samples)
                        for one in minutes
                    ),
                    strict=True,
                )
                await connection.execute(QUERIES["add_minutes"], *columns)
            await connection.execute(_NOTIFY)
        return numbers

    async def settle(self, pool: str, acting: Acting, outcomes: Sequence[OutcomeUpdate], now: datetime) -> None:
        """Keep what came of asking an actuator."""
        async with self._lease.transaction() as connection:
            sequence = await connection.fetchval(QUERIES["next_sequences"], 1)
            await connection.execute(QUERIES["save_acting"], pool, to_json(acting), sequence)
            await _set_outcomes(connection, outcomes, now)
            await connection.execute(_NOTIFY)

    async def expire(self, *, whole: timedelta, changes: timedelta, history: timedelta) -> None:
        """Remove what is older, while this process leads: decisions that changed nothing, all decisions, and the
        history of demand. By the database's clock: a process whose clock is ahead must not remove history.
        """
        if self._lease.fence is None:
            return
        try:
            now, _ = await self.in_force()
            async with self._lease.transaction() as connection:
                await connection.execute(QUERIES["expire_decisions"], now - whole, now - changes)
                await connection.execute(QUERIES["expire_history"], now - history)
                await connection.execute(QUERIES["expire_starts"], now - changes)
        except (Aborted, Unavailable):
            pass  # another process leads, or the database is away: the next round expires it


async def _add_decisions(connection: Any, rounds: Sequence[Round]) -> dict[str, int]:
    if not rounds:
        return {}
    columns = zip(
        *(
            (
                *(one.decision.pool, one.decision.create_time, one.decision.revision, one.decision.desired),
                *(one.decision.changed, one.decision.memory, one.decision.observation, one.decision.decision),
                *(int(one.decision.outcome), one.decision.detail),
            )
            for one in rounds
        ),
        strict=True,
    )
    rows = await connection.fetch(QUERIES["add_decisions"], *columns)
    return {row["pool"]: row["number"] for row in rows}


async def _set_outcomes(connection: Any, outcomes: Sequence[OutcomeUpdate], now: datetime) -> None:
    if outcomes:
        columns = zip(*((one.number, int(one.outcome), one.detail) for one in outcomes), strict=True)
        await connection.execute(QUERIES["set_outcomes"], *columns, now)


def _known(value: float | None) -> float:
    return math.nan if value is None else value

"""Usage and budgets in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.identity import Identity
from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries
from headrace_servicekit.times import HOUR, Span, earlier

from headrace_router.control.decisions.rate_limits import RateLimit
from headrace_router.control.storage.rate_limits import columns_of, lock
from headrace_router.control.usage.decisions.budgets import MAX_BUDGETS, Budget, Period, Spent, period_at
from headrace_router.control.usage.decisions.idle import Presence
from headrace_router.control.usage.decisions.smaller_forms import UsedVersion

_SQL = load_queries("headrace_router.control.usage")

MAX_LISTED = 10_000
# For which smaller forms are looked for.
MAX_VERSIONS = 500
# Of an hour, of all pools: names of clients are what an issuer of tokens likes, and there may be a million.
MAX_HOUR_ROWS = 20_000
OTHERS = "(others)"
# Clients and models of a period, those that have used the most: others are over no budget that means anything.
MAX_SPENT = 50_000
EXPIRE_ROWS = 10_000
# A process that was silent for longer is gone.
FORGET_PROCESSES = timedelta(days=30)


class Use(NamedTuple):
    """What one client used of one version."""

    model: str
    version: str
    client: str
    priority: int
    requests: int
    rows: int
    compute_us: int


class Report(NamedTuple):
    """What one batcher was used for."""

    pool: str
    process: str
    sequence: int
    present_us: int
    busy_us: int
    uses: Sequence[Use]


class Page(NamedTuple):
    """A page of what a monitor of 0.1.0 had, in columns as in the tables."""

    number: int
    uses: Sequence[tuple[Any, ...]]
    pools: Sequence[tuple[Any, ...]]
    processes: Sequence[tuple[str, int]]
    budgets: Sequence[Budget]
    rate_limits: Sequence[RateLimit]


class UsageStore:
    """Hours of usage and presence, and budgets. Every call raises Unavailable while the database is away."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._settled: dict[Period, tuple[Span, Spent]] = {}

    async def add(self, report: Report) -> bool:
        """Add a report; return False for one that was added before."""
        async with self._database.transaction() as connection:
            if await connection.fetchval(_SQL["number_report"], report.process, report.sequence) is None:
                return False
            await connection.execute(_SQL["add_presence"], report.pool, report.present_us, report.busy_us)
            if report.uses:
                columns = map(list, zip(*report.uses, strict=True))
                await connection.execute(_SQL["add_uses"], report.pool, *columns, MAX_HOUR_ROWS, OTHERS)
        return True

    async def take_over(self, page: Page) -> bool:
        """Add a page of what a monitor of 0.1.0 had; return False for one that was added before."""
        async with self._database.transaction() as connection:
            if await connection.fetchval(_SQL["number_page"], page.number) is None:
                return False
            for query, rows in (
                ("take_over_uses", page.uses),
                ("take_over_pools", page.pools),
                ("take_over_processes", page.processes),
            ):
                if rows:
                    await connection.execute(_SQL[query], *map(list, zip(*rows, strict=True)))
            for one in page.budgets:
                await connection.execute(_SQL["take_over_budget"], *_columns(one))
            for one in page.rate_limits:
                await connection.execute(_SQL["take_over_rate_limit"], *columns_of(one))
        self._settled.clear()  # hours that nothing is added to otherwise
        return True

    async def used(self, span: Span, model: str, client: str, caller: Identity) -> tuple[list[Any], int]:
        """Return what was used by client, pool, model, version and priority, and the microseconds of all together."""

        async def read(connection: Any) -> list[Any]:
            models = [row["model"] for row in await connection.fetch(_SQL["used_models"], *span)]
            wanted = [one for one in models if caller.sees(one) and model in ("", one)]
            return await connection.fetch(_SQL["used"], *span, wanted, client, MAX_LISTED)

        rows = await self._database.repeatable(read)
        return rows, rows[0]["total_us"] if rows else 0

    async def presence(self, span: Span) -> list[Presence]:
        """Return the hours of each pool, by pool and hour."""
        rows = await self._database.repeatable(lambda connection: connection.fetch(_SQL["presence"], *span))
        return [Presence(row["hour"], row["pool"], row["present_us"] / 1e6, row["busy_us"] / 1e6) for row in rows]

    async def used_versions(self, span: Span, caller: Identity) -> tuple[list[UsedVersion], dict[str, float]]:
        """Return the versions that executed the most, of models that a caller may see, and seconds of all by pool."""
        read = _SQL["used_versions"]
        rows = await self._database.repeatable(lambda connection: connection.fetch(read, *span, MAX_VERSIONS))
        used = [
            UsedVersion(row["pool"], row["model"], row["version"], row["compute_us"] / 1e6)
            for row in rows
            if caller.sees(row["model"])
        ]
        return used, {row["pool"]: row["pool_us"] / 1e6 for row in rows}

    async def budgets(self) -> list[Budget]:
        """Return all budgets, by name."""
        rows = await self._database.repeatable(lambda connection: connection.fetch(_SQL["budgets"]))
        return [_budget(row) for row in rows]

    async def spent(self, periods: Collection[Period]) -> tuple[datetime, dict[Period, Spent]]:
        """Return the database's time, which says what hour it is, and what was spent in its periods."""

        async def read(connection: Any) -> tuple[datetime, dict[Period, Spent]]:
            now = await connection.fetchval("select now()")
            return now, {period: await self._spent(connection, period, now) for period in periods}

        return await self._database.repeatable(read)

    async def _spent(self, connection: Any, period: Period, now: datetime) -> Spent:
        """Return what was spent of a period. Hours that nothing is added to any more are summed up once."""
        start, end = period_at(period, now)
        # Of the hour before a report may be under way.
        settled = Span(start, max(start, earlier(period_at(Period.HOUR, now).start, HOUR)))
        known = self._settled.get(period)
        if known is None or known[0] != settled:
            known = self._settled[period] = settled, _with({}, await _sums(connection, settled))
        return _with(known[1], await _sums(connection, Span(settled.end, end)))

    async def put(self, budget: Budget, caller: Identity, *, validate_only: bool = False) -> None:
        """Make a budget, or replace the one of its name that the caller may see."""
        async with self._database.transaction(validate_only=validate_only) as connection:
            await lock(connection, _SQL["budget"], budget.name, caller)
            if await connection.fetchval(_SQL["count_other_budgets"], budget.name) >= MAX_BUDGETS:
                raise ResourceExhausted(
                    f"there are {MAX_BUDGETS} budgets: delete one first", reason="TOO_MANY_BUDGETS", retry_after_s=60.0
                )
            await connection.execute(_SQL["put_budget"], *_columns(budget))

    async def delete(self, name: str, caller: Identity) -> None:
        """Remove a budget that the caller may see."""
        async with self._database.transaction() as connection:
            await lock(connection, _SQL["budget"], name, caller)
            await connection.execute(_SQL["delete_budget"], name)

    async def expire(self, age: timedelta) -> None:
        """Remove what is older."""
        for query, older in (
            ("expire_hours", age),
            ("expire_pools", age),
            ("expire_processes", FORGET_PROCESSES),
        ):
            removed = f"DELETE {EXPIRE_ROWS}"
            while removed == f"DELETE {EXPIRE_ROWS}":
                async with self._database.transaction() as connection:
                    removed = await connection.execute(_SQL[query], older, EXPIRE_ROWS)


async def _sums(connection: Any, span: Span) -> list[Any]:
    return await connection.fetch(_SQL["spent"], *span, MAX_SPENT) if span.start < span.end else []


def _with(spent: Spent, rows: Sequence[Any]) -> Spent:
    """Return what was spent with more of it."""
    found = dict(spent)
    for row in rows:
        client, model = row["client"], row["model"]
        of_client = found[client] = dict(found.get(client, ()))
        of_client[model] = of_client.get(model, 0.0) + row["compute_us"] / 1e6
    return found


def _columns(one: Budget) -> tuple[Any, ...]:
    limits = round(one.compute_s * 1e6), round(one.refuse_above_s * 1e6)
    return one.name, one.client, one.model, int(one.period), *limits


def _budget(row: Any) -> Budget:
    limits = row["compute_us"] / 1e6, row["refuse_above_us"] / 1e6
    return Budget(row["name"], row["client"], row["model"], Period(row["period"]), *limits)

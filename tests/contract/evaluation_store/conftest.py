"""Every store of drift evaluations: the same tests on memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from headrace_monitor.judge.drift.postgres import PostgresEvaluations
from headrace_monitor.judge.drift.store import DueWindow, EvaluationStore
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import Address

from tests.kit.monitor.memory_evaluations import MemoryEvaluations

_REFERENCE = """
insert into drift_references (number, model, version, source, name, seasonal, rows, content, since, client, freeze_time)
overriding system value values ($1, $2, $3, 'artifact', '', false, 1, '', $4, '', $4) on conflict (number) do nothing
"""
_WINDOW = """
insert into windows (reference, start_time, seconds, variant, source, rows, predictions, summaries)
values ($1, $2, $3, $4, 'online', 1, '', '')
"""


@dataclass(frozen=True, slots=True)
class Rig:
    """A store, and how to add a window of a reference; a window has rows of two variants."""

    store: EvaluationStore
    add_window: Callable[[DueWindow], Awaitable[None]]


@pytest.fixture
def memory_evaluations() -> Rig:
    store = MemoryEvaluations()

    async def add_window(window: DueWindow) -> None:
        store.windows += [window, window]

    return Rig(store, add_window)


@pytest.fixture
async def postgres_evaluations(postgres_url: str) -> AsyncIterator[Rig]:
    async with Database(Address(postgres_url), size=5) as database:
        await database.migrate()

        async def add_window(window: DueWindow) -> None:
            seconds = round((window.end - window.start).total_seconds())
            long_ago = datetime(2000, 1, 1, tzinfo=UTC)
            async with database.transaction() as connection:
                await connection.execute(_REFERENCE, window.reference, window.model, window.version, long_ago)
                for variant in ("a", "b"):
                    await connection.execute(_WINDOW, window.reference, window.start, seconds, variant)

        yield Rig(PostgresEvaluations(database), add_window)


@pytest.fixture(params=["memory_evaluations", "postgres_evaluations"])
def rig(request) -> Rig:
    return request.getfixturevalue(request.param)

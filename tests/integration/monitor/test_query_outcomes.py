"""Outcomes on their way to a query: they may take as long as the query, however short other statements are."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from headrace_monitor.record.query.exports import export_outcomes
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import BEGIN, Address

ROWS = 100_000
# More than what lies between PostgreSQL and who reads.
OUTCOMES = """
insert into outcomes (model, prediction_id, row_number, kind, text, observe_time, record_time, client)
select 'fraud', gen_random_uuid(), 0, 'label', repeat('x', 100), now(), now(), '' from generate_series(1, $1::int)
"""


class HurriedDatabase(Database):
    """A database whose statements have a fifth of a second instead of the seconds that they have elsewhere."""

    @asynccontextmanager
    async def transaction(self, *, begin: str = BEGIN, validate_only: bool = False) -> AsyncIterator[Any]:
        async with super().transaction(begin=begin, validate_only=validate_only) as connection:
            await connection.execute("set local statement_timeout = 200")
            yield connection


def read_slowly(path: Path) -> int:
    """Return how many lines come, a while after they could have come."""
    with path.open("rb") as file:
        time.sleep(1.0)
        return sum(1 for _ in file)


async def test_outcomes_that_take_longer_than_other_statements_may_reach_their_query(postgres_url, tmp_path):
    pipe = tmp_path / "outcomes.csv"
    os.mkfifo(pipe)
    async with Database(Address(postgres_url), size=1) as database:
        await database.migrate()
        async with database.transaction() as connection:
            await connection.execute(OUTCOMES, ROWS)
    async with HurriedDatabase(Address(postgres_url), size=1) as hurried:
        hurried.there.set()
        with ThreadPoolExecutor() as reader:
            lines = reader.submit(read_slowly, pipe)
            await export_outcomes(hurried, ["fraud"], None, None, pipe, max_bytes=2**30, timeout_s=30.0)
            assert lines.result() == ROWS

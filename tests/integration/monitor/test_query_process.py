"""A query in its process: what it may read, and that whatever it does ends with a status."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
import uvloop
from headrace_monitor.record.query.decisions.scope import VIEWS, Scope, ViewUse
from headrace_monitor.record.query.process import Limits, QueryEnd, QueryProcess, Sources
from headrace_servicekit.errors import InvalidArgument, ResourceExhausted, ServiceError, Unavailable
from headrace_servicekit.testing import eventually

LIMITS = Limits(memory_bytes=256 * 2**20, threads=2, timeout_s=30, max_bytes=32 * 2**20, spill_bytes=64 * 2**20)
NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)


def rows_of(folder: Path, name: str, count: int = 3, **columns: Any) -> Path:
    """Write a file of the log with `count` rows of a minute each; columns: beside the ids and times, or instead."""
    path = folder / f"{name}.parquet"
    told = {
        "prediction_id": [f"{name}-{at}" for at in range(count)],
        "row": pa.array([0] * count, pa.int32()),
        "answer_time": pa.array([NOON + timedelta(minutes=at) for at in range(count)], pa.timestamp("us", "UTC")),
        "model": ["digits"] * count,
        "version": [name] * count,
        **columns,
    }
    pyarrow.parquet.write_table(pa.table(told), path)
    return path


async def ask(folder: Path, sql: str, *files: Path, max_rows: int = 1000, limits: Limits = LIMITS, **told: Any) -> Any:
    """Return the rows of the answer, and how it went."""
    sources = Sources(files, told.get("outcomes"), told.get("start"), told.get("end"))
    chunks: list[bytes] = []
    async with asyncio.timeout(60), QueryProcess.answering(sql, max_rows, limits, folder) as process:
        await process.reading()
        async for each in process.answer(sources):
            if isinstance(each, QueryEnd):
                return pa.ipc.open_stream(b"".join(chunks)).read_all().to_pylist(), each
            chunks.append(each)
    raise AssertionError("no end")


async def refused(folder: Path, sql: str, *files: Path, **told: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await ask(folder, sql, *files, **told)
    return caught.value


async def test_versions_with_other_columns_and_other_types_are_one_view(tmp_path: Path):
    files = (
        rows_of(tmp_path, "v1", 3, **{"feature.x": [1.5, 2.5, None], "output.scores": [[0.5], [1.0], None]}),
        rows_of(
            tmp_path, "v2", **{"feature.x": [1, 2, 3], "feature.y": ["a", 'b"', "'"], "output.scores": [1.0, 2.0, 3.0]}
        ),
    )
    rows, done = await ask(
        tmp_path, 'select "feature.x", "feature.y", "output.scores", served_from from predictions', *files
    )
    assert done == QueryEnd(rows=6, truncated=False)
    assert {(row["feature.x"], row["feature.y"]) for row in rows} >= {(1.5, None), (2.0, 'b"'), (3.0, "'")}
    assert {row["output.scores"] for row in rows} >= {"[0.5]", "2.0", None}


async def test_labels_meet_their_rows_and_a_range_bounds_the_views(tmp_path: Path):
    outcomes = tmp_path / "outcomes.csv"
    stamp, odd = NOON.isoformat(), 'se"ven,\r\nor so'
    outcomes.write_text(
        f"v1-0,0,digits,label,,{odd.encode().hex()},{stamp},{stamp}\n"
        f"v1-2,0,digits,label,7,,{stamp},{stamp}\nv1-2,1,digits,label,8,,{stamp},{stamp}\n"
    )
    file = rows_of(tmp_path, "v1")
    sql = "from labelled select prediction_id, outcome_number, outcome_text order by 1"
    rows, _ = await ask(tmp_path, sql, file, outcomes=outcomes)
    assert [tuple(row.values()) for row in rows] == [("v1-0", None, odd), ("v1-2", 7.0, None)]
    start, end = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
    rows, _ = await ask(tmp_path, "select prediction_id from predictions", file, start=start, end=end)
    assert [row["prediction_id"] for row in rows] == ["v1-1"]


async def test_there_are_views_before_there_are_predictions(tmp_path: Path):
    rows, done = await ask(tmp_path, "select count(*) as n, max(total_us) as slowest from labelled")
    assert (rows, done) == ([{"n": 0, "slowest": None}], QueryEnd(rows=1, truncated=False))


async def test_an_answer_ends_at_the_rows_that_were_asked_for_and_says_so(tmp_path: Path):
    rows, done = await ask(tmp_path, "select * from range(20_000)", max_rows=10_000)
    assert len(rows) == 10_000
    assert done == QueryEnd(rows=10_000, truncated=True)
    _, exact = await ask(tmp_path, "select * from range(10_000)", max_rows=10_000)
    assert exact.truncated is False


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", "one SELECT"),
        ("select 1; select 2", "one SELECT"),
        ("install httpfs", "one SELECT"),
        ("attach '/tmp/x.db' as x", "one SELECT"),
        ("copy (select 1) to 'x.csv'", "one SELECT"),
        ("set enable_external_access = true", "one SELECT"),
        ("create table t as select 1", "one SELECT"),
        ("selekt", "syntax error"),
        ("select wrong from predictions", 'column "wrong" not found'),
        ("select feature.age from predictions", '"feature.age"'),
        ("select * from read_text('/etc/passwd')", "disabled by configuration"),
        ("select * from '/etc/passwd'", "/etc/passwd"),
        ("select * from glob('/*')", "disabled by configuration"),
        ("select * from read_parquet('https://example.com/x.parquet')", "https://example.com"),
        ("select * from query('copy (select 1) to ''x''')", "SELECT"),
        ("select getenv('HOME')", "getenv"),
        ("select " + "not " * 20_000 + "true", "Parser Error"),
        ("select '\x00'", ""),
    ],
)
async def test_what_is_no_question_to_the_views_is_invalid_in_the_words_of_the_engine(
    tmp_path: Path, sql: str, words: str
):
    error = await refused(tmp_path, sql)
    assert isinstance(error, InvalidArgument), error
    assert error.reason == "QUERY_INVALID"
    assert words in error.public_message


async def test_a_query_sees_only_the_files_that_it_was_given(tmp_path: Path):
    mine, other = rows_of(tmp_path, "v1"), rows_of(tmp_path, "secret")
    error = await refused(tmp_path, f"select * from read_parquet('{other}')", mine)
    assert "disabled by configuration" in error.public_message


@pytest.mark.long
@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("select array_agg(i || repeat('x', 100)) from range(100_000_000) t(i)", id="memory"),
        pytest.param("select repeat('x', 1_000_000) || i from range(100) t(i)", id="the answer's bytes"),
        pytest.param(
            "select i, count(*) from (select random()::varchar || i as i from range(30_000_000) t(i)) group by 1",
            id="spilling",
        ),
    ],
)
async def test_a_query_that_takes_too_much_is_ended(tmp_path: Path, sql: str):
    error = await refused(tmp_path, sql)
    assert isinstance(error, ResourceExhausted), error
    assert error.reason == "QUERY_TOO_LARGE"


async def test_a_query_without_end_costs_no_more_than_its_processor_time(tmp_path: Path):
    error = await refused(
        tmp_path,
        "select count(*) from range(1_000_000_000_000) t(i), range(1_000_000) s(j) where i * j % 7 = 3",
        limits=replace(LIMITS, timeout_s=0.5),
    )
    assert error.reason == "QUERY_TOO_LARGE"


async def test_leaving_a_query_ends_its_process(tmp_path: Path):
    async with QueryProcess.answering("select count(*) from range(1_000_000_000_000)", 1, LIMITS, tmp_path) as process:
        await process.reading()
        sources = process.answer(Sources((), None, None, None))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(sources)
    assert process.ended


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_process_that_ended_by_itself_is_said_to_have(tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]):
    async def asked() -> None:
        async with QueryProcess.answering("select 1", 1, LIMITS, tmp_path) as process:
            await process.reading()
            os.kill(process.number, signal.SIGKILL)
            await eventually(lambda: process.ended, within=20)
            await anext(process.answer(Sources((), None, None, None)))

    with asyncio.Runner(loop_factory=loop) as runner, pytest.raises(Unavailable) as caught:
        runner.run(asked())
    assert caught.value.reason == "QUERY_PROCESS_ENDED"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", ViewUse(frozenset(), Scope())),
        (
            "select count(*) from predictions p where p.model = 'digits' and version in ('v1', 'v2') and rows > 1",
            ViewUse(frozenset({"predictions"}), Scope(frozenset({"digits"}), frozenset({"v1", "v2"}))),
        ),
        (
            "with x as (select * from predictions where answer_time >= '2031-02-03 12:00' and '2031-02-03T13:00:00Z' > "
            "answer_time) select * from x",
            ViewUse(
                frozenset({"predictions"}),
                Scope(start=NOON - timedelta(minutes=5), end=NOON + timedelta(hours=1, minutes=5)),
            ),
        ),
        (
            "select (select count(*) from predictions where version = 'v1'), (select count(*) from predictions where "
            "version = 'v2' and model = 'digits')",
            ViewUse(frozenset({"predictions"}), Scope(versions=frozenset({"v1", "v2"}))),
        ),
        (
            "select * from labelled where answer_time between timestamptz '2031-02-03 12:00:00+00' and "
            "'2031-02-03 12:00:00+00'::timestamptz + interval 1 hour",
            ViewUse(
                frozenset({"labelled"}),
                Scope(start=NOON - timedelta(minutes=5), end=NOON + timedelta(hours=1, minutes=5)),
            ),
        ),
        ("select * from predictions where model = 'a' or version = 'b'", ViewUse(frozenset({"predictions"}), Scope())),
        ("select * from predictions where model <> 'a'", ViewUse(frozenset({"predictions"}), Scope())),
        ("select * from predictions where answer_time > random()", ViewUse(frozenset({"predictions"}), Scope())),
        (
            "select * from predictions where answer_time > timestamptz '0001-01-01 00:00:00+00' and "
            "answer_time <= '9999-12-31 23:59:59+00' and answer_time < timestamptz 'infinity' and "
            "answer_time < now() + to_years(100000)",
            ViewUse(frozenset({"predictions"}), Scope()),
        ),
        (
            "select * from predictions tablesample 10% where model = 'a'",
            ViewUse(frozenset({"predictions"}), Scope()),
        ),
        (
            "select * from outcomes o asof join predictions p on o.observe_time > p.answer_time where p.model = 'a'",
            ViewUse(frozenset({"predictions", "outcomes"}), Scope()),
        ),
        (
            "select * from predictions where model = 'a' union all select * from main.predictions",
            ViewUse(frozenset({"predictions"}), Scope()),
        ),
        (
            "select * from query_table('predictions')",
            ViewUse(frozenset(VIEWS), Scope()),
        ),
        ("describe labelled", ViewUse(frozenset(VIEWS), Scope())),
    ],
)
async def test_what_a_query_can_read_is_told_before_anything_is_fetched(tmp_path: Path, sql: str, expected: ViewUse):
    async with asyncio.timeout(60), QueryProcess.answering(sql, 10, LIMITS, tmp_path) as process:
        assert await process.reading() == expected

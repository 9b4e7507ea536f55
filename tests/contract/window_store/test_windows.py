"""What a store keeps of windows, and what it returns of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn
from headrace_monitor.judge.windows.decisions.window_summaries import EMPTY, Window, WindowKey, even, window_of
from headrace_monitor.judge.windows.store import PendingFile
from headrace_monitor.record.log.files import LogFile
from headrace_servicekit.errors import Aborted
from headrace_statistics import references
from headrace_statistics.references import NumericReference

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
AGE = MonitoredColumn("age", "feature.age", "age", 0, "FP32", ColumnType.NUMERIC)
FROZEN = references.freeze_numeric(np.arange(100.0))


def window(rows: int, frozen: NumericReference = FROZEN) -> Window:
    """Return a window with two rows of each user."""
    values = np.arange(float(rows))
    table = pa.table({"feature.age": values, "unit": [f"user {index // 2}" for index in range(rows)]})
    return window_of(table, [AGE], {"age": frozen})


def key(hour: int, *, variant: str = "main", probability: float = 1.0, minutes: int = 60) -> WindowKey:
    return WindowKey(NOON + hour * HOUR, minutes * 60, variant, "online", probability)


async def add_file(rig, number: int) -> None:
    await rig.add_file(LogFile(number, "m", "v1", NOON, f"file {number}", 100, 10, 10, NOON, NOON, merged=False))


async def put(rig, windows: Mapping[WindowKey, Window]) -> None:
    """Put windows of one more file."""
    number = await rig.store.newest_file() + 1
    if number == 1:
        await rig.add_reference(1, "m", "v1", NOON)
    await add_file(rig, number)
    await rig.store.put(await rig.store.claim(await rig.store.candidates(0, limit=10)), windows)


async def total(rig, start: int = -24, end: int = 24) -> Window:
    return await rig.store.total(1, NOON + start * HOUR, NOON + end * HOUR)


def assert_same(found: Window, wanted: Window) -> None:
    assert found.rows == wanted.rows
    assert found.summaries["age"].bins == wanted.summaries["age"].bins  # pyright: ignore[reportAttributeAccessIssue]
    assert found.design_effects({}) == wanted.design_effects({})


async def test_nothing_is_an_empty_window(rig):
    assert await total(rig) == EMPTY


async def test_windows_of_files_add_up(rig):
    await put(rig, {key(0): window(10)})
    await put(rig, {key(0): window(20), key(0, variant="canary"): window(30)})
    assert_same(await total(rig), window(10).merge(window(20)).merge(window(30)))
    assert (await rig.store.total(2, NOON, NOON + HOUR)).rows == 0


async def _put_unheard(rig, due: list[PendingFile]) -> None:
    async with rig.store.attempt(due):
        await rig.store.put(due, {key(0): window(10)})
        raise ConnectionError("the answer of the commit was lost")


async def test_windows_of_one_claim_are_added_once_also_by_who_did_not_hear_that_they_were(rig):
    await rig.add_reference(1, "m", "v1", NOON)
    await add_file(rig, 1)
    due = await rig.store.claim(await rig.store.candidates(0, limit=10))
    with pytest.raises(ConnectionError, match="the answer of the commit was lost"):
        await _put_unheard(rig, due)
    with pytest.raises(Aborted):
        await rig.store.put(due, {key(0): window(10)})
    assert_same(await total(rig), window(10))


async def test_only_windows_that_lie_within_a_time_are_returned(rig):
    await put(rig, {key(hour): window(2**hour) for hour in range(4)})
    await put(rig, {key(1, minutes=90): window(100)})
    assert (await total(rig, 1, 3)).rows == 2 + 4 + 100
    assert (await total(rig, 1, 2)).rows == 2
    assert (await rig.store.total(1, NOON + timedelta(minutes=1), NOON + 2 * HOUR)).rows == 2


async def test_a_long_time_has_many_windows(rig):
    await put(rig, {key(0, variant=f"variant {number}"): window(2) for number in range(70)})
    assert (await total(rig)).rows == 140


async def test_rows_with_a_higher_probability_are_thinned_so_that_all_traffic_counts_alike(rig):
    await put(rig, {key(0): window(1_000), key(1, probability=0.5): window(500)})
    assert_same(await total(rig), even({1.0: window(1_000), 0.5: window(500)}))


async def test_windows_on_other_edges_change_nothing(rig):
    await put(rig, {key(0): window(10)})
    await add_file(rig, 2)
    due = await rig.store.claim(await rig.store.candidates(0, limit=10))
    other = window(20, references.freeze_numeric(np.arange(7.0)))
    with pytest.raises(ValueError, match="edges"):
        await rig.store.put(due, {key(-1): window(5), key(0): other})
    assert_same(await total(rig), window(10))
    await rig.store.put(due, {key(0): window(20)})
    assert_same(await total(rig), window(10).merge(window(20)))


async def test_windows_that_began_before_a_time_expire(rig):
    await put(rig, {key(hour): window(2**hour) for hour in range(3)})
    await rig.store.expire(NOON + HOUR, files=10)
    assert (await total(rig)).rows == 2 + 4

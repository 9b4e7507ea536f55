"""Which files of the log a store gives to be summarised, to whom, and for how long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.judge.windows.store import PendingFile
from headrace_monitor.record.log.files import LogFile
from headrace_servicekit.errors import Aborted

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def log_file(number: int, *, hour: int = 0, model: str = "m", version: str = "v1", merged: bool = False) -> LogFile:
    at = NOON + hour * HOUR
    return LogFile(number, model, version, at, f"file {number}", 100, 10, 10, at, at, merged=merged)


async def ids(rig, behind: int = 0, *, limit: int = 10) -> list[tuple[int, int]]:
    return [(one.reference, one.file.id) for one in await rig.store.candidates(behind, limit=limit)]


async def claim(rig) -> list[PendingFile]:
    return await rig.store.claim(await rig.store.candidates(0, limit=10))


async def with_files(rig, *numbers: int) -> None:
    await rig.add_reference(1, "m", "v1", NOON)
    for number in numbers:
        await rig.add_file(log_file(number))


async def test_the_newest_file_is_the_one_with_the_highest_id(rig):
    assert await rig.store.newest_file() == 0
    await with_files(rig, 7, 3)
    assert await rig.store.newest_file() == 7


async def test_candidates_come_in_the_order_of_references_and_ids(rig):
    await rig.add_reference(2, "n", "v1", NOON)
    await with_files(rig, 5, 3)
    await rig.add_file(log_file(4, model="n"))
    assert await rig.store.candidates(0, limit=10) == [
        PendingFile(1, log_file(3)),
        PendingFile(1, log_file(5)),
        PendingFile(2, log_file(4, model="n")),
    ]
    assert await ids(rig, limit=2) == [(1, 3), (1, 5)]
    assert await ids(rig, behind=4) == [(1, 5)]


async def test_only_first_files_of_the_version_since_its_reference_are_candidates(rig):
    await rig.add_reference(1, "m", "v1", NOON)
    await rig.add_file(log_file(1, hour=-1))
    await rig.add_file(log_file(2, merged=True))
    await rig.add_file(log_file(3, version="v2"))
    await rig.add_file(log_file(4))
    assert await ids(rig) == [(1, 4)]


async def test_only_the_current_reference_of_a_version_has_candidates(rig):
    await with_files(rig, 1)
    await claim(rig)
    await rig.add_reference(2, "m", "v1", NOON)
    await rig.pass_time(rig.lease)
    assert await ids(rig) == [(2, 1)]


async def test_a_claimed_file_is_nobody_elses_until_the_lease_is_over(rig):
    await with_files(rig, 1)
    found = await rig.store.candidates(0, limit=10)
    assert await rig.store.claim([]) == []
    assert [one.file.id for one in await rig.store.claim(found)] == [1]
    assert await ids(rig) == []
    assert await rig.store.claim(found) == []
    await rig.pass_time(rig.lease)
    assert await ids(rig, behind=99) == [(1, 1)]  # it was noted, however old it is
    assert len(await rig.store.claim(found)) == 1


async def test_a_claim_holds_after_its_lease_unless_another_process_took_the_file(rig):
    await with_files(rig, 1)
    first = await claim(rig)
    await rig.pass_time(rig.lease)
    second = await claim(rig)
    with pytest.raises(Aborted):
        await rig.store.put(first, {})
    await rig.pass_time(rig.lease)
    await rig.store.put(second, {})
    assert await ids(rig) == []


async def test_one_lost_file_keeps_all_of_a_claim_out(rig):
    await with_files(rig, 1, 2)
    both = await claim(rig)
    await rig.pass_time(rig.lease)
    await rig.store.claim(both[:1])
    with pytest.raises(Aborted):
        await rig.store.put(both, {})
    assert await ids(rig) == [(1, 2)]


async def test_others_may_claim_files_of_a_failed_attempt_before_the_lease_is_over(rig):
    await with_files(rig, 1)
    due = await claim(rig)
    with pytest.raises(OSError, match="away"):
        async with rig.store.attempt(due):
            raise OSError("the log is away")
    await rig.pass_time(rig.lease / 60)
    assert len(await claim(rig)) == 1


async def test_others_may_claim_files_of_a_cancelled_attempt_at_once(rig):
    await with_files(rig, 1)
    due = await claim(rig)
    with pytest.raises(asyncio.CancelledError):
        async with rig.store.attempt(due):
            raise asyncio.CancelledError
    assert len(await claim(rig)) == 1


async def test_a_failed_attempt_leaves_what_another_process_took_alone(rig):
    await with_files(rig, 1)
    due = await claim(rig)
    await rig.pass_time(rig.lease)
    await claim(rig)
    with pytest.raises(OSError, match="away"):
        async with rig.store.attempt(due):
            raise OSError("the log is away")
    await rig.pass_time(rig.lease / 60)
    assert await ids(rig) == []


async def test_a_version_waits_for_its_files_of_a_time_until_they_are_in_windows(rig):
    async def waiting(*, start: timedelta = timedelta(0), version: str = "v1") -> bool:
        return await rig.store.waiting(1, "m", version, NOON + start, NOON + start + HOUR)

    await rig.add_reference(1, "m", "v1", NOON)
    await rig.add_file(log_file(1, merged=True))
    await rig.add_file(log_file(2), replaced=True)
    assert not await waiting()
    await rig.add_file(log_file(3))
    assert await waiting()
    assert await waiting(start=timedelta(minutes=59))  # the file may have rows of the end of its hour
    assert not await waiting(start=HOUR)
    assert not await waiting(start=-HOUR)
    assert not await waiting(version="v2")
    due = await claim(rig)
    assert await waiting()
    await rig.store.put(due, {})
    assert not await waiting()


async def test_a_few_files_that_are_gone_expire_at_a_time(rig):
    await with_files(rig, 1, 2, 3)
    await rig.store.put(await claim(rig), {})
    for number in (1, 2):
        await rig.remove_file(number)
    await rig.store.expire(NOON, files=1)
    for number in (1, 2):
        await rig.add_file(log_file(number))
    assert len(await ids(rig)) == 1

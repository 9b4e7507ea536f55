"""One leads at a time; who was paused, or thinks that it leads, changes nothing."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import pytest
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import Aborted
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.testing import eventually

from tests.kit.stores.coordination import ShiftedClock, coordinated, write, writers

SOON, LONG = timedelta(milliseconds=50), timedelta(minutes=10)


def lease_of(connections: Connections, lease: timedelta = LONG, clock: SystemClock | None = None) -> LeaderLease:
    return LeaderLease(connections, "work", clock or SystemClock(), lease=lease)


async def test_one_leads_until_it_lets_go(connections):
    one, other = lease_of(connections), lease_of(connections)
    assert await one.acquire()
    assert not await other.acquire()
    await one.release()
    assert await other.acquire()
    assert not await one.acquire()


async def test_leases_of_other_work_are_free(connections):
    assert await lease_of(connections).acquire()
    assert await LeaderLease(connections, "other work", SystemClock()).acquire()


async def test_each_leadership_has_a_higher_fence(connections):
    fences = []
    for _ in range(3):
        lease = lease_of(connections)
        assert await lease.acquire()
        fences.append(lease.fence)
        await lease.release()
    assert fences == sorted(set(fences))


async def test_a_leader_whose_lease_ran_out_goes_on_while_nobody_follows(connections):
    lease = lease_of(connections, SOON)
    assert await lease.acquire()
    await asyncio.sleep(0.1)
    await write(lease, "one")
    await lease.renew()
    await write(lease, "one")
    assert [name for name, _ in await writers(connections)] == ["one", "one"]


async def test_a_leader_that_was_followed_writes_nothing_and_cannot_renew(connections):
    one, other = lease_of(connections, SOON), lease_of(connections)
    assert await one.acquire()
    await eventually(other.acquire, within=5)
    with pytest.raises(Aborted) as refused:
        await write(one, "one")
    assert refused.value.reason == "NOT_LEADING"
    assert one.fence is None
    await write(other, "other")
    assert [name for name, _ in await writers(connections)] == ["other"]


async def test_a_renewal_finds_out_that_another_leads(connections):
    one, other = lease_of(connections, SOON), lease_of(connections)
    assert await one.acquire()
    await eventually(other.acquire, within=5)
    await one.renew()
    assert one.fence is None
    await one.release()
    assert not await lease_of(connections).acquire()


async def test_who_never_led_writes_nothing(connections):
    with pytest.raises(Aborted):
        await write(lease_of(connections), "one")


async def test_nobody_follows_in_the_midst_of_a_write(connections):
    one, other = lease_of(connections, SOON), lease_of(connections)
    assert await one.acquire()
    async with one.transaction() as connection:
        await asyncio.sleep(0.1)
        following = asyncio.create_task(other.acquire())
        await asyncio.sleep(0.2)
        assert not following.done()
        await connection.execute("insert into writes (writer, fence) values ('one', $1)", one.fence)
    assert await following
    assert [name for name, _ in await writers(connections)] == ["one"]


async def test_a_renewal_does_not_wait_for_a_write(connections):
    lease = lease_of(connections)
    assert await lease.acquire()
    async with lease.transaction():
        await asyncio.wait_for(lease.renew(), 2)
    assert lease.fence is not None


async def test_a_database_that_was_restored_tells_leaders_of_the_same_fence_apart(connections):
    one, other = lease_of(connections), lease_of(connections)
    assert await one.acquire()
    async with connections.transaction() as connection:
        await connection.execute("delete from leader_leases")  # the backup is older than the leadership
    assert await other.acquire()
    assert one.fence == other.fence
    with pytest.raises(Aborted):
        await write(one, "one")


@pytest.mark.parametrize("hours", [1, -1])
async def test_the_clock_of_a_replica_does_not_count(connections, hours):
    wrong = lease_of(connections, clock=ShiftedClock(timedelta(hours=hours)))
    right = lease_of(connections)
    assert await right.acquire()
    assert not await wrong.acquire()
    await right.release()
    assert await wrong.acquire()
    assert not await right.acquire()


async def test_a_step_that_fails_gives_the_lease_up_and_is_tried_again(connections):
    lease, other, steps = lease_of(connections), lease_of(connections), []

    async def step() -> bool:
        steps.append(lease.fence)
        if len(steps) == 1:
            raise ValueError("first")
        await write(lease, "one")
        return False

    leading = asyncio.create_task(lease.lead(step, every_s=0.01))
    await eventually(lambda: len(steps) >= 3, within=5)
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    assert steps[0] < steps[1] == steps[2]
    assert await other.acquire()  # at once: who is stopped lets go


@pytest.mark.faults
@pytest.mark.parametrize(("first", "second"), [("one", "other"), ("ahead", "behind"), ("behind", "ahead")])
async def test_a_leader_that_was_stopped_and_comes_back_changes_nothing(connections, postgres_url, first, second):
    async def wrote(name: str) -> bool:
        return name in [writer for writer, _ in await writers(connections)]

    async with coordinated("lead", postgres_url, first) as paused:
        await eventually(lambda: wrote(first), within=20)
        paused.send_signal(signal.SIGSTOP)
        async with coordinated("lead", postgres_url, second) as following:
            # As long as a transaction in which it was stopped may stay open, at most.
            await eventually(lambda: wrote(second), within=30)
            paused.send_signal(signal.SIGCONT)
            count = len(await writers(connections))
            await eventually(lambda: _more_than(connections, count + 10), within=20)
            following.kill()
            await following.wait()
            count = len(await writers(connections))
            await eventually(lambda: _more_than(connections, count), within=20)  # and then it leads again
    names = [name for name, _ in await writers(connections)]
    fences = [fence for _, fence in await writers(connections)]
    assert fences == sorted(fences)
    assert len({*zip(names, fences, strict=True)}) == len(set(fences))
    turns = [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
    assert turns == [first, second, first]


async def _more_than(connections: Connections, count: int) -> bool:
    return len(await writers(connections)) > count

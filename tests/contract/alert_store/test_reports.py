"""What services report: kept until it holds no more, with the alerts of it that are open."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from headrace_monitor.alert.alerts import take_report
from headrace_monitor.alert.decisions.reports import Report, Reported
from headrace_monitor.alert.evaluator import end_silent_reporters
from headrace_servicekit.testing import eventually
from headrace_statistics.severity import Severity

from tests.contract.alert_store.conftest import Rig

REFUSED = Reported("actuator", "pools/gpu", Severity.HIGH, "Pool gpu: no quota.")
BLIND = Reported("signals", "pools/gpu", Severity.MEDIUM, "Pool gpu: stale.")


def report(*alerts: Reported, epoch: int = 1, reporter: str = "autoscaler", seconds: float = 60.0) -> Report:
    return Report(reporter, epoch, timedelta(seconds=seconds), alerts)


async def take(rig: Rig, told: Report) -> bool:
    async with rig.store.transaction() as transaction:
        return await take_report(transaction, told)


async def open_alerts(rig: Rig) -> list[tuple[str, str]]:
    found = await rig.store.alerts(before=2**62, model=None, is_open=True, limit=100)
    return sorted((one.alert.key.rule, one.alert.key.subject) for one in found)


async def test_a_report_is_kept_and_what_is_not_in_the_next_one_is_over(rig: Rig):
    assert await take(rig, report(REFUSED, BLIND))
    assert await take(rig, report(REFUSED, BLIND))
    assert await open_alerts(rig) == [("autoscaler/actuator", "pools/gpu"), ("autoscaler/signals", "pools/gpu")]
    async with rig.store.transaction() as transaction:
        keys, state = await transaction.reported("autoscaler")
        assert keys == set(state.open) == {report().key(REFUSED), report().key(BLIND)}
        assert await transaction.reported("another") == (set(), state.__class__({}, {}))
    assert await take(rig, report(BLIND))
    assert await open_alerts(rig) == [("autoscaler/signals", "pools/gpu")]
    assert len(await rig.store.alerts(before=2**62, model=None, is_open=None, limit=100)) == 2


async def test_a_report_of_an_earlier_leader_is_not_taken_while_that_of_a_later_one_holds(rig: Rig):
    assert await take(rig, report(REFUSED, epoch=7))
    assert not await take(rig, report(epoch=6))
    assert await take(rig, report(epoch=6, reporter="another"))
    assert await open_alerts(rig) == [("autoscaler/actuator", "pools/gpu")]
    assert await take(rig, report(epoch=8))
    assert await open_alerts(rig) == []


async def test_what_nobody_reports_any_more_is_resolved_and_the_reporter_forgotten(rig: Rig):
    assert await take(rig, report(REFUSED, epoch=7, seconds=0.05))
    assert await take(rig, report(BLIND, reporter="another"))

    async def over() -> bool:
        async with rig.store.transaction() as transaction:
            await end_silent_reporters(transaction)
        return await open_alerts(rig) == [("another/signals", "pools/gpu")]

    await eventually(over, within=10)
    async with rig.store.transaction() as transaction:
        assert await transaction.epoch_of("autoscaler") is None
        assert await transaction.epoch_of("another") == 1
        assert await transaction.silent_reporters() == []
    assert await take(rig, report(REFUSED, epoch=1))


async def test_of_two_reports_at_a_time_one_raises_what_both_say(rig: Rig):
    await asyncio.gather(*(take(rig, report(REFUSED)) for _ in range(4)))
    assert await open_alerts(rig) == [("autoscaler/actuator", "pools/gpu")]

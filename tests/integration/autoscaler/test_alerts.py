"""What is wrong with pools as alerts of a real monitor, which tells webhooks: raised, told once, and over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import policy_pb2
from headrace.monitor.v1 import alert_pb2, alert_pb2_grpc, monitor_pb2
from headrace_autoscaler.acting import reporter as reporting
from headrace_autoscaler.acting.reporter import REPORT_EVERY_S, AlertReporter
from headrace_autoscaler.decisions.members import Condition, Fleet
from headrace_servicekit.client import channel
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.testing import eventually

from tests.kit.autoscaler.pools import FakeActuator, FixedFleet, ScaledPools, batcher, policy, scaled_pools
from tests.kit.clients.refusals import refused
from tests.kit.monitor.alerting import Alerts, Receiver, alerting

READY, LOADING = Condition.READY, Condition.LOADING
OPEN = alert_pb2.Alert.STATE_OPEN
QUICK: dict[str, Any] = {
    "preset": "kubernetes",
    "stable_window": Duration(),
    "scale_down_window": Duration(),
    "max_signal_age": Duration(seconds=30),
    "ready_deadline": Duration(seconds=1),
}


class SteppedClock(SystemClock):
    """A clock that tests set forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


@dataclass(slots=True)
class Scene:
    """A leader that decides, and reports to a monitor."""

    scaled: ScaledPools
    alerts: Alerts
    clock: SteppedClock
    reporter: AlertReporter

    async def goes_on(self, seconds: float) -> None:
        """Let time pass: a report every few seconds, of what the latest round found."""
        for _ in range(round(seconds / REPORT_EVERY_S)):
            self.clock.ahead_s += REPORT_EVERY_S
            await self.reporter.step()

    async def open(self) -> dict[str, alert_pb2.Alert]:
        """Return the open alerts by rule."""
        return {alert.rule: alert for alert in await self.alerts.alerts(state=OPEN)}


@asynccontextmanager
async def scene_of(postgres_url: str, alerts: Alerts, clock: SteppedClock) -> AsyncIterator[Scene]:
    async with scaled_pools(postgres_url, FixedFleet(), FakeActuator(default=3), clock=clock) as scaled:
        leader, lease = scaled.leader, scaled.lease
        reporter = AlertReporter(alerts.stub, lambda: lease.fence, lambda: leader.pools, clock)
        yield Scene(scaled, alerts, clock, reporter)


@pytest.fixture
async def scene(postgres_url: str, second_postgres_url: str) -> AsyncIterator[Scene]:
    async with alerting(second_postgres_url) as alerts, scene_of(postgres_url, alerts, SteppedClock()) as scene:
        await scene.scaled.pools.put_policy("default", policy(**QUICK).document(), "ada", "")
        yield scene


async def look(scene: Scene, answered: int, *conditions: Condition, times: int = 3) -> None:
    """Let the pool have such batchers, and be decided."""
    for at in range(times):
        read_s = scene.scaled.fleet.fleet.read_s + 2.0
        members = (
            batcher(f"b{one}", condition, at_s=read_s, answered=answered * at * (one == 0))
            for one, condition in enumerate(conditions)
        )
        scene.scaled.fleet.fleet = Fleet(read_s, {"default": tuple(members)})
        await scene.scaled.round()


@pytest.mark.long
async def test_signals_that_go_stale_raise_one_alert_and_end_it_when_they_are_back(scene: Scene):
    async with Receiver.started() as receiver:
        await scene.alerts.put_webhook(receiver.url())
        await look(scene, 500, READY, READY, READY)
        await scene.goes_on(60)
        assert await scene.open() == {}
        scene.scaled.fleet.away = True
        scene.clock.ahead_s += 60
        await scene.scaled.round()
        assert scene.scaled.actuator.asked == []
        await scene.goes_on(60)
        (alert,) = (await scene.open()).values()
        assert (alert.rule, alert.subject, alert.model) == ("autoscaler/signals", "pools/default", "*")
        assert "stale: the pool is not scaled down" in alert.summary
        await eventually(lambda: receiver.types == ["headrace.alert.opened"], within=10)
        scene.scaled.fleet.away = False
        await look(scene, 500, READY, READY, READY)
        await scene.goes_on(90)
        assert await scene.open() == {}
        await eventually(lambda: receiver.types == ["headrace.alert.opened", "headrace.alert.resolved"], within=10)
        assert receiver.received[0].json["data"]["subject"] == "pools/default"


async def test_a_leader_that_never_saw_the_batchers_raises_an_alert_and_takes_nothing_away(scene: Scene):
    scene.scaled.fleet.away = True
    await scene.scaled.round()
    await scene.goes_on(60)
    assert set(await scene.open()) == {"autoscaler/signals"}
    assert scene.scaled.actuator.asked == []


async def test_an_actuator_that_refuses_raises_an_alert_of_its_words(scene: Scene):
    scene.scaled.actuator.refuses = "no quota"
    await look(scene, 1_600, READY, READY, READY)
    await scene.goes_on(60)
    alert = (await scene.open())["autoscaler/actuator"]
    assert alert.severity == monitor_pb2.SEVERITY_HIGH
    assert "no quota" in alert.summary


async def test_the_alert_of_an_actuator_that_refuses_ends_when_what_it_refused_is_wanted_no_more(scene: Scene):
    scene.scaled.actuator.refuses = "no quota"
    await look(scene, 1_600, READY, READY, READY)
    await scene.goes_on(60)
    assert set(await scene.open()) == {"autoscaler/actuator"}
    await look(scene, 500, READY, READY, READY)
    asked = len(scene.scaled.actuator.asked)
    await scene.goes_on(90)
    assert await scene.open() == {}
    assert len(scene.scaled.actuator.asked) == asked, "no scaling ended it"


async def test_a_replica_that_never_becomes_ready_raises_an_alert(scene: Scene):
    await look(scene, 500, READY, READY, LOADING)
    scene.clock.ahead_s += 30
    await scene.scaled.round()
    await scene.goes_on(60)
    assert "failed or did not appear in time" in (await scene.open())["autoscaler/replicas"].summary


async def test_a_budget_that_will_not_last_raises_an_alert(scene: Scene):
    budget = policy_pb2.Budget(replica_hours=1.0, warn_at=0.0001)
    await scene.scaled.pools.put_policy("default", policy(**QUICK, budget=budget).document(), "ada", "")
    await look(scene, 500, READY, READY, READY, times=8)
    await scene.goes_on(60)
    assert "budget" in (await scene.open())["autoscaler/budget"].summary


async def test_while_the_monitor_is_away_pools_are_scaled_and_alerts_are_raised_when_it_is_back(scene: Scene):
    leader, lease = scene.scaled.leader, scene.scaled.lease
    there = scene.reporter
    async with channel("127.0.0.1:1") as nowhere:
        stub = alert_pb2_grpc.AlertServiceStub(nowhere)
        scene.reporter = AlertReporter(stub, lambda: lease.fence, lambda: leader.pools, scene.clock)
        scene.scaled.actuator.refuses = "no quota"
        await look(scene, 1_600, READY, READY, READY)
        await scene.goes_on(40)
        assert scene.scaled.actuator.asked
        assert await scene.open() == {}
    scene.reporter = there
    await scene.goes_on(40)
    assert set(await scene.open()) == {"autoscaler/actuator"}


async def test_alerts_outlast_a_failover_and_the_paused_leader_reports_nothing_any_more(
    scene: Scene, postgres_url: str
):
    scene.scaled.fleet.away = True
    await scene.scaled.round()
    await scene.goes_on(60)
    (alert,) = (await scene.open()).values()
    async with scene.scaled.database.transaction() as connection:
        await connection.execute("update leader_leases set until_time = now() - interval '1 s'")
    async with scene_of(postgres_url, scene.alerts, scene.clock) as other:
        other.scaled.fleet.away = True
        await other.scaled.round()
        await other.goes_on(60)
        assert [one.name for one in (await other.open()).values()] == [alert.name]
        # The old one believes that it leads, and that all is well.
        for pool in scene.scaled.leader.pools:
            pool.problems = ()
        await scene.goes_on(90)
        assert [one.name for one in (await other.open()).values()] == [alert.name]
        error = await refused(
            scene.alerts.stub.ReportAlerts(reporting.report_of({}, scene.scaled.lease.fence or 0), timeout=10)
        )
        assert error.reason == "REPORTER_SUPERSEDED"


async def test_alerts_end_by_themselves_when_nobody_reports_any_more(scene: Scene):
    refusing = alert_pb2.ReportedAlert(
        kind="actuator", subject="pools/default", severity=monitor_pb2.SEVERITY_HIGH, summary="no quota"
    )
    report = alert_pb2.ReportAlertsRequest(
        reporter="autoscaler", epoch=1, valid_for=Duration(seconds=1), alerts=[refusing]
    )
    for _ in range(2):  # repeating it is safe
        await scene.alerts.stub.ReportAlerts(report, timeout=10)
    (alert,) = (await scene.open()).values()

    async def over() -> bool:
        return await scene.open() == {}

    await eventually(over, within=10)
    # What is reported again afterwards is another alert, whatever its epoch: nobody else reports.
    report.epoch, report.valid_for.seconds = 0, 60
    await scene.alerts.stub.ReportAlerts(report, timeout=10)
    (again,) = (await scene.open()).values()
    assert again.name != alert.name
    await scene.alerts.stub.ResolveAlert(alert_pb2.ResolveAlertRequest(name=again.name), timeout=10)
    await scene.alerts.stub.ReportAlerts(report, timeout=10)
    assert await scene.open() == {}, "what was ended by hand stays so while it holds"

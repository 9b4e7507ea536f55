"""What the rollout service knows of the monitor's alerts and experiments, from its start on."""

import asyncio

from headrace.monitor.v1 import alert_pb2, evidence_pb2
from headrace_rollout.alerts import FreezeAlerts
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.testing import eventually


class Monitor:
    """A monitor's stubs: `said` is what its watch says, one answer after the other."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[alert_pb2.WatchAlertsResponse] = asyncio.Queue()

    async def WatchAlerts(self, _request, timeout):
        while True:
            yield await self.said.get()

    async def ListGuardedExperiments(self, _request, timeout):
        return evidence_pb2.ListGuardedExperimentsResponse(running=["models/m/experiments/e"])


async def test_nothing_is_known_before_the_monitor_has_said_all_alerts_that_are_open_and_all_experiments():
    monitor = Monitor()
    alerts = FreezeAlerts(None, SystemClock(), stubs=(monitor, monitor))
    assert not alerts.known
    running, looking = asyncio.create_task(alerts.run()), None
    open_alert = alert_pb2.Alert(
        name="alerts/1", model="m", rule="alertRules/d", state=alert_pb2.Alert.STATE_OPEN, freeze=True
    )
    monitor.said.put_nowait(alert_pb2.WatchAlertsResponse(alert=open_alert))
    monitor.said.put_nowait(alert_pb2.WatchAlertsResponse(snapshot_end=True))
    try:
        await eventually(lambda: alerts.of("m") != ())
        assert not alerts.known, "experiments are not"
        looking = asyncio.create_task(alerts.watch_experiments())
        await eventually(lambda: alerts.known)
        assert alerts.experiment("m") == "models/m/experiments/e"
    finally:
        tasks = [task for task in (running, looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

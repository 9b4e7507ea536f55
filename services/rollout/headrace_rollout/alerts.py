"""Reasons of a freeze, read from the monitor: open alerts and running experiments."""

from __future__ import annotations

from typing import Any, NoReturn

from headrace.monitor.v1 import alert_pb2, alert_pb2_grpc, evidence_pb2, evidence_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.peers import Peer

from headrace_rollout.decisions.observation import Surroundings

WATCH_S = 3600.0
EXPERIMENTS_EVERY_S, CALL_S = 5.0, 3.0
PAUSE_S = 0.5
MAX_RETRY_S = 5.0


class FreezeAlerts:
    """`run` and `watch_experiments` for as long as the service lives. While the monitor is away what was known last
    counts. stubs: of AlertService and EvidenceService, in the place of those over the channel.
    """

    def __init__(self, channel: Any, clock: Clock, stubs: tuple[Any, Any] | None = None) -> None:
        self._stub, self._evidence = stubs or (
            alert_pb2_grpc.AlertServiceStub(channel),
            evidence_pb2_grpc.EvidenceServiceStub(channel),
        )
        self._clock = clock
        self._open: dict[str, alert_pb2.Alert] = {}
        self._experiments: dict[str, str] = {}
        self._alerts_known = self._experiments_known = False

    @property
    def known(self) -> bool:
        """Return whether the monitor has said all of it once since the service started."""
        return self._alerts_known and self._experiments_known

    def surroundings(self, model: str) -> Surroundings:
        """Return what may keep versions of a model from getting more traffic."""
        return Surroundings(self.of(model), self.of(model, signal="drift"), self.experiment(model), self.known)

    def of(self, model: str, *, signal: str = "") -> tuple[str, ...]:
        """Return what is said of a model, each in a sentence, in the order of their names. signal: of that alone."""
        found = [alert for _, alert in sorted(self._open.items()) if alert.model in (model, "*")]
        found = [alert for alert in found if signal in ("", alert.signal)]
        return tuple(f"{alert.rule.removeprefix('alertRules/')}: {alert.summary}" for alert in found)

    def experiment(self, model: str) -> str:
        """Return the name of the experiment of a model that runs; empty for none."""
        return self._experiments.get(model, "")

    async def run(self) -> NoReturn:
        """Follow the alerts for ever."""
        monitor = Peer("monitor", every_s=PAUSE_S, max_backoff_s=MAX_RETRY_S, clock=self._clock, call="alerts")
        while True:
            await monitor.hold(lambda: self._follow(monitor))
            await monitor.pause()

    async def watch_experiments(self) -> NoReturn:
        """Ask which experiments run, for ever."""
        every_s = EXPERIMENTS_EVERY_S
        monitor = Peer("monitor", every_s=every_s, max_backoff_s=every_s, clock=self._clock, call="experiments")
        while True:
            await monitor.call(self._look)
            await monitor.pause()

    async def _look(self) -> None:
        request = evidence_pb2.ListGuardedExperimentsRequest()
        names = (await self._evidence.ListGuardedExperiments(request, timeout=CALL_S)).running
        self._experiments = {name.split("/")[1]: name for name in names}
        self._experiments_known = True

    async def _follow(self, monitor: Peer) -> None:
        snapshot: dict[str, alert_pb2.Alert] | None = {}
        async for answer in self._stub.WatchAlerts(alert_pb2.WatchAlertsRequest(), timeout=WATCH_S):
            monitor.well()
            into = self._open if snapshot is None else snapshot
            if answer.HasField("alert"):
                _take(into, answer.alert)
            if snapshot is not None and answer.snapshot_end:
                self._open, snapshot = snapshot, None
                self._alerts_known = True


def _take(alerts: dict[str, alert_pb2.Alert], alert: alert_pb2.Alert) -> None:
    if alert.state == alert_pb2.Alert.STATE_OPEN and alert.freeze:
        alerts[alert.name] = alert
    else:
        alerts.pop(alert.name, None)

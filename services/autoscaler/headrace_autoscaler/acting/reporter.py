"""Reports the problems of pools to the monitor, which raises alerts: all of them again and again, by who leads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from headrace.monitor.v1 import alert_pb2, monitor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.peers import Peer

from headrace_autoscaler.acting.watched import Watched
from headrace_autoscaler.decisions.alerts import RAISE_AFTER_S, Findings, follow, raised
from headrace_autoscaler.decisions.problems import Problem

REPORTER = "autoscaler"
REPORT_EVERY_S = 5.0
# Time for another process to lead and to find the same: an alert lasts over a failover.
VALID_FOR = timedelta(minutes=2)
# A leader that is new knows no problem yet: what it does not report would be resolved.
SETTLED_AFTER_S = RAISE_AFTER_S + 3 * REPORT_EVERY_S
MAX_ALERTS = 1_000
_TIMEOUT_S = 5.0

_SEVERITIES = {
    Problem.ACTUATOR: monitor_pb2.SEVERITY_HIGH,
    Problem.REPLICAS: monitor_pb2.SEVERITY_HIGH,
    Problem.SIGNALS: monitor_pb2.SEVERITY_MEDIUM,
    Problem.AT_MAX: monitor_pb2.SEVERITY_MEDIUM,
    Problem.BUDGET: monitor_pb2.SEVERITY_MEDIUM,
}


class AlertReporter:
    """Reports while this process leads. stub: of AlertService. fence: of the leadership; None for none."""

    def __init__(
        self, stub: Any, fence: Callable[[], int | None], pools: Callable[[], Iterable[Watched]], clock: Clock
    ) -> None:
        self._stub, self._fence, self._pools, self._clock = stub, fence, pools, clock
        self._peer = Peer("monitor", every_s=REPORT_EVERY_S, max_backoff_s=REPORT_EVERY_S, clock=clock, call="alerts")
        self._findings: Findings = {}
        self._led: int | None = None
        self._led_since_s = 0.0

    async def step(self) -> None:
        """Report the problems of pools as alerts. Raises nothing: the next report makes up for a failed one."""
        fence, now_s = self._fence(), self._clock.monotonic()
        if fence != self._led:
            self._led, self._led_since_s, self._findings = fence, now_s, {}
        if fence is None:
            return
        self._findings = follow(self._findings, ((pool.pool, pool.problems) for pool in self._pools()), now_s)
        if now_s - self._led_since_s >= SETTLED_AFTER_S:
            report = report_of(self._findings, fence)
            await self._peer.call(lambda: self._stub.ReportAlerts(report, timeout=_TIMEOUT_S))


def report_of(findings: Findings, fence: int) -> alert_pb2.ReportAlertsRequest:
    """Return the report of what has lasted, the worst first where there is too much."""
    worst = sorted(raised(findings), key=lambda one: -_SEVERITIES[one[0][1]])[:MAX_ALERTS]
    report = alert_pb2.ReportAlertsRequest(reporter=REPORTER, epoch=fence)
    report.valid_for.FromTimedelta(VALID_FOR)
    for (pool, kind), lasting in worst:
        report.alerts.add(
            kind=kind.value.replace("_", "-"),
            subject=f"pools/{pool}",
            severity=_SEVERITIES[kind],
            summary=f"Pool {pool}: {lasting.sentences}",
        )
    return report

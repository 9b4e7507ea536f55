"""Telling the control plane what this batcher holds: at once when it changes, and before the lease runs out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from headrace.router.v1 import control_pb2
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.peers import Peer

from headrace_batcher.decisions.version_state import Phase

_TIMEOUT_S = 2.0
_RETRY_S = 0.5
_MAX_PAUSE_S = 2.0
# Changes in a burst are reported together.
_MIN_PAUSE_S = 0.02

_STATES = {
    Phase.WAITING: control_pb2.VersionReport.STATE_LOADING,
    Phase.LOADING: control_pb2.VersionReport.STATE_LOADING,
    Phase.READY: control_pb2.VersionReport.STATE_READY,
    Phase.FAILED: control_pb2.VersionReport.STATE_FAILED,
    # Wanted again while it is being unloaded: it is loaded again after that.
    Phase.DRAINING: control_pb2.VersionReport.STATE_LOADING,
}

# Digest, phase and reason of each wanted version.
States = Callable[[], list[tuple[str, Phase, str]]]


class Reports:
    """Repeats `ReportVersions`. `address` is where data planes reach this batcher."""

    def __init__(self, stub: Any, pool: str, process: str, address: Callable[[], str], states: States) -> None:
        self._stub = stub
        self._pool = pool
        self._process = process
        self._address = address
        self._states = states
        self._control = Peer("control", every_s=_RETRY_S, max_backoff_s=_RETRY_S, call="report")
        self._wakeup = Wakeup()

    def changed(self) -> None:
        """Report soon."""
        self._wakeup.wake()

    async def run(self) -> NoReturn:
        """Report for ever."""
        while True:
            pause_s = await self._report()
            await self._wakeup.wait(pause_s)
            await self._wakeup.wait(_MIN_PAUSE_S)

    async def _report(self) -> float:
        """Send one report; return when the next is due, in seconds."""
        reports = [
            control_pb2.VersionReport(digest=digest, state=_STATES[phase], reason=reason)
            for digest, phase, reason in self._states()
        ]
        request = control_pb2.ReportVersionsRequest(
            pool=self._pool, process=self._process, address=self._address(), versions=reports
        )
        lease_s = 0.0

        async def report() -> None:
            nonlocal lease_s
            answer = await self._stub.ReportVersions(request, timeout=_TIMEOUT_S)
            lease_s = (answer.lease_expire_time.ToDatetime(UTC) - datetime.now(UTC)).total_seconds()

        if not await self._control.call(report):
            return _RETRY_S
        return min(max(lease_s / 3, _RETRY_S), _MAX_PAUSE_S)

"""Telling the control plane what this batcher holds: at once when it changes, and before the lease runs out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from google.protobuf.duration_pb2 import Duration
from headrace.router.v1 import compute_pb2, control_pb2, route_pb2
from headrace_runtime.formats import Format, number_of
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.peers import Peer

from headrace_batcher.decisions.version_state import Phase, VersionStatus
from headrace_batcher.loading.gpu import GpuLoad

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
    Phase.DRAINING: control_pb2.VersionReport.STATE_DRAINING,
    # Only while the backend is away: otherwise they are reported as READY (`held.py`).
    Phase.EVICTING: control_pb2.VersionReport.STATE_LOADING,
    Phase.EVICTED: control_pb2.VersionReport.STATE_LOADING,
}


@dataclass(frozen=True, slots=True)
class BatcherStatus:
    """What this batcher holds, and how busy it is over all versions."""

    versions: Sequence[VersionStatus]
    rows: int
    wait_s: float
    draining: bool
    gpu: GpuLoad | None = None


class Reports:
    """Repeats `ReportVersions`. address: where data planes reach this batcher. offered: formats that it runs."""

    def __init__(
        self,
        stub: Any,
        pool: str,
        process: str,
        address: Callable[[], str],
        status: Callable[[], BatcherStatus],
        offered: Collection[Format] = (),
    ) -> None:
        self._stub = stub
        self._pool = pool
        self._process = process
        self._address = address
        self._status = status
        self._formats = [number_of(kept_as) for kept_as in sorted(offered)]
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
        status = self._status()
        request = control_pb2.ReportVersionsRequest(
            pool=self._pool,
            process=self._process,
            address=self._address(),
            versions=[_report(one) for one in status.versions if one.wanted],
            unwanted=[_report(one) for one in status.versions if not one.wanted],
            draining=status.draining,
            load=route_pb2.BatcherLoad(rows=status.rows, predicted_wait=_duration(status.wait_s)),
            formats=self._formats,
        )
        if (gpu := status.gpu) is not None:
            request.gpu.CopyFrom(route_pb2.GpuLoad(utilisation=gpu.utilisation, memory=gpu.memory))
        lease_s = 0.0

        async def report() -> None:
            nonlocal lease_s
            answer = await self._stub.ReportVersions(request, timeout=_TIMEOUT_S)
            lease_s = (answer.lease_expire_time.ToDatetime(UTC) - datetime.now(UTC)).total_seconds()

        if not await self._control.call(report):
            return _RETRY_S
        return min(max(lease_s / 3, _RETRY_S), _MAX_PAUSE_S)


def _report(status: VersionStatus) -> control_pb2.VersionReport:
    state = _STATES[status.phase]
    if status.wanted and status.phase is Phase.DRAINING:
        # Wanted again while it is being unloaded: it is loaded again after that.
        state = control_pb2.VersionReport.STATE_LOADING
    return control_pb2.VersionReport(
        digest=status.digest,
        state=state,
        reason=status.reason,
        load=route_pb2.BatcherLoad(
            rows=status.rows,
            predicted_wait=_duration(status.wait_s),
            queued_rows=status.queued,
            answered_requests=status.answered,
            shed_requests=status.shed,
            compute=_duration(status.compute_s),
            variation=status.variation,
        ),
        load_duration=None if status.load_s is None else _duration(status.load_s),
        serving_revision=status.serving_revision,
        compute=None
        if (choice := status.compute) is None
        else compute_pb2.Compute(way=f"COMPUTE_WAY_{choice.way.name}", reason=choice.reason),
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(round(seconds * 1e6))
    return duration

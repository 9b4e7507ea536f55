"""Asking the router's control plane which batchers there are, and what each has done."""

from __future__ import annotations

from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from headrace.router.v1 import route_pb2

from headrace_autoscaler.decisions.members import Condition, Fleet, Held, Member, Work

_PAGE = 500
_TIMEOUT_S = 2.0
_CONDITIONS = {
    route_pb2.BatcherVersion.STATE_LOADING: Condition.LOADING,
    route_pb2.BatcherVersion.STATE_READY: Condition.READY,
    route_pb2.BatcherVersion.STATE_FAILED: Condition.FAILED,
    route_pb2.BatcherVersion.STATE_DRAINING: Condition.DRAINING,
}


class FleetSource(Protocol):
    """Knows the batchers that live."""

    async def read(self) -> Fleet:
        """Return every batcher. Raises AioRpcError while the control plane is unavailable."""
        ...


class ControlPlane:
    """The fleet as the control plane knows it. stub: of RouteService."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    async def read(self) -> Fleet:
        pools: dict[str, list[Member]] = {}
        token, read_s = "", 0.0
        while True:
            request = route_pb2.ListBatchersRequest(page_size=_PAGE, page_token=token)
            answer = await self._stub.ListBatchers(request, timeout=_TIMEOUT_S)
            read_s = _seconds(answer.read_time)
            for batcher in answer.batchers:
                pools.setdefault(batcher.pool, []).append(member_of(batcher))
            token = answer.next_page_token
            if not token:
                return Fleet(read_s, {pool: tuple(members) for pool, members in pools.items()})


def member_of(batcher: route_pb2.Batcher) -> Member:
    """Return a batcher from its report. A version in a state that this release does not know counts as failed."""
    return Member(
        process=batcher.process,
        address=batcher.address,
        reported_s=_seconds(batcher.report_time),
        draining=batcher.draining,
        versions={
            one.digest: Held(
                model=one.model,
                condition=_CONDITIONS.get(one.state, Condition.FAILED),
                wanted=one.wanted,
                work=_work(one.load) if one.HasField("load") else None,
                load_s=one.load_duration.ToTimedelta().total_seconds() if one.HasField("load_duration") else None,
            )
            for one in batcher.versions
        },
        gpu_utilisation=batcher.gpu.utilisation if batcher.HasField("gpu") else None,
        gpu_memory=batcher.gpu.memory if batcher.HasField("gpu") else None,
    )


def _work(load: route_pb2.BatcherLoad) -> Work:
    return Work(
        rows=load.rows,
        queued=load.queued_rows,
        predicted_wait_s=load.predicted_wait.seconds + load.predicted_wait.nanos / 1e9,
        answered=load.answered_requests,
        shed=load.shed_requests,
        compute_s=load.compute.seconds + load.compute.nanos / 1e9,
        variation=load.variation,
    )


def _seconds(time: Timestamp) -> float:
    return time.seconds + time.nanos / 1e9

"""The control plane's ListBatchers, which a test holds in its hand."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
from headrace.router.v1 import route_pb2, route_pb2_grpc


class FakeFleet(route_pb2_grpc.RouteServiceServicer):
    """Batchers that answer so many requests per second in all. per_s: of each pool. away: refuses to answer."""

    def __init__(self) -> None:
        self.ready: dict[str, int] = {}
        self.per_s: dict[str, float] = {}
        self.away = False
        self._begun_s = time.time()

    async def ListBatchers(self, request: route_pb2.ListBatchersRequest, context: grpc.aio.ServicerContext):
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        now_s = time.time()
        answer = route_pb2.ListBatchersResponse()
        answer.read_time.FromNanoseconds(round(now_s * 1e9))
        for pool, ready in self.ready.items():
            for at in range(ready):
                self._add(answer, pool, at, now_s)
        return answer

    def _add(self, answer: route_pb2.ListBatchersResponse, pool: str, at: int, now_s: float) -> None:
        done = (now_s - self._begun_s) * self.per_s.get(pool, 0.0) / self.ready[pool]
        batcher = answer.batchers.add(process=f"{pool}-{at}", pool=pool, address=f"127.0.0.1:{9000 + at}")
        batcher.report_time.CopyFrom(answer.read_time)
        version = batcher.versions.add(
            model="digits", version="v1", digest="d1", state=route_pb2.BatcherVersion.STATE_READY, wanted=True
        )
        version.load.answered_requests = round(done)


@asynccontextmanager
async def fake_fleet() -> AsyncIterator[tuple[FakeFleet, str]]:
    """Serve a fleet until the block ends; yields it and its target."""
    fleet, server = FakeFleet(), grpc.aio.server()
    route_pb2_grpc.add_RouteServiceServicer_to_server(fleet, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield fleet, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)

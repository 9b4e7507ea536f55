"""A whole data plane in the test's process, between a control plane and batchers that the test holds in its hand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
from headrace.router.v1 import predict_pb2_grpc
from headrace_router.data.service import start
from headrace_router.data.settings import DataSettings
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import eventually, free_port, running


@dataclass(frozen=True, slots=True)
class DataPlane:
    """A running data plane. stub: for gRPC; rest: for HTTP, relative to its REST port."""

    runtime: Runtime[DataSettings]
    stub: Any
    rest: httpx.AsyncClient

    async def metric(self, name: str, **labels: str) -> float:
        """Return a metric as Prometheus would read it, 0 when it is not there."""
        return self.runtime.metrics.get_sample_value(name, labels) or 0.0

    async def connected(self, batchers: int, pool: str = "default") -> bool:
        """Whether it has streams to so many batchers of a pool."""
        return await self.metric("headrace_router_batchers_connected", pool=pool) == batchers


@contextlib.asynccontextmanager
async def data_plane(
    control_target: str, pools: Mapping[str, Sequence[str]], state_dir: Path, *, connected: bool = True, **settings: Any
) -> AsyncIterator[DataPlane]:
    """Run a data plane, SERVING; `connected` waits for a stream to every pool too. settings: fields of DataSettings.

    Nothing is cached unless a test says so: most ask the same again and count what reaches the batcher.
    """
    chosen = DataSettings(
        control_target=control_target,
        pools=";".join(f"{pool}={','.join(targets)}" for pool, targets in pools.items()),
        state_dir=state_dir,
        **{"rest_port": free_port(), "drain_notice_s": 0.0, "resolve_every_s": 0.2, "cache_ttl_s": 0.0, **settings},
    )
    async with (
        running("router.data", chosen, start) as runtime,
        grpc.aio.insecure_channel(runtime.servers[0].address) as channel,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{chosen.rest_port}", timeout=20) as rest,
    ):
        if connected:
            await eventually(lambda: runtime.health.components()["batchers"][0])
        yield DataPlane(runtime, predict_pb2_grpc.RouterServiceStub(channel), rest)

"""The toy service on a real port, seen from both sides: called by its stub, watched by its metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pytest
from headrace_servicekit.metrics import RpcMetrics
from headrace_servicekit.server import Server
from headrace_servicekit.testing import serving
from prometheus_client import CollectorRegistry

from tests.kit.servicekit.toy import SERVICE, Note, ToyStub


@dataclass(frozen=True, slots=True)
class Toy:
    """A running toy service."""

    server: Server
    stub: ToyStub
    registry: CollectorRegistry

    def counted(self, method: str, code: str) -> float | None:
        """Return how many calls of a method ended with a code."""
        labels = {"rpc_method": f"/{SERVICE}/{method}", "grpc_status_code": code}
        return self.registry.get_sample_value("rpc_server_call_duration_seconds_count", labels)

    def active(self) -> float | None:
        """Return how many calls are in progress."""
        return self.registry.get_sample_value("rpc_server_active_requests")

    async def failure(self, method: str, *notes: Any, **options: Any) -> grpc.aio.AioRpcError:
        """Call a method that must fail; return how it did."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.stub.call(method, *(notes or (Note(),)), **options)
        return caught.value


@asynccontextmanager
async def toy(method_handlers: dict[str, Any], **options: Any) -> AsyncIterator[Toy]:
    """Serve the handlers; options are those of Server."""
    registry = CollectorRegistry()

    def register(server: Server) -> None:
        server.add_registered_method_handlers(SERVICE, method_handlers)

    async with (
        serving(register, metrics=RpcMetrics(registry), **options) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield Toy(server, ToyStub(channel), registry)

"""A data plane behind each of its transports, and how it is called there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from front_door.filter_bridge import MODULE
from headrace.router.v1 import predict_pb2
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import PREDICT
from tests.kit.front_door.envoy_data_plane import envoy_plane
from tests.kit.router.data_plane import data_plane

MOST_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Transport:
    """A data plane behind its transport. by: the headers of a caller who may see models of some patterns, None for all.

    address: of its gRPC, which `channel` is connected to. broken: the status of a message that cannot be decompressed:
    gRPC's core has one of its own, before any code of ours (decision 63).
    """

    address: str
    broken: str
    channel: grpc.aio.Channel
    rest: httpx.AsyncClient
    by: Callable[[list[str] | None], dict[str, str]]

    def predict(self, request: Any, timeout: float = 10, *, models: list[str] | None = None, **more: Any) -> Any:
        """Call Predict; a request of bytes is sent as it is."""
        call = self.channel.unary_unary(PREDICT, None, predict_pb2.PredictResponse.FromString)
        data = request if isinstance(request, bytes) else request.SerializeToString()
        headers = {**self.by(models), **more.pop("headers", {})}
        return call(data, timeout=timeout, metadata=tuple(headers.items()), **more)

    async def refused(self, request: Any, timeout: float = 10, **more: Any) -> Any:
        """Return how Predict was refused."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.predict(request, timeout, **more)
        return grpc_refusal(caught.value)

    async def post(self, path: str, **more: Any) -> httpx.Response:
        """Post over REST."""
        return await self.rest.post(path, headers={**self.by(None), **more.pop("headers", {})}, **more)


@contextlib.asynccontextmanager
async def _on_its_own(folder: Path, control: str, batcher: str) -> AsyncIterator[Transport]:
    async with (
        data_plane(control, {"default": [batcher]}, folder, max_message_bytes=MOST_BYTES) as plane,
        grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel,
    ):
        yield Transport(plane.runtime.servers[0].address, "INTERNAL", channel, plane.rest, _named)


def _named(models: list[str] | None) -> dict[str, str]:
    return {"x-headrace-client": "ann", "x-headrace-models": ",".join(models or "*")}


@contextlib.asynccontextmanager
async def _in_envoy(folder: Path, control: str, batcher: str) -> AsyncIterator[Transport]:
    assert MODULE.is_file(), "the front door's filter is not built: run `make setup`"
    front = {"max_request_bytes": MOST_BYTES}
    async with (
        envoy_plane(folder, control, batcher, front=front) as plane,
        httpx.AsyncClient(base_url=plane.door.url, timeout=20) as rest,
    ):
        await eventually(plane.ready, within=20)
        issuer = plane.door.issuer
        yield Transport(
            plane.door.address,
            "INVALID_ARGUMENT",
            plane.channel,
            rest,
            lambda models: {"authorization": f"Bearer {issuer.token(sub='ann', models=models)}"},
        )


TRANSPORTS = {
    "processes of its own": _on_its_own,
    "Envoy": _in_envoy,
}

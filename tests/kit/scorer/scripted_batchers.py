"""Batchers as a scorer's pool engine sees them: a control plane that lists them, some that answer as they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import numpy as np
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import predict_pb2, route_pb2, route_pb2_grpc
from headrace_scorer.engine.messages import PoolAccess
from headrace_servicekit.checksums import encode

from tests.kit.scorer.service import MODEL

DIGEST = "d1"
READY = route_pb2.BatcherVersion.STATE_READY


class Fleet(route_pb2_grpc.RouteServiceServicer):
    """The batchers that a control plane knows: addresses, and the version that each has."""

    def __init__(self) -> None:
        self.members: dict[str, str] = {}
        self.asked_for: list[str] = []

    async def ListBatchers(self, request: route_pb2.ListBatchersRequest, context: Any):
        self.asked_for.append(request.pool)
        answer = route_pb2.ListBatchersResponse()
        for address, digest in self.members.items():
            answer.batchers.add(address=address, pool="default").versions.add(digest=digest, state=READY)
        return answer


@asynccontextmanager
async def served(register: Callable[[grpc.aio.Server], object]) -> AsyncIterator[str]:
    """Serve what is registered; yields the address."""
    server = grpc.aio.server()
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def fleet() -> AsyncIterator[tuple[Fleet, str]]:
    """Serve a fleet; yields it and the control plane's address."""
    made = Fleet()
    async with served(lambda server: route_pb2_grpc.add_RouteServiceServicer_to_server(made, server)) as address:
        yield made, address


def access(control: str) -> PoolAccess:
    """Return how batchers are reached that have the version of these tests."""
    return PoolAccess(control, "", MODEL, "v1", DIGEST, inputs=1, client="ada", max_message_bytes=1 << 20)


class Scripted:
    """A batcher that answers as it is told. requests: every one that came."""

    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self.answers, self.requests = list(answers), list[batcher_pb2.InferRequest]()

    async def exchange(self, frames: AsyncIterator[bytes], context: Any) -> None:
        await context.write(batcher_pb2.ExchangeResponse(versions=[{"handle": 1, "digest": DIGEST, "ready": True}]))
        async for frame in frames:
            for request in batcher_pb2.ExchangeRequest.FromString(frame).requests:
                self.requests.append(request)
                told = self.answers.pop(0) if self.answers else {"outputs": outputs_of(request.rows)}
                if told is None:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
                    return
                answer = batcher_pb2.InferResponse(**{**told, "id": request.id})
                await context.write(batcher_pb2.ExchangeResponse(responses=[answer]))

    def register(self, server: Any) -> None:
        handler = grpc.stream_stream_rpc_method_handler(self.exchange, response_serializer=encode)
        server.add_registered_method_handlers("headrace.batcher.v1.BatcherService", {"Exchange": handler})


def outputs_of(rows: int) -> bytes:
    """Return zeros as what a model of three scores answers."""
    message = predict_pb2.PredictResponse(raw_output_contents=[np.zeros((rows, 3), np.float32).tobytes()])
    message.outputs.add(name="scores", datatype="FP32", shape=[rows, 3])
    return message.SerializeToString()

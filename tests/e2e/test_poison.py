"""A poison request through the front door of a stack of two of everything, among callers who mean no harm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import numpy as np
import pytest
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_client import Client
from headrace_client.operations.registration import Serving
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import metadata
from tests.kit.models import onnx_models
from tests.kit.models.triton_processes import dying_whole
from tests.kit.stack.running import RunningStack
from tests.kit.stack.served_models import output, request, serve
from tests.kit.stack.under_load import whole

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

BATCHERS = ("batcher-default", "batcher-default-1")
NEIGHBOUR = onnx_models.linear(seed=11)
POISON = -2
CALLERS, PATIENCE_S, ANSWERS = 6, 20.0, 50
# Versions that nobody calls: a batcher is still loading them again when it could find the culprit.
LOADED_AGAIN = 4


@dataclass(slots=True)
class Innocents:
    """Callers of a model that a poison kills, and of one beside it. Each asks one thing after the other."""

    stack: RunningStack
    fatal: str
    neighbour: str
    answered: Counter[str] = field(default_factory=Counter)
    failed_once: list[str] = field(default_factory=list)
    failed_again: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def asking(self, stub: predict_pb2_grpc.RouterServiceStub):
        over = asyncio.Event()

        async def caller(model: str, number: int) -> None:
            for one in range(number, 1 << 40, CALLERS):
                if over.is_set():
                    return
                if refusal := await self._ask(stub, model, one):
                    self.failed_once.append(refusal)
                    await asyncio.sleep(1.0)  # callers wait as they are told to
                    if refusal := await self._ask(stub, model, one):
                        self.failed_again.append(refusal)
                self.answered[model] += 1
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as tasks:
            for number in range(CALLERS):
                for model in (self.fatal, self.neighbour):
                    tasks.create_task(caller(model, number))
            yield
            over.set()

    async def more(self) -> None:
        """Return when both models have answered a good many more."""
        before = self.answered.copy()
        await eventually(
            lambda: all(self.answered[model] > before[model] + ANSWERS for model in (self.fatal, self.neighbour)),
            within=60,
        )

    async def _ask(self, stub: predict_pb2_grpc.RouterServiceStub, model: str, number: int) -> str:
        """Return why one was refused, or nothing. A wrong answer raises."""
        inputs: dict[str, Any] = (
            {"x": np.array([number])} if model == self.fatal else {"features": np.full((1, 4), number, np.float32)}
        )
        computes = onnx_models.fatal() if model == self.fatal else NEIGHBOUR
        try:
            answer = await asked(self.stack, stub, request(model, **inputs))
        except grpc.aio.AioRpcError as error:
            return str(grpc_refusal(error))
        (expected,) = computes.expected(inputs).values()
        np.testing.assert_allclose(output(answer), expected, rtol=1e-5)
        return ""


async def asked(
    stack: RunningStack, stub: predict_pb2_grpc.RouterServiceStub, message: predict_pb2.PredictRequest
) -> predict_pb2.PredictResponse:
    return await stub.Predict(message, timeout=PATIENCE_S, metadata=metadata(stack.token()))  # type: ignore[misc]


@pytest.mark.parametrize("dies", [pytest.param("model", marks=pytest.mark.long), "Triton"])
async def test_poison_is_quarantined_and_no_innocent_request_fails_more_than_once(
    replicated_stack: RunningStack, dies: str
):
    stack, begun = replicated_stack, f"{time.time_ns()}"
    fatal, neighbour = f"poisoned-{begun}", f"beside-{begun}"
    folders = [stack.settings.state(batcher) / "models" for batcher in BATCHERS]
    await whole(stack)
    with Client(stack.address, token=stack.token) as client:
        await asyncio.to_thread(serve, client, neighbour, {"v1": NEIGHBOUR})
        await asyncio.to_thread(serve, client, fatal, {"v1": onnx_models.fatal()}, serving=Serving(device="cpu"))
        for number in range(LOADED_AGAIN):
            await asyncio.to_thread(serve, client, f"resting-{number}-{begun}", {"v1": NEIGHBOUR})
    innocents = Innocents(stack, fatal, neighbour)
    async with grpc.aio.insecure_channel(stack.address) as channel:
        stub = predict_pb2_grpc.RouterServiceStub(channel)

        async def poison() -> str:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await asked(stack, stub, request(fatal, x=np.array([POISON])))
            return grpc_refusal(refused.value).reason

        async with (
            dying_whole(*folders, model=f"{fatal}--v1/") if dies == "Triton" else contextlib.nullcontext() as ended,
            innocents.asking(stub),
        ):
            await innocents.more()
            assert await poison() == "QUARANTINED_INPUT"
            # Its caller is stubborn: the other data plane meets it too, and may try it on the other batcher.
            assert [await poison() for _ in range(20)] == ["QUARANTINED_INPUT"] * 20
            condemned = logged(stack, "input quarantined", fatal)
            assert [await poison() for _ in range(20)] == ["QUARANTINED_INPUT"] * 20
            await innocents.more()
    assert innocents.failed_again == [], innocents.failed_once
    assert max(condemned) == 1, "each batcher finds out once at most"
    if ended is None:
        assert sum(logged(stack, "version crashed", fatal)) == 2 * sum(condemned)
    else:
        # Who kills Triton looks for dead models now and then: of two that die close to each other it sees one.
        assert sum(condemned) <= len(ended) <= 2 * sum(condemned), "nobody dies a third time of it"


def logged(stack: RunningStack, event: str, model: str) -> list[int]:
    """Return how often each batcher has logged an event about a model."""

    def count(batcher: str) -> int:
        lines = (stack.settings.logs / f"{batcher}.log").read_text(errors="replace").splitlines()
        return sum(json.loads(line)["event"] == event for line in lines if line.startswith("{") and model in line)

    return [count(batcher) for batcher in BATCHERS]

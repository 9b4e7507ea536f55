"""A route with fallbacks while its pool is away: every caller is answered, and told by whom and why."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import grpc.aio
import numpy as np
import pytest
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_client import Backup, Client, Constant, FallbackStep, Lookup
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import refused
from tests.kit.front_door.edge import metadata
from tests.kit.models import onnx_models
from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack
from tests.kit.stack.served_models import output, request, serve
from tests.kit.stack.under_load import whole

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

MODEL = onnx_models.linear(seed=7)
ROW = np.array([[3, 1, 4, 1]], np.float32)
NEUTRAL = [0.25, 0.25, 0.5]
BATCHERS = ("batcher-default", "batcher-default-1")
CALLERS, DEADLINE_S = 8, 8.0

Answers = list[predict_pb2.PredictResponse]


@contextlib.asynccontextmanager
async def asking(stack: RunningStack, model: str):
    """Ask for predictions of a model until the block ends, each caller one after the other; an error is raised."""
    answers: Answers = []
    asked = request(model, features=ROW)
    asked.max_age.SetInParent()  # nothing kept: that would be no news

    async def ask(stub: predict_pb2_grpc.RouterServiceStub) -> None:
        while True:
            call = stub.Predict(asked, timeout=DEADLINE_S, metadata=metadata(stack.token()))
            answers.append(await call)  # type: ignore[misc]

    async with grpc.aio.insecure_channel(stack.address) as channel, asyncio.TaskGroup() as tasks:
        stub = predict_pb2_grpc.RouterServiceStub(channel)
        callers = [tasks.create_task(ask(stub)) for _ in range(CALLERS)]
        yield answers
        for caller in callers:
            caller.cancel()


def sources(answers: Answers) -> Counter[tuple[str, str, bool]]:
    """Return how many answers came of which version and step, and whether they say why."""
    return Counter((one.version, one.fallback_step, bool(one.degraded_reason)) for one in answers)


@contextlib.contextmanager
def killed(stack: RunningStack):
    for batcher in BATCHERS:
        processes.kill(stack, batcher)
    yield


@contextlib.contextmanager
def hanging(stack: RunningStack):
    with processes.frozen(stack, *BATCHERS):
        yield


@pytest.mark.parametrize(
    "away", [pytest.param(killed, id="killed"), pytest.param(hanging, id="hanging", marks=pytest.mark.long)]
)
async def test_while_every_batcher_of_its_pool_is_away_a_route_gives_its_fallbacks(
    replicated_stack: RunningStack, away: Callable[[RunningStack], contextlib.AbstractContextManager[None]]
):
    model = f"falling-{away.__name__}"
    await whole(replicated_stack)
    with Client(replicated_stack.address, token=replicated_stack.token) as client:
        await asyncio.to_thread(serve, client, model, {"v1": MODEL})
        steps = [FallbackStep(Backup(pool="cpu"), "elsewhere"), FallbackStep(Constant({"scores": NEUTRAL}), "neutral")]
        await asyncio.to_thread(client.routes.set_fallback, model, steps)
    async with asking(replicated_stack, model) as answers:
        await eventually(lambda: len(answers) > 50, within=30)
        assert set(sources(answers)) == {("v1", "", False)}
        with away(replicated_stack):
            await eventually(lambda: sum(bool(one.fallback_step) for one in answers) > 50, within=60)
        await whole(replicated_stack)
        await eventually(lambda: not answers[-1].fallback_step, within=60)
    assert set(sources(answers)) <= {("v1", "", False), ("v1", "elsewhere", True), ("", "neutral", True)}
    expected = MODEL.expected({"features": ROW})["scores"]
    for one in answers:
        right = expected if one.version else np.array([NEUTRAL], np.float32)
        np.testing.assert_allclose(output(one), right, rtol=1e-5)


async def test_while_its_pool_is_away_a_cached_answer_past_its_ttl_is_given_and_marked(replicated_stack: RunningStack):
    model, other = "cached-past-its-ttl", np.array([[2, 7, 1, 8]], np.float32)
    await whole(replicated_stack)
    with Client(replicated_stack.address, token=replicated_stack.token) as client:
        await asyncio.to_thread(serve, client, model, {"v1": MODEL})
        lookup = Lookup(ttl=timedelta(seconds=1), stale_on_error=timedelta(minutes=10))
        await asyncio.to_thread(client.routes.set_lookup, model, lookup)
    async with grpc.aio.insecure_channel(replicated_stack.address) as channel:
        stub = predict_pb2_grpc.RouterServiceStub(channel)

        async def answer(row: np.ndarray) -> predict_pb2.PredictResponse:
            asked = request(model, features=row)
            asked.ClearField("max_age")
            call = stub.Predict(asked, timeout=DEADLINE_S, metadata=metadata(replicated_stack.token()))
            return await call  # type: ignore[misc]

        first = await answer(ROW)
        async with processes.gone(replicated_stack, *BATCHERS):

            async def is_stale() -> bool:
                return (await answer(ROW)).served_from == predict_pb2.PredictResponse.SERVED_FROM_STALE

            await eventually(is_stale, within=60)
            stale = await answer(ROW)
            error = await refused(answer(other))
        assert (stale.version, stale.raw_output_contents) == ("v1", first.raw_output_contents)
        assert stale.age_ms > 900, "past its ttl, which is up to a tenth shorter"
        assert (stale.degraded_reason, error.reason) == ("NO_BACKEND", "NO_BACKEND"), (stale, error)
        await whole(replicated_stack)

        async def is_computed() -> bool:
            return (await answer(ROW)).served_from == predict_pb2.PredictResponse.SERVED_FROM_ONLINE

        await eventually(is_computed, within=60)

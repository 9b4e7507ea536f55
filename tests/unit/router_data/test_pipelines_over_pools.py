"""Pipelines over pools whose batchers hang, fail, lose versions and are killed, in any order."""

from __future__ import annotations

import asyncio
import random
from functools import partial

import numpy as np
import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.pipelines.online import PipelineOnline
from headrace_runtime.pipelines.graph import Combiner, Kind, ModelStep, Output, Pipeline, Source, Step
from headrace_servicekit.errors import Code, ServiceError
from headrace_servicekit.testing import eventually, patience

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.router.pipeline_runs import Composed, edges, member
from tests.kit.router.pools import pools_of

ROW = {"x": np.array([[1, 2, 3, 4]], np.float32)}
REQUESTS = 80
COMPOSED = Composed(
    Pipeline(
        (
            Step("first", ModelStep("first"), edges(("x", "", "x")), retries=2),
            Step("extra", ModelStep("extra"), edges(("x", "", "x")), soft_fail=True),
            Step("small", ModelStep("small"), edges(("x", "first", "y"), ("e", "extra", "y")), timeout_ms=100.0),
            Step("large", ModelStep("large"), edges(("x", "first", "y"))),
            Step("best", Combiner(Kind.MEAN, quorum=1), edges(("s", "small", "y"), ("l", "large", "y"))),
        ),
        (Output("scores", Source("best", "output")),),
    ),
    {
        "first": member(1.0), "extra": member(1.0), "small": member(1.0, "x", "e"), "large": member(2.0),
    },
)  # fmt: skip
MEMBERS = list(COMPOSED.version.members)


async def troubled(
    rng: random.Random, batcher: FakeBatcher, request: batcher_pb2.InferRequest
) -> batcher_pb2.InferResponse | None:
    """Answer as the member does, after a while, or with an error, or never."""
    assert COMPOSED.served.pipeline is not None
    digest = batcher.versions[request.version].digest
    name = next(step.name for step in COMPOSED.served.pipeline.steps if step.served.digest == digest)
    fate = rng.random()
    if fate < 0.1:
        return None
    if fate < 0.2:
        return batcher_pb2.InferResponse(id=request.id, code=Code.INTERNAL, reason="MODEL_FAILING", message="no")
    await asyncio.sleep(rng.choice((0.0, 0.002, 0.05)))
    outputs = COMPOSED.computed(name, request.rows, request.inputs, request.outputs)
    return batcher_pb2.InferResponse(id=request.id, outputs=outputs, batch_rows=1, batch_requests=1)


async def trouble(rng: random.Random, *batchers: FakeBatcher) -> None:
    """Kill streams, take versions away and give them back, for ever."""
    while True:
        await asyncio.sleep(rng.uniform(0.01, 0.06))
        batcher, version = rng.choice(batchers), rng.choice(MEMBERS)
        if rng.random() < 0.4:
            batcher.cut()
        else:
            batcher.announce(version, ready=False)
            await asyncio.sleep(0.01)
            batcher.announce(version)


def online_of(pools: Pools) -> PipelineOnline:
    loop = asyncio.get_running_loop()
    return PipelineOnline(
        pools, pools.endpoints, pools.budget, max_rows=1024, queue_timeout_s=0.1, miss=pools.miss, loop=loop
    )


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_becomes_of_its_batchers_a_request_ends_by_its_deadline_and_leaves_nothing_behind(seed):
    rng, loop, deadline_s = random.Random(seed), asyncio.get_running_loop(), patience(0.3)
    async with (
        FakeBatcher.serving(MEMBERS) as one,
        FakeBatcher.serving(MEMBERS, process="fake-2") as other,
        pools_of(one, other, wait=False) as pools,
    ):
        await eventually(lambda: all(pools.endpoints.serves("default", member.digest) for member in MEMBERS))
        one.behave = other.behave = partial(troubled, rng)
        online, works = online_of(pools), []
        troubling = asyncio.create_task(trouble(rng, one, other))
        for _ in range(REQUESTS):
            work = COMPOSED.work(ROW, loop, deadline_s, {}, ())
            online.submit((work,))
            works.append(work)
            if rng.random() < 0.1:
                await asyncio.sleep(0.005)
                online.withdraw(work)
                work.answer.cancel()
            await asyncio.sleep(rng.choice((0.0, 0.0, 0.02)))
        troubling.cancel()  # a stream that ends would help those along whom nothing else ends
        _, waiting = await asyncio.wait([work.answer for work in works], timeout=deadline_s + patience(0.5))
        assert not waiting
        (running,) = [one for one in online.collect() if one.name == "headrace_router_pipelines_running"]
        assert running.samples[0].value == 0
        await eventually(lambda: not pools.in_flight and not any(map(len, pools.pending.values())))
    errors = [work.answer.exception() for work in works if not work.answer.cancelled()]
    assert {type(error) for error in errors if error is not None and not isinstance(error, ServiceError)} == set()
    assert 0 < errors.count(None) < len(errors)

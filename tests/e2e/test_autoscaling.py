"""Pools that scale themselves while they are in use, on real batchers with their Tritons."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import autoscaler_pb2, policy_pb2
from headrace_client import AsyncClient, Client
from headrace_client.errors import Unavailable
from headrace_servicekit.testing import eventually
from headrace_stack.testing import held_stack

from tests.kit.autoscaler.pools import message
from tests.kit.models.onnx_models import linear, plus
from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack
from tests.kit.stack.served_models import GOOD_METRICS, register, serve
from tests.kit.stack.under_load import RATE, in_use
from tests.kit.stores.servers import home_for_tests, worker_name

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
Outcome = autoscaler_pb2.Outcome
ROW = np.array([[0, 1, 2, 3]], np.float32)


@pytest.fixture(scope="module")
def scaled_stack() -> Iterator[RunningStack]:
    """A stack of one of each, which these tests scale and leave as it was.

    A prediction may wait longer there than ten seconds: a busy machine takes that for a start.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRONT_DOOR_PREDICT_TIMEOUT_MAX_S", "60")
        with held_stack(home_for_tests(f"autoscaled-{worker_name()}")) as settings:
            yield RunningStack(settings)


def prompt(**fields: Any) -> policy_pb2.ScalingPolicy:
    """Return a policy that decides each second by the last few, so that a test sees it decide."""
    return message(
        preset="kubernetes",
        interval=Duration(seconds=1),
        stable_window=Duration(seconds=5),
        scale_down_window=Duration(seconds=5),
        **fields,
    )


def per_replica(requests_per_s: float) -> list[policy_pb2.Target]:
    return [policy_pb2.Target(metric="requests_per_s", value=requests_per_s)]


async def pool_of(client: AsyncClient) -> autoscaler_pb2.Pool:
    (pool,) = await client.pools.list()
    return pool


async def test_a_load_scales_batchers_from_one_to_three_and_its_end_to_one_and_no_prediction_fails(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with (
        in_use(scaled_stack, tmp_path) as scene,
        AsyncClient(scaled_stack.address, token=lambda: scaled_stack.token("operator")) as client,
    ):
        await client.pools.put_policy(prompt(max_replicas=3, targets=per_replica(RATE / 8)))

        async def has(ready: int) -> bool:
            pool = await pool_of(client)
            return pool.replicas.ready == ready and not pool.replicas.loading and not pool.replicas.draining

        await eventually(lambda: has(3), within=150, every=0.5)
        # Whoever is to leave is named by the address that the control plane knows: the supervisor knows it too.
        known = {one.address for one in await client.routes.list_batchers() if one.pool == "default"}
        names = ("batcher-default", "batcher-default-1", "batcher-default-2")
        assert known == {f"127.0.0.1:{scaled_stack.status(name).ports[0]}" for name in names}
        await scene.load.steady()
        await client.pools.put_policy(prompt(max_replicas=3, targets=per_replica(RATE * 2)))
        await eventually(lambda: has(1), within=60, every=0.5)
        await scene.load.steady()

        async def done() -> list[int]:
            found = await client.pools.list_decisions("default", only_changes=True)
            return [one.desired_replicas for one in reversed(found) if one.outcome.state == Outcome.STATE_DONE]

        async def one_is_done() -> bool:  # said by a round after the one that sees it
            return (await done())[-1:] == [1]

        await eventually(one_is_done, within=30, every=0.5)
        assert max(await done()) == 3
        decisions = await client.pools.list_decisions("default", only_changes=True)
        load = scene.load
    why = " ".join(sentence for one in decisions for sentence in one.sentences)
    assert "requests_per_s of" in why
    assert load.failures() == []
    assert await scene.complaints() == []


@pytest.mark.long
async def test_an_autoscaler_that_is_killed_while_it_scales_and_a_control_plane_that_is_cost_nobody_anything(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with (
        in_use(scaled_stack, tmp_path) as scene,
        AsyncClient(scaled_stack.address, token=lambda: scaled_stack.token("operator")) as client,
    ):
        await client.pools.put_policy(prompt(max_replicas=2, targets=per_replica(RATE / 8)))

        async def asked() -> bool:
            return any(one.outcome.state == Outcome.STATE_ASKED for one in await client.pools.list_decisions("default"))

        await eventually(asked, within=60, every=0.05)
        was = processes.kill(scaled_stack, "autoscaler")
        await processes.back(scaled_stack, "autoscaler", was)

        async def has(ready: int) -> bool:
            pool = await pool_of(client)
            return pool.replicas.ready == ready and not pool.replicas.loading and not pool.replicas.draining

        await eventually(lambda: has(2), within=150, every=0.5)
        # While nobody can say what there is, nothing is taken away.
        was = processes.kill(scaled_stack, "router-control")
        await processes.back(scaled_stack, "router-control", was)
        await eventually(lambda: has(2), within=60, every=0.5)
        await client.pools.pause("default", reason="a test")
        await client.pools.put_policy(prompt(max_replicas=2, targets=per_replica(RATE * 2)))

        async def held() -> bool:
            pool = await pool_of(client)
            return pool.desired_replicas == 1 and pool.decision.outcome.state == Outcome.STATE_NOT_ACTED

        await eventually(held, within=60, every=0.5)
        assert (await pool_of(client)).replicas.ready == 2
        await client.pools.resume("default")
        await eventually(lambda: has(1), within=60, every=0.5)
        load = scene.load
    assert load.failures() == []


@pytest.mark.long
async def test_a_pool_that_nobody_asks_goes_to_zero_and_the_first_requests_bring_it_back(scaled_stack: RunningStack):
    token = scaled_stack.token("operator")
    model = "asleep"
    with Client(scaled_stack.address, token=token) as client:
        serve(client, model, {"v1": linear(seed=1)})
    zero = policy_pb2.ScaleToZero(after=Duration(seconds=2))
    async with AsyncClient(scaled_stack.address, token=token) as client:
        await client.pools.put_policy(
            prompt(min_replicas=0, max_replicas=1, targets=per_replica(50.0), scale_to_zero=zero)
        )

        async def asleep() -> bool:
            return not [one for one in await client.routes.list_batchers() if one.pool == "default"]

        for wait_s in (0.0, 12.0):  # beyond what a request waits for a batcher that is away for a moment
            await eventually(asleep, within=120, every=0.5)
            await asyncio.sleep(wait_s)
            asked = [
                client.predict(model, {"features": ROW + number}, max_age=timedelta(0), timeout=55.0)
                for number in range(20)
            ]
            answers = await asyncio.gather(*asked)
            assert {one.version for one in answers} == {"v1"}
        await eventually(asleep, within=120, every=0.5)
        # By now it is known how long a start takes: who has less time is told at once to come back.
        with pytest.raises(Unavailable) as refused:
            await client.predict(model, {"features": ROW}, max_age=timedelta(0), timeout=0.5)
        assert refused.value.reason == "POOL_STARTING"
        assert (refused.value.retry_after_s or 0.0) >= 1.0
        decisions = await client.pools.list_decisions("default", only_changes=True)
        told = {one.outcome.detail for one in decisions if not one.previous_replicas}
        assert "1 was seen ready, for requests that wait." in told
        await client.pools.delete_policy("default")


PIPELINE = """
steps:
  first:
    model: asleep-first@v1
    inputs: {x: request.x}
  last:
    model: asleep-last@v1
    inputs: {x: first.y}
    pool: cpu
outputs:
  y: last.y
"""


@pytest.mark.long
async def test_a_pipeline_wakes_the_pool_of_a_step_and_waits_for_it(scaled_stack: RunningStack, tmp_path: Path):
    token, model = scaled_stack.token("operator"), "asleep-pipeline"
    (file := tmp_path / "pipeline.yaml").write_text(PIPELINE)
    with Client(scaled_stack.address, token=token) as client:
        for member in ("asleep-first", "asleep-last"):
            register(client, member, "v1", plus(1.0))
        client.versions.register(model, "v1", file, metrics=GOOD_METRICS)
        client.routes.await_epoch(model, client.models.promote(model, "v1").model.epoch, timeout=90)
    zero = policy_pb2.ScaleToZero(after=Duration(seconds=2))
    policy = prompt(pool="cpu", min_replicas=0, max_replicas=1, targets=per_replica(50.0), scale_to_zero=zero)
    async with AsyncClient(scaled_stack.address, token=token) as client:
        await client.pools.put_policy(policy)

        async def asleep() -> bool:
            return not [one for one in await client.routes.list_batchers() if one.pool == "cpu"]

        def ask(timeout: float, number: int = 0) -> Any:
            row = np.array([number], np.float32)
            return client.predict(model, {"x": row}, max_age=timedelta(0), timeout=timeout)

        await eventually(asleep, within=120, every=0.5)
        answers = await asyncio.gather(*(ask(55.0, number) for number in range(5)))
        assert [one.outputs["y"][0] for one in answers] == [number + 2.0 for number in range(5)]
        await eventually(asleep, within=120, every=0.5)
        with pytest.raises(Unavailable) as refused:
            await ask(1.0)
        assert refused.value.reason == "POOL_STARTING"
        assert (refused.value.retry_after_s or 0.0) >= 1.0
        # Who was refused has woken it as well: whoever comes back then is answered.
        assert (await ask(55.0)).version == "v1"
        await client.pools.delete_policy("cpu")

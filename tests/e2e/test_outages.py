"""What a stack in use does without a part of itself for longer than a restart takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest
from headrace.router.v1 import route_pb2, route_pb2_grpc
from headrace_client import HeadraceError, PreconditionFailed
from headrace_servicekit.testing import eventually

from tests.kit.hostile.unloadable_model import unloadable
from tests.kit.models import onnx_models
from tests.kit.stack import processes
from tests.kit.stack.load import reason_of
from tests.kit.stack.operator import METRICS, Operator
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import VERSIONS, in_use, whole

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

REGISTRIES, CONTROL_PLANES = ("registry", "registry-1"), ("router-control", "router-control-1")
ROW = {"features": np.zeros((1, 4), np.float32)}
BATCHERS = ("batcher-default", "batcher-default-1")


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(30.0, id="30 s"),
        pytest.param(600.0, id="10 min", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_predictions_go_on_without_postgresql_and_registry(
    replicated_stack: RunningStack, tmp_path: Path, seconds: float
):
    async with in_use(replicated_stack, tmp_path) as scene:
        with processes.frozen(replicated_stack, "postgres", *REGISTRIES):
            during = await scene.load.goes_on(seconds)
        await scene.well_again()
        assert scene.restarted() == set()
    assert len(during) > seconds * scene.load.rate / 2
    assert await scene.complaints() == []


@pytest.mark.long
async def test_predictions_go_on_while_nothing_listens_where_postgresql_and_registry_were(
    replicated_stack: RunningStack, tmp_path: Path
):
    async with in_use(replicated_stack, tmp_path) as scene:
        async with processes.gone(replicated_stack, "postgres", *REGISTRIES):
            during = await scene.load.goes_on(30.0)
        await scene.well_again()
        assert scene.restarted() == {"postgres", *REGISTRIES}
    assert len(during) > 30.0 * scene.load.rate / 2
    assert await scene.complaints() == []


async def test_a_data_plane_starts_from_its_last_good_tables_while_every_control_plane_hangs(
    replicated_stack: RunningStack, tmp_path: Path
):
    async with in_use(replicated_stack, tmp_path) as scene:
        with processes.frozen(replicated_stack, *CONTROL_PLANES):
            for data_plane in ("router-data", "router-data-1"):
                was = processes.kill(replicated_stack, data_plane)
                await processes.back(replicated_stack, data_plane, was)
                await whole(replicated_stack, but=("router-control",))
            during = await scene.load.goes_on(2.0)
        await scene.well_again()
        assert scene.restarted() == {"router-data", "router-data-1"}
    assert not [one for one in during if not one.answered]
    assert await scene.complaints() == []


async def test_the_first_version_promoted_without_any_batcher_serves_when_one_comes(
    replicated_stack: RunningStack, tmp_path: Path
):
    await whole(replicated_stack)
    async with Operator.of(replicated_stack, f"early-{time.time_ns()}", tmp_path) as operator:
        await operator.register("v1", VERSIONS["v1"])
        with processes.frozen(replicated_stack, *BATCHERS):
            promoted = await operator.client.models.promote(operator.model, "v1")

            async def reason() -> str:
                return (await operator.client.routes.get(operator.model)).status.reason

            await eventually(lambda: _holds(reason, "no batcher"), within=30, every=0.2)
            with pytest.raises(HeadraceError) as refused:
                await operator.client.predict(operator.model, ROW, timeout=3)
            assert refused.value.reason == "MODEL_NOT_READY"
        status = await operator.client.routes.await_epoch(operator.model, promoted.model.epoch, timeout=60)
        assert status.generation > 0
        answer = await operator.client.predict(operator.model, ROW, timeout=10)
        assert answer.version == "v1"


async def test_a_version_that_never_loads_leaves_traffic_where_it_is_and_says_so(
    replicated_stack: RunningStack, tmp_path: Path
):
    async with in_use(replicated_stack, tmp_path) as scene:
        client, model = scene.operator.client, scene.operator.model
        await client.versions.register(model, "broken", unloadable(tmp_path), metrics=METRICS, skip_trial=True)
        epoch = await scene.operator.ask("broken")
        with pytest.raises(PreconditionFailed) as refused:
            await client.routes.await_epoch(model, epoch, timeout=4)
        assert refused.value.reason == "VERSION_NOT_READY"
        assert "'broken'" in (await client.routes.get(model)).status.reason
        await scene.load.goes_on(0.5)
        await scene.operator.roll_back()
    assert {one.version for one in scene.load.exchanges} == {"v1"}
    assert await scene.complaints() == []


async def test_a_promotion_directly_followed_by_a_rollback_ends_where_it_began(
    replicated_stack: RunningStack, tmp_path: Path
):
    async with in_use(replicated_stack, tmp_path) as scene:
        for _ in range(5):
            await scene.operator.ask("v2")
            done = await scene.operator.roll_back()
            assert (done.allowed, done.acknowledged) == (frozenset({"v1"}), True)
            await scene.load.goes_on(0.2)
        assert (await scene.operator.client.routes.get(scene.operator.model)).status.reason == ""
    assert await scene.complaints() == []


async def test_a_batcher_that_restarts_during_a_pending_change_holds_it_up_and_no_more(
    replicated_stack: RunningStack, tmp_path: Path
):
    async with in_use(replicated_stack, tmp_path) as scene:
        version = f"late-{time.time_ns()}"
        file = onnx_models.linear(seed=5)
        await scene.operator.register(version, file)
        scene.load.expect(version, file)
        promoting = asyncio.create_task(scene.operator.promote(version))
        was = processes.kill(replicated_stack, "batcher-default")
        await processes.back(replicated_stack, "batcher-default", was)
        done = await promoting
        assert done.acknowledged
        await scene.load.goes_on(0.5)
        await scene.operator.promote("v1")
    assert version in {one.version for one in scene.load.exchanges}
    assert await scene.complaints() == []


@pytest.mark.parametrize(
    ("seconds", "versions"),
    [
        pytest.param(6.0, ("v2",), id="some seconds"),
        pytest.param(60.0, ("v2", "v1", "v2"), id="a minute", marks=[pytest.mark.long, pytest.mark.timeout(240)]),
    ],
)
async def test_a_data_plane_that_is_cut_off_is_named_and_catches_up(
    replicated_stack: RunningStack, tmp_path: Path, seconds: float, versions: tuple[str, ...]
):
    async with in_use(replicated_stack, tmp_path, rest_one_in=0) as scene:
        with processes.frozen(replicated_stack, "router-data-1"):
            began = time.monotonic()
            for version in versions:
                done = await scene.operator.promote(version)
                assert done.unacknowledged == ("data-1",)
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))

        async def unacknowledged() -> list[str]:
            found = await scene.operator.client.routes.get(scene.operator.model)
            return list(found.status.unacknowledged_data_planes)

        await eventually(lambda: _holds(unacknowledged, []), within=30, every=0.1)
        done = await scene.operator.promote("v1")
        assert done.acknowledged
        await scene.well_again()
        assert scene.restarted() == set()
    assert await scene.complaints() == []


async def test_of_two_writers_of_one_route_none_undoes_what_it_has_not_seen(
    replicated_stack: RunningStack, tmp_path: Path
):
    await whole(replicated_stack)
    async with Operator.of(replicated_stack, f"shared-{time.time_ns()}", tmp_path) as operator:
        await operator.register("v1", VERSIONS["v1"])
        await operator.promote("v1")
        await operator.split((("", 1.0), ("v1", 1.0)))
        counts = await asyncio.gather(*(_count_up(replicated_stack, operator.model, arm) for arm in (0, 1)))
        weights = [variant.weight for variant in (await operator.client.routes.get(operator.model)).route.variants]
    assert weights == [1.0 + counts[0], 1.0 + counts[1]]
    assert all(counts)


async def _count_up(stack: RunningStack, model: str, arm: int) -> int:
    """Read the route and write it with one arm's weight raised, again and again; return how often that succeeded."""
    succeeded = 0
    token = (("authorization", f"Bearer {stack.token(f'writer-{arm}')}"),)
    async with grpc.aio.insecure_channel(stack.address) as channel:
        routes: Any = route_pb2_grpc.RouteServiceStub(channel)
        for _ in range(15):
            read = await routes.GetRoute(route_pb2.GetRouteRequest(name=f"routes/{model}"), metadata=token, timeout=10)
            read.route.variants[arm].weight += 1
            try:
                await routes.UpdateRoute(route_pb2.UpdateRouteRequest(route=read.route), metadata=token, timeout=30)
                succeeded += 1
            except grpc.aio.AioRpcError as error:
                if reason_of(error) != "ETAG_MISMATCH":
                    raise
    return succeeded


async def _holds(ask: Callable[[], Awaitable[str | list[str]]], expected: str | list[str]) -> bool:
    found = await ask()
    return expected in found if isinstance(expected, str) else found == expected

"""The control plane following the real registry service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc.aio
import pytest
from headrace.router.v1 import route_pb2
from headrace_servicekit.testing import eventually

from tests.kit.models.onnx_models import identity, linear
from tests.kit.registry.memory_store import MemoryStore
from tests.kit.registry.service import Registry, memory_registry
from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.pipelines import composed


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with memory_registry() as running_registry:
        yield running_registry


async def await_epoch(plane: Plane, epoch: int) -> route_pb2.RouteStatus:
    """Wait for a promotion as the command line does, with a batcher that loads what is wanted."""

    async def reached() -> route_pb2.RouteStatus | None:
        await plane.load_wanted()
        try:
            return await plane.await_epoch(epoch, timeout=0.5)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                return None
            raise

    status = await eventually(reached, within=20)
    assert status is not None
    return status


async def serving(plane: Plane) -> list[str]:
    route = (await plane.get()).route
    return [variant.serving_version for variant in route.variants]


async def test_promote_and_rollback_become_traffic(plane: Plane, registry: Registry):
    for version in ("v1", "v2"):
        await registry.register("digits", version, linear(4, 2))
    for version in ("v1", "v2"):
        promoted = await registry.promote("digits", version)
        status = await await_epoch(plane, promoted.model.epoch)
        assert status.state == route_pb2.RouteStatus.STATE_ACTIVE
        assert await serving(plane) == [version]
    back = await registry.rollback("digits")
    assert (await await_epoch(plane, back.model.epoch)).registry_epoch == back.model.epoch
    assert await serving(plane) == ["v1"]


async def test_the_table_has_what_the_registry_knows_of_a_version(plane: Plane, registry: Registry):
    version = await registry.register("digits", "v1", linear(4, 2))
    promoted = await registry.promote("digits", "v1")
    await await_epoch(plane, promoted.model.epoch)
    table = (await plane.watch().read()).table
    (resolved,) = table.versions
    assert (resolved.digest, resolved.signature_hash) == (version.digest, version.signature_hash)
    assert resolved.contract == version.contract
    assert list(resolved.artifacts) == list(version.artifacts)


async def test_a_registry_that_restarts_is_resumed_not_read_anew(postgres_url: str):
    store = MemoryStore()
    async with AsyncExitStack() as stack:
        async with memory_registry(store) as registry:
            await registry.register("digits", "v1", linear(4, 2))
            port = int(registry.target.rpartition(":")[2])
            plane = await stack.enter_async_context(control_plane(postgres_url, registry.target))
            await eventually(lambda: _known(plane))
        await eventually(lambda: not _followed(plane))
        registry = await stack.enter_async_context(memory_registry(store, port=port))
        # Resumed, with nothing to tell: it is followed all the same.
        await eventually(lambda: _followed(plane), within=10)
        promoted = await eventually(lambda: _promoted(registry), within=10)
        assert promoted is not None
        assert (await await_epoch(plane, promoted)).registry_epoch == promoted


def _followed(plane: Plane) -> bool:
    return plane.runtime.health.components()["registry"][0]


async def _promoted(registry: Registry) -> int | None:
    """Promote through a channel that may not have noticed yet that the registry is back."""
    try:
        return (await registry.promote("digits", "v1")).model.epoch
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return None
        raise


async def _known(plane: Plane) -> bool:
    try:
        await plane.get()
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_a_pipeline_reaches_data_planes_with_all_that_it_takes_to_run_it(plane: Plane, registry: Registry):
    await registry.register("iris", "v1", linear(4, 2))
    pipeline = composed(
        {
            "same": {"graph": "same.onnx", "inputs": {"x": "request.x"}},
            "one": {"model": "iris@v1", "inputs": {"features": "same.y"}, "retries": 1},
            "mean": {"combiner": {"kind": "KIND_MEAN"}, "inputs": {"one": "one.scores"}},
        },
        {"scores": "mean.output"},
    )
    version = await registry.compose("digits", "v1", pipeline, {"same.onnx": identity(4)})
    promoted = await registry.promote("digits", "v1")
    await await_epoch(plane, promoted.model.epoch)
    watch = plane.watch()
    told = [await watch.read() for _ in ("digits", "iris")]
    (table,) = (message.table for message in told if message.HasField("table"))
    (resolved,) = table.versions
    assert (resolved.digest, resolved.pipeline) == (version.digest, version.pipeline)
    members = {member.digest: member for member in resolved.members}
    assert [(members[step.digest].model, members[step.digest].version) for step in resolved.pipeline.steps] == [
        ("digits", "v1--same"),
        ("iris", "v1"),
        ("digits", "v1--mean"),
    ]
    assert all(len(member.artifacts) == 1 and member.contract.inputs for member in resolved.members)

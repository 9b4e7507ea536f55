"""From what the registry says and people write to what data planes and batchers are told, on a real database."""

import asyncio

import grpc
import grpc.aio
import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.router.control_plane import Plane, control_plane, split
from tests.kit.router.registry_feed import RegistryFeed

Status = route_pb2.RouteStatus
Wanted = control_pb2.WantedVersion


async def snapshot(watch) -> list[control_pb2.WatchTablesResponse]:
    messages = []
    while not messages or not messages[-1].snapshot_complete:
        messages.append(await watch.read())
    return messages


async def test_a_first_promotion_reaches_batchers_then_data_planes(plane: Plane, registry: RegistryFeed):
    registry.put("digits", "v1")
    await eventually(lambda: plane.get())
    watch = plane.watch()
    first = await snapshot(watch)
    assert [message.not_serving_model for message in first] == ["digits", ""]

    demand = plane.control.WatchDemand(control_pb2.WatchDemandRequest(pool="default"), timeout=60)
    assert not (await demand.read()).versions
    epoch = registry.put("digits", production="v1")
    (wanted,) = (await demand.read()).versions
    assert (wanted.need, wanted.version.version, wanted.version.serving.max_batch_rows) == (
        Wanted.NEED_PENDING,
        "v1",
        32,
    )
    assert list(wanted.version.serving.preferred_batch_rows) == [8, 16, 32]
    assert (await plane.get()).status.state == Status.STATE_NOT_SERVING

    await plane.report("p1", "v1")
    message = await watch.read()
    assert (message.table.model, message.table.registry_epoch) == ("digits", epoch)
    assert message.table.versions[0] == wanted.version
    assert [(one.end, one.variant) for one in message.table.ranges] == [(1_000_000, 0)]
    assert len(message.table.salt) == 16
    assert (await demand.read()).versions[0].need == Wanted.NEED_ACTIVE
    await plane.acknowledge("plane-0", message)
    status = await plane.await_epoch(epoch)
    assert (status.state, status.generation) == (Status.STATE_ACTIVE, message.newest_generation)
    assert list(status.unacknowledged_data_planes) == []


async def test_a_promotion_keeps_the_old_version_loaded_for_a_rollback(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry)
    demand = plane.control.WatchDemand(control_pb2.WatchDemandRequest(pool="default"), timeout=60)
    await demand.read()
    epoch = registry.put("digits", production="v2")
    both = [(one.version.version, one.need) for one in (await demand.read()).versions]
    assert both == [("v1", Wanted.NEED_ACTIVE), ("v2", Wanted.NEED_PENDING)]
    await plane.report("p1", "v1", "v2")
    await plane.await_epoch(epoch)
    after = [(one.version.version, one.need) for one in (await demand.read()).versions]
    assert after == [("v2", Wanted.NEED_ACTIVE), ("v1", Wanted.NEED_REVERT)]
    back = registry.put("digits", production="v1")
    assert (await plane.await_epoch(back, timeout=2)).state == Status.STATE_ACTIVE


async def test_writing_a_route_again_asks_batchers_anew_for_a_version_that_never_became_ready(
    plane: Plane, registry: RegistryFeed
):
    await plane.serve(registry)
    demand = plane.control.WatchDemand(control_pb2.WatchDemandRequest(pool="default"), timeout=60)
    await demand.read()
    asked, writing = [], []
    for shares in ((90, 10), (90, 10), (80, 20)):
        etag = (await plane.get()).route.etag
        # It is not answered before it is in force.
        writing.append(asyncio.create_task(plane.write(split(*shares, etag=etag))))
        asked.append({one.version.version: one.change for one in (await demand.read()).versions})
    for one in writing:
        one.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    assert [one["v1"] for one in asked] == ["", "", ""]
    assert len({one["v2"] for one in asked}) == 3


async def test_a_version_that_a_data_plane_may_still_serve_stays_in_demand(postgres_url: str, registry: RegistryFeed):
    async with control_plane(postgres_url, registry.target, acknowledge_wait_s=0.2) as plane:
        await _two_data_plane_steps(plane, registry)


async def _two_data_plane_steps(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry, "v2")
    watch = plane.watch()
    await plane.acknowledge("plane-0", (await snapshot(watch))[-1])
    written = asyncio.create_task(plane.write(split(0, 1)))
    table = await watch.read()
    demand = plane.control.WatchDemand(control_pb2.WatchDemandRequest(pool="default"), timeout=60)
    registry.put("digits", production="v3")

    async def needs():
        return [one.version.version for one in (await demand.read()).versions]

    assert await needs() == ["v1", "v2"]  # v1 has weight 0 and may be pinned: it is in force
    answer = await written
    assert list(answer.status.unacknowledged_data_planes) == ["plane-0"]
    only_v2 = split(0, 1, answer.route.etag)
    del only_v2.variants[0]
    later = asyncio.create_task(plane.write(only_v2))
    table = await watch.read()
    assert [one.version for one in table.table.versions] == ["v2"]
    await plane.acknowledge("plane-0", table)
    assert (await later).status.unacknowledged_data_planes == []
    assert await needs() == ["v2"]


async def test_a_split_moves_only_the_share_it_needs(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry, "v2")
    first = await plane.write(split(90, 10))
    assert first.moved_share == pytest.approx(0.1)
    assert [variant.serving_version for variant in first.route.variants] == ["v1", "v2"]
    assert first.route.updated_by == "internal"
    second = await plane.write(split(80, 20, first.route.etag))
    assert second.moved_share == pytest.approx(0.1)
    assert second.status.generation > first.status.generation

    before = await plane.routes.AssignUnit(route_pb2.AssignUnitRequest(name="routes/digits", user_id="ana"), timeout=10)
    assert before.version == {"control": "v1", "treatment": "v2"}[before.variant]
    assert before.generation == second.status.generation


async def test_a_write_that_never_gets_ready_is_dropped(postgres_url: str, registry: RegistryFeed):
    async with control_plane(postgres_url, registry.target, ready_timeout_s=1.0) as plane:
        await plane.serve(registry)
        await plane.report("p1", "v1", failed="v2")
        error = await refused(plane.write(split(90, 10)))
        assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "VERSION_NOT_READY")
        assert "it does not load" in error.public_message
        after = await plane.get()
        assert (after.route.etag, after.status.state) == ("", Status.STATE_ACTIVE)


async def test_a_promotion_that_is_not_ready_stays_wanted(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry)
    epoch = registry.put("digits", production="v2")
    error = await refused(plane.await_epoch(epoch, timeout=1))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "VERSION_NOT_READY")
    assert "0 of 1 batchers" in error.public_message
    status = (await plane.get()).status
    assert (status.state, status.registry_epoch) == (Status.STATE_PENDING, epoch - 1)
    waiting = asyncio.create_task(plane.await_epoch(epoch))
    await plane.report("p1", "v1", "v2")
    assert (await waiting).registry_epoch == epoch


async def test_a_batcher_that_stops_reporting_no_longer_holds_a_change_up(postgres_url: str, registry: RegistryFeed):
    async with control_plane(postgres_url, registry.target, lease_s=0.5) as plane:
        await plane.serve(registry)
        await plane.report("dying", "v1")
        epoch = registry.put("digits", production="v2")

        async def reached():
            await plane.report("p1", "v1", "v2")
            return (await plane.get()).status.registry_epoch == epoch

        await eventually(reached, every=0.1)


async def test_a_removed_model_is_told(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry)
    watch = plane.watch()
    await snapshot(watch)
    registry.remove("digits")
    assert (await watch.read()).removed_model == "digits"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plane.get()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_generation_of_another_store_is_not_acknowledged(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry)
    foreign = control_pb2.WatchTablesResponse(incarnation="another", newest_generation=1)
    assert await reason_of(plane.acknowledge("plane-0", foreign)) == "INCARNATION_MISMATCH"

"""A control plane whose database, registry or process goes away, and two that share one database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace_router.control.routes import controller
from headrace_router.control.storage.postgres import PostgresStore
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.registry_feed import FedModel, RegistryFeed, digest_of
from tests.kit.wire.forwarder import Forwarder

VARIANTS = (
    route_pb2.Variant(name="a", version="v1", weight=1),
    route_pb2.Variant(name="b", version="v2", weight=1),
)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Forwarder]:
    async with Forwarder.before(postgres_url) as forwarder:
        yield forwarder


async def status(plane: Plane) -> route_pb2.RouteStatus:
    return (await plane.get()).status


async def write(plane: Plane, etag: str = "", timeout: float = 10) -> route_pb2.UpdateRouteResponse:
    route = route_pb2.Route(name="routes/digits", variants=VARIANTS, etag=etag)
    return await plane.write(route, timeout=timeout)


async def test_without_its_database_it_reads_and_serves_and_refuses_writes(
    postgres_url: str, database: Forwarder, registry: RegistryFeed
):
    async with control_plane(database.url(postgres_url), registry.target) as plane:
        await plane.serve(registry, "v2")
        database.cut()
        for _ in range(3):
            error = await refused(write(plane))
            assert (error.code.name, error.reason) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
            assert error.retry_after_s is not None
        await plane.report("p1", "v1", "v2")
        assert (await status(plane)).generation > 0
        assert (await plane.told()).table.model == "digits"
        epoch = registry.put("digits", production="v2")
        await eventually(lambda: plane.runtime.health.components()["database"][0] is False)
        assert plane.runtime.health.ready

        database.mend()
        await plane.report("p1", "v1", "v2")
        assert (await plane.await_epoch(epoch)).registry_epoch == epoch
        assert (await write(plane)).moved_share == 0.5


@pytest.mark.long
async def test_with_a_database_that_hangs_reads_and_reports_are_quick_and_writes_are_refused_in_time(
    postgres_url: str, database: Forwarder, registry: RegistryFeed
):
    async with control_plane(database.url(postgres_url), registry.target) as plane:
        await plane.serve(registry, "v2")
        database.freeze()
        async with asyncio.timeout(2):
            await plane.report("p1", "v1", "v2")
            assert (await status(plane)).generation > 0
            assert (await plane.told()).table.model == "digits"
        assert await reason_of(write(plane)) == "DATABASE_UNAVAILABLE"
        database.mend()
        await plane.report("p1", "v1", "v2")
        written = await eventually(lambda: _written_at_last(plane))
        assert written is not None
        assert written.moved_share == 0.5


async def _written_at_last(plane: Plane) -> route_pb2.UpdateRouteResponse | None:
    try:
        return await write(plane)
    except grpc.aio.AioRpcError as error:
        if from_rpc_error(error).reason == "DATABASE_UNAVAILABLE":
            return None
        raise


async def test_it_starts_before_its_database(postgres_url: str, database: Forwarder, registry: RegistryFeed):
    database.cut()
    starting = control_plane(database.url(postgres_url), registry.target)
    entering = asyncio.create_task(starting.__aenter__())
    await asyncio.sleep(0)
    database.mend()
    plane = await entering
    try:
        assert plane.runtime.health.ready
    finally:
        await starting.__aexit__(None, None, None)


async def test_restarted_without_the_registry_it_serves_what_it_knew(postgres_url: str, registry: RegistryFeed):
    async with control_plane(postgres_url, registry.target, acknowledge_wait_s=0) as plane:
        await plane.serve(registry, "v2")
        written = await write(plane)
        before = await plane.told()
    await registry.stop()
    async with control_plane(postgres_url, registry.target, acknowledge_wait_s=0) as plane:
        assert await plane.told() == before
        demand = plane.control.WatchDemand(control_pb2.WatchDemandRequest(pool="default"), timeout=10)
        assert {one.version.digest for one in (await demand.read()).versions} == {
            digest_of("digits", "v1"),
            digest_of("digits", "v2"),
        }
        assert (await status(plane)).generation == written.status.generation
        heavier = await write(plane, written.route.etag)  # versions that are known need no registry
        assert heavier.status.generation > written.status.generation


async def test_it_follows_a_registry_that_restarts(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry, "v2")
    await registry.stop()
    await eventually(lambda: plane.runtime.health.components()["registry"][0] is False)
    registry.put("digits", "v3", production="v3")
    await registry.start()
    await plane.report("p1", "v1", "v2", "v3")
    await eventually(lambda: _serves(plane, "v3"))
    assert registry.watches[-1] == "registry-1:1"


async def test_it_takes_a_restored_registry_for_what_it_says(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry, "v2")
    registry.put("today", "v1")
    await eventually(lambda: plane.get("today"))
    for _ in range(5):
        registry.put("digits", production="v1")
    await registry.stop()
    versions = {version: digest_of("digits", version) for version in ("v1", "v2")}
    registry.restore({"digits": FedModel(epoch=3, production="v2", versions=versions)})
    await registry.start()
    await eventually(lambda: _serves(plane, "v2"))
    assert (await status(plane)).registry_epoch == 3
    answer = await plane.get("today")
    assert "no longer lists" in answer.status.reason


async def _serves(plane: Plane, version: str) -> bool:
    await plane.report("p1", "v1", "v2", "v3")
    table = (await plane.told()).table
    return [one.version for one in table.versions] == [version]


async def test_two_control_planes_tell_the_same_in_the_same_order(postgres_url: str, registry: RegistryFeed):
    async with (
        control_plane(postgres_url, registry.target, acknowledge_wait_s=0) as one,
        control_plane(postgres_url, registry.target, acknowledge_wait_s=0) as other,
    ):
        await one.serve(registry, "v2")
        watches = [one.watch("plane-0"), other.watch("plane-1")]
        for watch in watches:
            while not (await watch.read()).snapshot_complete:
                pass
        # Both know what was in force when the writes began, whichever of them told it in its snapshot.
        known = (await status(one)).generation
        etag = ""
        for number in range(8):
            # At once: a control plane knows what was written through the other one before.
            written = await (one if number % 2 else other).write(_weighted(1 + number, etag))
            etag = written.route.etag
        seen = [await _generations_after(known, watch) for watch in watches]
        assert seen[0] == seen[1]
        assert seen[0] == sorted(seen[0])


@pytest.fixture
async def deaf_planes(
    postgres_url: str, registry: RegistryFeed, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Plane, Plane]]:
    """Two control planes of which neither hears that the other has written."""

    async def hear_nothing(_store: PostgresStore) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield None

    monkeypatch.setattr(PostgresStore, "wakes", hear_nothing)
    monkeypatch.setattr(controller, "POLL_S", 3600.0)
    async with (
        control_plane(postgres_url, registry.target, acknowledge_wait_s=0) as one,
        control_plane(postgres_url, registry.target, acknowledge_wait_s=0) as other,
    ):
        await one.serve(registry, "v2")
        await other.get()
        yield one, other


async def test_a_route_is_read_as_it_was_written_through_another_control_plane(deaf_planes: tuple[Plane, Plane]):
    one, other = deaf_planes
    etag = ""
    for weight in (1, 2, 3):
        written = await one.write(_weighted(weight, etag))
        seen = await other.get()
        etag = seen.route.etag
        assert (etag, seen.route.variants[0].weight) == (written.route.etag, weight)


async def test_a_route_is_written_on_from_what_was_written_through_another_control_plane(
    deaf_planes: tuple[Plane, Plane],
):
    one, other = deaf_planes
    etag = ""
    for weight, plane in ((1, one), (2, other), (3, one), (4, other)):
        written = await plane.write(_weighted(weight, etag))
        etag = written.route.etag


def _weighted(weight: int, etag: str) -> route_pb2.Route:
    route = route_pb2.Route(name="routes/digits", variants=VARIANTS, etag=etag)
    route.variants[0].weight = weight
    return route


async def _generations_after(known: int, watch: Any) -> list[int]:
    seen: list[int] = []
    while len(seen) < 8:
        generation = (await watch.read()).table.generation
        if generation > known:
            seen.append(generation)
    return seen


async def test_writers_at_two_control_planes_lose_nothing(postgres_url: str, registry: RegistryFeed):
    async with (
        control_plane(postgres_url, registry.target) as one,
        control_plane(postgres_url, registry.target) as other,
    ):
        await one.serve(registry, "v2")
        await eventually(lambda: _knows(other))
        outcomes = await asyncio.gather(*(write(plane) for plane in (one, other) * 5), return_exceptions=True)
        assert sum(isinstance(outcome, route_pb2.UpdateRouteResponse) for outcome in outcomes) == 1


async def _knows(plane: Plane) -> bool:
    return (await status(plane)).generation > 0


async def test_a_report_at_one_control_plane_counts_at_the_other(postgres_url: str, registry: RegistryFeed):
    async with (
        control_plane(postgres_url, registry.target) as one,
        control_plane(postgres_url, registry.target) as other,
    ):
        await one.serve(registry, "v2")
        epoch = registry.put("digits", production="v2")
        assert (await other.await_epoch(epoch)).registry_epoch == epoch


async def test_watches_end_when_it_stops(postgres_url: str, registry: RegistryFeed):
    async with control_plane(postgres_url, registry.target) as plane:
        await plane.serve(registry, "v2")
        watch = plane.watch()
        while not (await watch.read()).snapshot_complete:
            pass
        plane.runtime.stop()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

"""Lookup settings, fallbacks and hedging over gRPC: written, shown, told to data planes, and held in the registry."""

from datetime import timedelta

import grpc.aio
import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import refused
from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.registry_feed import RegistryFeed, digest_of

FallbackStep = route_pb2.FallbackStep
OLD = FallbackStep(name="old", backup=FallbackStep.Backup(version="v1", pool="cpu"))
ELSEWHERE = FallbackStep(name="elsewhere", backup=FallbackStep.Backup(pool="cpu"))
LOOKUP = route_pb2.Lookup(ttl=timedelta(seconds=60), stale_on_error=timedelta(minutes=10))


def constant(*numbers: float) -> route_pb2.FallbackStep:
    return FallbackStep(name="last", constant=FallbackStep.Row(outputs={"y": FallbackStep.Values(numbers=numbers)}))


@pytest.fixture
async def serving(plane: Plane, registry: RegistryFeed) -> Plane:
    """Have digits with v2 in production, and v1 and v2 ready in pools default and cpu."""
    epoch = registry.put("digits", "v1", "v2", production="v2")
    await plane.report("p1", "v1", "v2")
    await plane.report("p2", "v1", "v2", pool="cpu")
    await plane.await_epoch(epoch)
    return plane


def route(*fallback: route_pb2.FallbackStep, **fields) -> route_pb2.Route:
    stable = route_pb2.Variant(name="stable", follow_production=True, weight=1)
    return route_pb2.Route(name="routes/digits", variants=[stable], fallback=fallback, **fields)


async def table(plane: Plane) -> control_pb2.RouteTable:
    stream = plane.watch()
    while not (message := await stream.read()).HasField("table"):
        pass
    return message.table


async def test_what_is_declared_is_shown_and_told(serving: Plane):
    declared = route(OLD, ELSEWHERE, constant(0.5), lookup=LOOKUP, hedging=route_pb2.Hedging())
    written = (await serving.write(declared)).route
    assert [one.backup.serving_version for one in written.fallback] == ["v1", "", ""]
    shown = await serving.get()
    assert shown.route == written
    assert (written.lookup, written.HasField("hedging")) == (LOOKUP, True)
    assert {(one.version, one.pool) for one in shown.status.versions} == {
        ("v2", "default"),
        ("v1", "cpu"),
        ("v2", "cpu"),
    }
    listed = await serving.routes.ListRoutes(route_pb2.ListRoutesRequest(), timeout=10)
    assert list(listed.routes) == [written]
    events = await serving.routes.ListRouteEvents(route_pb2.ListRouteEventsRequest(parent="routes/digits"), timeout=10)
    assert events.events[0].route == written

    told = await table(serving)
    assert [one.name for one in told.fallback] == ["old", "elsewhere", "last"]
    assert told.fallback[0].backup.digest == digest_of("digits", "v1")
    assert told.fallback[2].constant == declared.fallback[2].constant
    assert {one.version for one in told.versions} == {"v1", "v2"}
    assert (told.lookup, told.HasField("hedging")) == (LOOKUP, True)


async def test_a_change_of_one_part_is_a_generation_that_moves_nobody_and_the_etag_covers_it(serving: Plane):
    first = await serving.write(route(OLD))
    second = await serving.write(route(OLD, etag=first.route.etag, lookup=LOOKUP))
    assert second.moved_share == 0
    assert second.status.generation > first.status.generation
    stale = await refused(serving.write(route(etag=first.route.etag)))
    assert stale.reason == "ETAG_MISMATCH"


async def test_a_backup_is_in_demand_until_nothing_names_it(serving: Plane):
    async def wanted() -> set[str]:
        stream = serving.control.WatchDemand(control_pb2.WatchDemandRequest(pool="cpu"), timeout=10)
        return {one.version.version for one in (await stream.read()).versions}

    assert await wanted() == set()
    written = await serving.write(route(OLD, ELSEWHERE))
    assert await wanted() == {"v1", "v2"}
    await serving.write(route(etag=written.route.etag))
    assert await wanted() == set()


@pytest.mark.parametrize(
    ("step", "code", "field"),
    [
        (
            FallbackStep(name="x", backup=FallbackStep.Backup(version="v9")),
            "NOT_FOUND",
            "route.fallback[0].backup.version",
        ),
        (
            FallbackStep(name="x", backup=FallbackStep.Backup(pool="default")),
            "INVALID_ARGUMENT",
            "route.fallback[0].backup.pool",
        ),
        (constant(1, 2), "INVALID_ARGUMENT", "route.fallback[0].constant.outputs[y]"),
        (FallbackStep(name="x"), "INVALID_ARGUMENT", "route.fallback[0]"),
    ],
)
async def test_what_is_wrong_is_refused_by_its_field_by_the_write_and_by_the_dry_run(
    serving: Plane, step: route_pb2.FallbackStep, code: str, field: str
):
    dry_run = serving.routes.DryRunRoute(route_pb2.DryRunRouteRequest(route=route(step)), timeout=10)
    for error in (await refused(serving.write(route(step))), await refused(dry_run)):
        assert (error.code.name, [one.field for one in error.violations]) == (code, [field])


async def test_a_backup_of_another_signature_is_refused(serving: Plane, registry: RegistryFeed):
    registry.put("digits", "v3", signature="t" * 64)
    await serving.report("p2", "v1", "v2", "v3", pool="cpu")
    other = FallbackStep(name="x", backup=FallbackStep.Backup(version="v3", pool="cpu"))
    error = await refused(serving.write(route(other)))
    assert (error.reason, error.violations[0].field) == ("ROUTE_INVALID", "route.fallback[0].backup")


async def test_values_that_the_next_version_cannot_have_given_are_left_out_and_the_status_says_so(
    serving: Plane, registry: RegistryFeed
):
    await serving.write(route(OLD, constant(0.5)))
    epoch = registry.put("digits", "v3", production="v3", signature="t" * 64, output_shape=(2,))
    await serving.report("p1", "v1", "v2", "v3")
    assert "fallback 'last' is left out" in (await serving.await_epoch(epoch)).reason
    told = await table(serving)
    assert [one.name for one in told.fallback] == ["old"]
    assert [one.version for one in told.versions] == ["v3", "v1"]


async def test_a_large_table_travels_whole(serving: Plane):
    rows = {
        f"entity-{number}": FallbackStep.Row(outputs={"y": FallbackStep.Values(numbers=[number])})
        for number in range(10_000)
    }
    by_entity = FallbackStep(name="by-entity", entity_table=FallbackStep.EntityTable(rows=rows))
    await serving.write(route(by_entity))
    assert (await table(serving)).fallback[0].entity_table == by_entity.entity_table


async def test_a_control_plane_that_never_met_the_registry_checks_by_what_the_store_has(
    serving: Plane, postgres_url: str, registry: RegistryFeed
):
    await registry.stop()
    async with control_plane(postgres_url, registry.target) as second:
        await eventually(lambda: serves(second), within=10)
        written = await second.write(route(OLD, constant(0.5)))  # v1 is in no table yet
        assert written.route.fallback[0].backup.serving_version == "v1"
        error = await refused(second.write(route(constant(1, 2), etag=written.route.etag)))
        assert error.violations[0].field == "route.fallback[0].constant.outputs[y]"


async def serves(plane: Plane) -> bool:
    try:
        answer = await plane.get()
    except grpc.aio.AioRpcError:
        return False
    return answer.status.generation > 0

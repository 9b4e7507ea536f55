"""Calls about routes on a real database: writes that are repeated, at odds or wrong, lists, and assigned units."""

import asyncio

import grpc
import grpc.aio
import pytest
from headrace.router.v1 import route_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.router.control_plane import Plane, control_plane, split
from tests.kit.router.registry_feed import RegistryFeed


async def test_a_repeated_write_returns_the_first_answer(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry, "v2")
    first, repeated = await asyncio.gather(*(plane.write(split(90, 10), request_id="r1") for _ in range(2)))
    assert first.route == repeated.route
    assert (await plane.write(split(90, 10), request_id="r1")).route.etag == first.route.etag
    assert await reason_of(plane.write(split(80, 20), request_id="r1")) == "REQUEST_ID_REUSED"


async def test_of_writers_with_one_etag_one_succeeds(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry, "v2")
    outcomes = await asyncio.gather(
        *(plane.write(split(90 - number, 10 + number)) for number in range(20)), return_exceptions=True
    )
    won = [one for one in outcomes if not isinstance(one, BaseException)]
    lost = [from_rpc_error(one) for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
    assert len(won) == 1
    assert {(error.code.name, error.reason) for error in lost} == {("ABORTED", "ETAG_MISMATCH")}
    assert len(lost) == 19


async def test_a_write_that_only_validates_is_refused_like_a_write_and_leaves_nothing(
    plane: Plane, registry: RegistryFeed
):
    await plane.serve(registry, "v2")
    before = await plane.get()
    checked = await plane.write(split(90, 10), request_id="r1", validate_only=True)
    assert checked.moved_share == pytest.approx(0.1)
    assert [one.name for one in checked.route.variants] == ["control", "treatment"]
    assert checked.status.generation == before.status.generation
    assert (await plane.get()).route == before.route
    events = await plane.routes.ListRouteEvents(route_pb2.ListRouteEventsRequest(parent="routes/digits"))
    assert route_pb2.RouteEvent.KIND_DECLARED not in {one.kind for one in events.events}
    written = (await plane.write(split(80, 20), request_id="r1")).route
    assert await reason_of(plane.write(split(70, 30, "old"), validate_only=True)) == "ETAG_MISMATCH"
    missing = split(90, 10, written.etag)
    missing.variants[1].version = "v9"
    assert await reason_of(plane.write(missing, validate_only=True)) == "VERSION_NOT_FOUND"
    missing.name = "routes/fraud"
    assert await reason_of(plane.write(missing, validate_only=True)) == "MODEL_NOT_FOUND"


async def test_bad_routes_name_the_field(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry, "v2")
    error = await refused(plane.write(split(90, -1)))
    assert [one.field for one in error.violations] == ["route.variants[1].weight"]
    bad = split(90, 10)
    bad.variants[0].name, bad.variants[1].pool = "Control", "Default"
    error = await refused(plane.write(bad))
    assert error.code.name == "INVALID_ARGUMENT"
    assert {one.field for one in error.violations} == {"route.variants[0].name", "route.variants[1].pool"}

    missing = split(90, 10)
    missing.variants[1].version = "v9"
    error = await refused(plane.write(missing))
    assert (error.code.name, error.reason) == ("NOT_FOUND", "VERSION_NOT_FOUND")
    assert [one.field for one in error.violations] == ["route.variants[1].version"]

    assert await reason_of(plane.get("fraud")) == "MODEL_NOT_FOUND"


async def test_what_was_registered_a_moment_ago_can_be_routed_to(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry, "v2")
    registry.put("digits", "v4")
    await plane.report("p1", "v1", "v2", "v4")
    route = split(90, 10)
    route.variants[1].version = "v4"
    assert (await plane.write(route)).route.variants[1].serving_version == "v4"


async def test_routes_are_listed_by_name_and_by_page_to_those_who_may_see_them(plane: Plane, registry: RegistryFeed):
    for model in ("b", "a", "c"):
        registry.put(model, "v1")

    async def listed(token: str = "", metadata=(), size: int = 2):
        return await plane.routes.ListRoutes(
            route_pb2.ListRoutesRequest(page_size=size, page_token=token), timeout=10, metadata=metadata
        )

    await eventually(lambda: _names(listed(size=3), ["routes/a", "routes/b", "routes/c"]))
    page = await listed()
    assert [route.name for route in page.routes] == ["routes/a", "routes/b"]
    last = await listed(page.next_page_token)
    assert [route.name for route in last.routes] == ["routes/c"]
    assert last.next_page_token == ""
    seen = await listed(metadata=(("x-headrace-client", "ana"), ("x-headrace-models", "c*,a")))
    assert [route.name for route in seen.routes] == ["routes/a", "routes/c"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plane.routes.GetRoute(
            route_pb2.GetRouteRequest(name="routes/b"),
            timeout=10,
            metadata=(("x-headrace-client", "ana"), ("x-headrace-models", "a")),
        )
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def _names(page, expected):
    return [route.name for route in (await page).routes] == expected


async def test_a_unit_that_is_not_given_cannot_be_assigned(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry, "v2")
    route = split(50, 50)
    route.unit = route_pb2.Route.UNIT_ENTITY
    await plane.write(route)

    async def assigned(user_id: str = "", entity_id: str = "") -> route_pb2.AssignUnitResponse:
        request = route_pb2.AssignUnitRequest(name="routes/digits", user_id=user_id, entity_id=entity_id)
        return await plane.routes.AssignUnit(request, timeout=10)

    assert (await assigned(entity_id="item-1")).variant in ("control", "treatment")
    error = await refused(assigned(user_id="ana"))
    assert error.code.name == "INVALID_ARGUMENT"
    assert [one.field for one in error.violations] == ["entity_id"]


async def test_the_same_unit_gets_the_same_variant_after_a_restart(postgres_url: str, registry: RegistryFeed):
    async def variants(plane: Plane) -> list[str]:
        requests = [route_pb2.AssignUnitRequest(name="routes/digits", user_id=f"user-{n}") for n in range(50)]
        return [(await plane.routes.AssignUnit(request, timeout=10)).variant for request in requests]

    async with control_plane(postgres_url, registry.target) as plane:
        await plane.serve(registry, "v2")
        await plane.write(split(50, 50))
        before = await variants(plane)
    async with control_plane(postgres_url, registry.target) as plane:
        assert await variants(plane) == before
    assert set(before) == {"control", "treatment"}


async def test_a_model_that_nothing_serves_has_no_variant_yet(plane: Plane, registry: RegistryFeed):
    registry.put("digits", "v1")
    asked = route_pb2.AssignUnitRequest(name="routes/digits", user_id="ana")
    error = await refused(plane.routes.AssignUnit(asked, timeout=10))
    assert (error.code.name, error.reason) == ("UNAVAILABLE", "MODEL_NOT_READY")
    assert error.retry_after_s is not None

"""The control plane holds in the registry what routes name: it cannot be deleted until they no longer do."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import route_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import reason_of
from tests.kit.models.onnx_models import linear
from tests.kit.registry.service import Registry, memory_registry
from tests.kit.router.control_plane import Plane, control_plane

Variant = route_pb2.Variant


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with memory_registry() as running_registry:
        for number in (1, 2, 3):
            await running_registry.register("digits", f"v{number}", linear(seed=number))
        await running_registry.promote("digits", "v1")
        yield running_registry


async def held(registry: Registry) -> dict[str, str]:
    """Return who holds which version."""
    answer = await registry.stub.ListHolds(registry_pb2.ListHoldsRequest(parent="models/digits"), timeout=10)
    return {hold.name.rpartition("/")[2]: hold.holder for hold in answer.holds}


async def split(plane: Plane, *variants: route_pb2.Variant) -> None:
    """Declare a route; batchers load what it names."""

    async def declared() -> bool:
        await plane.load_wanted()
        current = await plane.get()
        route = route_pb2.Route(name="routes/digits", variants=variants, etag=current.route.etag)
        call = plane.routes.UpdateRoute(route_pb2.UpdateRouteRequest(route=route), timeout=1.0)
        return await call.code() is grpc.StatusCode.OK

    await eventually(declared, within=30)


async def refusal(registry: Registry) -> str:
    request = registry_pb2.DeleteModelRequest(name="models/digits")
    return await reason_of(registry.stub.DeleteModel(request, timeout=10))


async def test_what_a_route_names_is_held_and_released_when_it_no_longer_does(registry: Registry, plane: Plane):
    production = Variant(name="stable", follow_production=True, weight=90)
    await split(plane, production, Variant(name="old", version="v2", weight=10))
    (holder,) = (await held(registry)).values()  # before anybody heard that the route is in force
    assert holder.startswith("router/")
    assert await refusal(registry) == "MODEL_IN_USE"
    await split(plane, production, Variant(name="new", version="v3", weight=10))
    await eventually(lambda: _is(registry, {"v3"}), within=15)
    await split(plane, production)
    await eventually(lambda: _is(registry, set()), within=15)
    await registry.stub.DeleteModel(registry_pb2.DeleteModelRequest(name="models/digits"), timeout=10)


async def _is(registry: Registry, versions: set[str]) -> bool:
    return set(await held(registry)) == versions


@pytest.mark.long
async def test_a_control_plane_that_starts_releases_what_an_earlier_one_held_and_nothing_of_others(
    postgres_url: str, registry: Registry
):
    async with control_plane(postgres_url, registry.target) as first:
        await split(first, Variant(name="old", version="v2", weight=1))
        await eventually(lambda: _is(registry, {"v2"}), within=15)
        (holder,) = (await held(registry)).values()
    for version, who in (("v1", holder), ("v3", "audit")):
        request = registry_pb2.HoldVersionRequest(
            name=f"models/digits/versions/{version}", holder=who, ttl=duration_pb2.Duration(seconds=3600)
        )
        await registry.stub.HoldVersion(request, timeout=10)
    async with control_plane(postgres_url, registry.target):
        await eventually(lambda: _is(registry, {"v2", "v3"}), within=30)
        assert await held(registry) == {"v2": holder, "v3": "audit"}


@pytest.mark.parametrize("ahead_s", [0.0, 0.002, 0.005, 0.01, 0.02])
async def test_of_a_route_that_names_a_version_and_the_deletion_of_its_model_one_is_refused(
    registry: Registry, plane: Plane, ahead_s: float
):
    await _known(plane)
    route = route_pb2.Route(name="routes/digits", variants=[Variant(name="only", version="v2", weight=1)])

    async def deleted() -> str:
        await asyncio.sleep(ahead_s)  # not a wait: from which point on they race
        request = registry_pb2.DeleteModelRequest(name="models/digits")
        return await _outcome(registry.stub.DeleteModel(request, timeout=10))

    writing = plane.routes.UpdateRoute(route_pb2.UpdateRouteRequest(route=route), timeout=3)
    written, removed = await asyncio.gather(_outcome(writing), deleted())
    # Nobody loads the version here, so a write that was accepted waits until its caller gives up.
    assert (written, removed) in {("CHANGE_PENDING", "MODEL_IN_USE"), ("MODEL_NOT_FOUND", "")}


async def test_a_write_that_is_refused_leaves_no_hold(registry: Registry, plane: Plane):
    await _known(plane)
    variants = [Variant(name="old", version="v2", weight=1), Variant(name="odd", version="v9", weight=1)]
    route = route_pb2.Route(name="routes/digits", variants=variants)
    assert await _outcome(plane.routes.UpdateRoute(route_pb2.UpdateRouteRequest(route=route), timeout=3)) == (
        "VERSION_NOT_FOUND"
    )
    route = route_pb2.Route(name="routes/digits", variants=variants[:1], etag="stale")
    assert await _outcome(plane.routes.UpdateRoute(route_pb2.UpdateRouteRequest(route=route), timeout=3)) == (
        "ETAG_MISMATCH"
    )
    await eventually(lambda: _is(registry, set()), within=15)


async def _known(plane: Plane) -> None:
    """Return when the control plane has heard of the model."""

    async def is_known() -> bool:
        call = plane.routes.GetRoute(route_pb2.GetRouteRequest(name="routes/digits"), timeout=10)
        return await call.code() is grpc.StatusCode.OK

    await eventually(is_known, within=10)


async def _outcome(call: Any) -> str:
    """Return the reason of a call that failed, and nothing for one that did not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason
    return ""

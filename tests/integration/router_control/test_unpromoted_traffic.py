"""How much of the traffic versions get that are not promoted, by a feed of the registry and a real database."""

from headrace.router.v1 import route_pb2
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import refused
from tests.kit.router.control_plane import Plane, control_plane, split
from tests.kit.router.registry_feed import RegistryFeed

REASON = "UNPROMOTED_SHARE_EXCEEDED"


async def bound(plane: Plane, registry: RegistryFeed, share: float) -> None:
    """Have v1 of digits in production, all versions ready, and a bound."""
    await plane.serve(registry, "v2", "v3")
    await plane.await_epoch(registry.put("digits", bound=share))


async def served(plane: Plane) -> dict[str, float]:
    """Return the weight of each version that serves."""
    return {one.serving_version: one.weight for one in (await plane.get()).route.variants}


async def test_a_split_beyond_the_bound_is_refused_and_one_within_it_is_not(plane: Plane, registry: RegistryFeed):
    await bound(plane, registry, 0.5)
    error = await refused(plane.write(split(49, 51)))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, REASON)
    assert error.violations[0].field == "route.variants[1].weight"
    assert error.metadata["variants"] == "treatment"
    tried = await plane.routes.DryRunRoute(route_pb2.DryRunRouteRequest(route=split(49, 51)))
    assert "51 %" in tried.unpromoted_excess
    assert await served(plane) == {"v1": 1.0}
    await plane.write(split(50, 50))
    assert await served(plane) == {"v1": 50.0, "v2": 50.0}


async def test_what_was_in_production_may_have_it_all_and_so_may_what_a_rollout_moves(
    plane: Plane, registry: RegistryFeed
):
    await bound(plane, registry, 0.5)
    moved = await plane.write(split(0, 100), manager="rollouts/7")
    await plane.write(split(0, 100, moved.route.etag), manager="rollouts/7", release=True)
    assert (await served(plane))["v2"] == 100.0
    await plane.await_epoch(registry.put("digits", production="v2"))
    etag = (await plane.get()).route.etag
    await plane.write(split(100, 0, etag))
    assert (await served(plane))["v1"] == 100.0


async def test_an_experiment_is_held_as_a_person_is(plane: Plane, registry: RegistryFeed):
    await bound(plane, registry, 0.25)
    assert (await refused(plane.write(split(50, 50), manager="experiments/7"))).reason == REASON


async def test_a_policy_that_comes_later_leaves_a_route_in_force_and_a_new_control_plane_holds_it_too(
    plane: Plane, registry: RegistryFeed, postgres_url: str
):
    await plane.serve(registry, "v2")
    first = await plane.write(split(10, 90))
    registry.put("digits", bound=0.5)
    await plane.await_epoch(registry.models["digits"].epoch)
    assert await served(plane) == {"v1": 10.0, "v2": 90.0}
    assert (await plane.get()).status.state == route_pb2.RouteStatus.STATE_ACTIVE
    async with control_plane(postgres_url, registry.target) as other:
        await eventually(lambda: other.get())
        assert (await refused(other.write(split(5, 95, first.route.etag)))).reason == REASON
        assert (await other.write(split(20, 80, first.route.etag))).route.etag


async def test_a_moved_alias_is_followed_once_its_version_is_promoted(plane: Plane, registry: RegistryFeed):
    await bound(plane, registry, 0.5)
    registry.put("digits", aliases={"champion": "v1"})
    route = route_pb2.Route(
        name="routes/digits", variants=[route_pb2.Variant(name="champion", follow_alias="champion", weight=1)]
    )
    await plane.write(route)
    epoch = registry.put("digits", aliases={"champion": "v2"})

    async def told() -> str:
        return (await plane.get()).status.reason

    await eventually(lambda: told(), within=5)
    assert "'champion' (v2)" in await told()
    assert "'champion' (v2)" in (await refused(plane.await_epoch(epoch, timeout=1))).public_message
    assert await served(plane) == {"v1": 1.0}
    await plane.await_epoch(registry.put("digits", production="v2"))
    assert await served(plane) == {"v2": 1.0}

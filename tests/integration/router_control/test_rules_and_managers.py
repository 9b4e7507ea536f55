"""Rules, managers, dry runs and history over gRPC, on a real database."""

import asyncio

import pytest
from headrace.router.v1 import route_pb2
from headrace_servicekit.identity import CLIENT_HEADER, FRONT_DOOR_HEADER, MODELS_HEADER
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.router.control_plane import Plane, split
from tests.kit.router.registry_feed import RegistryFeed

Event = route_pb2.RouteEvent
GERMANS = route_pb2.Rule(
    name="germans", variant="treatment", conditions=[route_pb2.Condition(attribute="country", equals="DE")]
)


@pytest.fixture
async def serving(plane: Plane, registry: RegistryFeed) -> Plane:
    """Have digits with v1 in production, and v1 and v2 ready on one batcher; v3 is registered."""
    await plane.serve(registry, "v2")
    return plane


async def dry_run(plane: Plane, route: route_pb2.Route, **fields) -> route_pb2.DryRunRouteResponse:
    return await plane.routes.DryRunRoute(route_pb2.DryRunRouteRequest(route=route, **fields), timeout=10)


async def history(plane: Plane, size: int = 0, token: str = "") -> route_pb2.ListRouteEventsResponse:
    request = route_pb2.ListRouteEventsRequest(parent="routes/digits", page_size=size, page_token=token)
    return await plane.routes.ListRouteEvents(request, timeout=10)


async def test_a_rule_reaches_data_planes_and_people(serving: Plane):
    written = await serving.write(split(1, 0, rules=[GERMANS]))
    assert list(written.route.rules) == [GERMANS]
    assert written.moved_share == 0
    table = (await serving.watch().read()).table
    assert [(rule.name, list(rule.conditions), rule.variant) for rule in table.rules] == [
        ("germans", list(GERMANS.conditions), 1)
    ]

    async def assigned(**subject) -> route_pb2.AssignUnitResponse:
        request = route_pb2.AssignUnitRequest(name="routes/digits", **subject)
        return await serving.routes.AssignUnit(request, timeout=10)

    german = await assigned(user_id="ana", attributes={"country": "DE"})
    assert (german.variant, german.version, german.rule) == ("treatment", "v2", "germans")
    assert (await assigned(user_id="ana", attributes={"country": "FR"})).variant == "control"
    assert (await assigned(attributes={"country": "DE"})).rule == "germans"
    assert (await refused(assigned(attributes={"country": "FR"}))).code.name == "INVALID_ARGUMENT"


async def test_bad_rules_name_their_fields(serving: Plane):
    bad = split(1, 1, rules=[GERMANS, GERMANS])
    bad.rules[0].variant = "nobody"
    bad.rules[0].conditions.add(attribute="plan")
    error = await refused(serving.write(bad))
    assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "ROUTE_INVALID")
    assert {one.field for one in error.violations} == {
        "route.rules[0].variant",
        "route.rules[0].conditions[1]",
        "route.rules[1].name",
    }


async def test_a_managed_route_is_written_by_its_manager_or_by_force_and_the_history_says_so(serving: Plane):
    first = await serving.write(split(9, 1), manager="rollouts/7", reason="step 1")
    assert first.route.managed_by == "rollouts/7"
    error = await refused(serving.write(split(1, 1, first.route.etag)))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "ROUTE_MANAGED")
    assert error.metadata == {"managed_by": "rollouts/7"}
    second = await serving.write(split(8, 2, first.route.etag), manager="rollouts/7", reason="step 2")
    forced = await serving.write(split(1, 0, second.route.etag), force=True, reason="stop it")
    assert forced.route.managed_by == ""
    fenced = await refused(serving.write(split(7, 3, second.route.etag), manager="rollouts/7"))
    assert (fenced.code.name, fenced.reason) == ("ABORTED", "ETAG_MISMATCH")

    events = (await history(serving)).events
    assert [(one.reason, one.manager, one.displaced_manager) for one in events] == [
        ("stop it", "", "rollouts/7"),
        ("step 2", "rollouts/7", ""),
        ("step 1", "rollouts/7", ""),
        ("", "", ""),
    ]
    assert [one.kind for one in events] == [Event.KIND_DECLARED] * 3 + [Event.KIND_FOLLOWED]
    assert {one.outcome for one in events} == {Event.OUTCOME_ACTIVE}
    assert [one.generation for one in events] == sorted((one.generation for one in events), reverse=True)
    assert events[0].client == "internal"
    assert all(one.end_time.ToDatetime() >= one.create_time.ToDatetime() for one in events)
    assert [variant.serving_version for variant in events[1].route.variants] == ["v1", "v2"]


async def test_a_manager_lets_go_and_only_a_manager_can(serving: Plane):
    first = await serving.write(split(9, 1), manager="experiments/ctr")
    let_go = await serving.write(split(9, 1, first.route.etag), manager="experiments/ctr", release=True)
    assert let_go.route.managed_by == ""
    await serving.write(split(1, 1, let_go.route.etag))
    assert {one.field for one in (await refused(serving.write(split(1, 1), release=True))).violations} == {"release"}
    assert {one.field for one in (await refused(serving.write(split(1, 1), manager="me"))).violations} == {"manager"}


async def test_a_forced_write_that_is_sent_twice_returns_the_first_answer(serving: Plane):
    held = await serving.write(split(9, 1), manager="rollouts/7")
    writes = [serving.write(split(1, 0, held.route.etag), force=True, request_id="r1") for _ in range(2)]
    first, second = await asyncio.gather(*writes)
    assert first.route == second.route
    error = await refused(serving.write(split(1, 0, held.route.etag), request_id="r1"))
    assert error.reason == "REQUEST_ID_REUSED"


async def test_a_dry_run_says_what_the_write_then_does(serving: Plane):
    before = await serving.write(split(80, 20))
    wanted = split(60, 30, rules=[GERMANS])
    wanted.variants.add(name="new", version="v3", weight=10)
    german = route_pb2.DryRunRouteRequest.Example(user_id="ana", attributes={"country": "DE"})
    seen = await dry_run(serving, wanted, examples=[german])
    assert [(one.variant, one.share_before, one.share_after) for one in seen.variants] == [
        ("control", 0.8, 0.6),
        ("treatment", 0.2, 0.3),
        ("new", 0.0, 0.1),
    ]
    assert (seen.moved_share, seen.moved_version_share) == (0.2, 0.2)
    assert "'v3' is ready on 0 of 1" in seen.waits_for
    assert [(one.version, one.ready_batchers, one.in_force) for one in seen.versions] == [
        ("v1", 1, True),
        ("v2", 1, True),
        ("v3", 0, False),
    ]
    assert (seen.examples[0].after.variant, seen.examples[0].after.rule) == ("treatment", "germans")
    assert [variant.serving_version for variant in seen.route.variants] == ["v1", "v2", "v3"]

    route = (await serving.get()).route
    assert route == before.route, "a dry run changes nothing"
    await serving.report("p1", "v1", "v2", "v3")
    wanted.etag = before.route.etag
    assert (await serving.write(wanted)).moved_share == seen.moved_share


async def test_a_dry_run_names_who_stands_in_the_way_and_refuses_as_the_write_does(serving: Plane):
    held = await serving.write(split(9, 1), manager="rollouts/7")
    assert (await dry_run(serving, split(1, 1))).managed_by == "rollouts/7"
    assert (await dry_run(serving, split(1, 1), manager="rollouts/7")).managed_by == ""
    assert await reason_of(dry_run(serving, split(1, 1, "stale"))) == "ETAG_MISMATCH"
    assert (await dry_run(serving, split(1, 1, held.route.etag))).route.managed_by == "rollouts/7"
    assert await reason_of(dry_run(serving, split(1, -1))) == "VALUE_OUT_OF_RANGE"
    missing = split(1, 1)
    missing.variants[0].version = "v9"
    assert await reason_of(dry_run(serving, missing)) == "VERSION_NOT_FOUND"
    examples = [route_pb2.DryRunRouteRequest.Example()] * 1001
    assert {one.field for one in (await refused(dry_run(serving, split(1, 1), examples=examples))).violations} == {
        "examples"
    }


async def test_history_is_read_in_pages_and_shows_what_waits(serving: Plane):
    etag = ""
    for number in range(4):
        etag = (await serving.write(split(1 + number, 1, etag), reason=f"write {number}")).route.etag
    waiting = split(1, 1, etag)
    waiting.variants[1].version = "v3"
    pending = asyncio.create_task(serving.write(waiting, reason="waits"))
    await eventually(lambda: _newest_is(serving, "waits"))
    first = await history(serving, 3)
    assert (first.events[0].outcome, first.events[0].HasField("end_time")) == (Event.OUTCOME_PENDING, False)
    rest = await history(serving, 3, first.next_page_token)
    assert [one.reason for one in (*first.events, *rest.events)] == ["waits", *(f"write {n}" for n in (3, 2, 1, 0)), ""]
    assert rest.next_page_token == ""
    later = await serving.write(split(1, 1, (await _route(serving)).etag), reason="newer")
    assert await reason_of(pending) == "SUPERSEDED"
    superseded = (await history(serving, 2)).events[1]
    assert (superseded.outcome, superseded.outcome_reason) == (
        Event.OUTCOME_SUPERSEDED,
        "a newer write took its place",
    )
    assert later.status.generation > 0
    for token in ("nonsense!", "bm9uc2Vuc2U="):
        assert {one.field for one in (await refused(history(serving, 3, token))).violations} == {"page_token"}


async def _newest_is(plane: Plane, reason: str) -> bool:
    return (await history(plane, 1)).events[0].reason == reason


async def _route(plane: Plane) -> route_pb2.Route:
    return (await plane.get()).route


async def test_status_says_how_far_batchers_and_data_planes_are(serving: Plane, registry: RegistryFeed):
    watch = serving.watch("plane-0")
    await watch.read()
    await serving.report("p2", "v1", "v2")
    epoch = registry.put("digits", production="v3")

    async def status() -> route_pb2.RouteStatus:
        answer = await serving.get()
        return answer.status

    async def wanted() -> bool:
        return (await status()).wanted_registry_epoch == epoch

    await eventually(wanted)
    await serving.report("p1", "v1", "v2", "v3")
    await serving.report("p2", "v1", "v2", failed="v3")
    seen = await status()
    assert (seen.state, seen.registry_epoch) == (route_pb2.RouteStatus.STATE_PENDING, epoch - 1)
    (version,) = seen.versions
    assert (version.version, version.batchers, version.ready_batchers, version.failed_batchers) == ("v3", 2, 1, 1)
    assert (version.failure, version.in_force) == ("it does not load", False)
    await serving.report("p2", "v1", "v2", "v3")

    async def told() -> route_pb2.RouteStatus | None:
        found = await status()
        return found if found.registry_epoch == epoch else None

    in_force = await eventually(told)
    assert in_force is not None
    (plane,) = in_force.data_planes
    assert (plane.name, plane.acknowledged, plane.connected) == ("plane-0", False, True)
    assert list(in_force.unacknowledged_data_planes) == ["plane-0"]
    message = await watch.read()
    while message.newest_generation < in_force.generation:
        message = await watch.read()
    await serving.acknowledge("plane-0", message)
    assert [one.acknowledged for one in (await status()).data_planes] == [True]


async def test_nobody_from_outside_writes_on_behalf_of_a_rollout(serving: Plane):
    asked = route_pb2.UpdateRouteRequest(route=split(9, 1), manager="rollouts/7")
    from_outside = ((FRONT_DOOR_HEADER, "1"), (CLIENT_HEADER, "ana"), (MODELS_HEADER, "*"))
    error = await refused(serving.routes.UpdateRoute(asked, timeout=10, metadata=from_outside))
    assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "MANAGER_NOT_YOURS")
    assert (await serving.get()).route.managed_by == ""

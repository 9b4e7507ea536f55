"""Texts that callers choose: what the database cannot keep is refused by its field, and harms nobody else."""

import asyncpg
import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace_servicekit.health import SERVING
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import refused
from tests.kit.router.control_plane import Phase, Plane, split
from tests.kit.router.registry_feed import RegistryFeed, digest_of


def _ruled(value: str) -> route_pb2.Route:
    condition = route_pb2.Condition(attribute="country", equals=value)
    return split(90, 10, rules=[route_pb2.Rule(name="one", conditions=[condition], variant="control")])


@pytest.mark.parametrize(
    ("route", "fields", "named"),
    [
        pytest.param(split(90, 10), {"reason": "a\0b"}, "reason", id="reason"),
        pytest.param(split(90, 10), {"request_id": "a\0b"}, "request_id", id="request id"),
        pytest.param(_ruled("D\0E"), {}, "route.rules[0].conditions[0].equals", id="value of a rule"),
    ],
)
async def test_a_route_with_a_nul_is_refused_by_its_field(plane: Plane, registry: RegistryFeed, route, fields, named):
    await plane.serve(registry, "v2")
    error = await refused(plane.write(route, **fields))
    assert error.code.name == "INVALID_ARGUMENT"
    assert [one.field for one in error.violations] == [named]


async def test_ids_with_a_nul_are_refused_by_their_field(plane: Plane, registry: RegistryFeed):
    await plane.serve(registry)
    incarnation = (await plane.told()).incarnation
    calls = {
        "request_id": plane.routes.PurgeCache(
            route_pb2.PurgeCacheRequest(name="routes/digits", request_id="a\0b"), timeout=10
        ),
        "data_plane": plane.control.AcknowledgeGenerations(
            control_pb2.AcknowledgeGenerationsRequest(data_plane="a\0b", incarnation=incarnation), timeout=10
        ),
        "holder": plane.control.LeaseVersion(
            control_pb2.LeaseVersionRequest(model="digits", version="v2", holder="a\0b"), timeout=10
        ),
        "process": plane.control.ReportVersions(control_pb2.ReportVersionsRequest(process="a\0b"), timeout=10),
        "versions[0].digest": plane.control.ReportVersions(
            control_pb2.ReportVersionsRequest(process="p1", versions=[Phase(digest="a\0b", state=Phase.STATE_READY)]),
            timeout=10,
        ),
    }
    for named, call in calls.items():
        error = await refused(call)
        assert error.code.name == "INVALID_ARGUMENT", named
        assert [one.field for one in error.violations] == [named]


async def test_whatever_a_backend_says_of_a_broken_model_the_control_plane_lives(
    plane: Plane, registry: RegistryFeed, postgres_url: str
):
    registry.put("digits", "v1", production="v1")
    broken = Phase(digest=digest_of("digits", "v1"), state=Phase.STATE_FAILED, reason="not a\0model")
    report = control_pb2.ReportVersionsRequest(process="p1", versions=[broken])

    async def told() -> bool:
        await plane.control.ReportVersions(report, timeout=10)
        return "not amodel" in (await plane.get()).status.reason

    await eventually(told)
    await plane.report("p2", "v1")  # saved after the first one, by what its words might have ended
    await eventually(lambda: _kept(postgres_url, "p2"))
    assert plane.runtime.health.status("") == SERVING


async def _kept(postgres_url: str, process: str) -> bool:
    """Return whether other control planes can read what a batcher reported."""
    connection = await asyncpg.connect(postgres_url)
    try:
        return await connection.fetchval("select exists (select from reports where process = $1)", process)
    finally:
        await connection.close()

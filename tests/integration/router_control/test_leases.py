"""Leases over gRPC, on a real database and over a restart."""

import pytest
from google.protobuf import duration_pb2
from headrace.router.v1 import control_pb2
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import refused
from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.registry_feed import RegistryFeed, digest_of

Wanted = control_pb2.WantedVersion


async def lease(plane: Plane, version: str = "v2", ttl_s: float = 60, **fields) -> control_pb2.LeaseVersionResponse:
    ttl = duration_pb2.Duration(nanos=int(ttl_s % 1 * 1e9), seconds=int(ttl_s))
    asked = {"model": "digits", "version": version, "holder": "rollouts/7", "ttl": ttl, **fields}
    return await plane.control.LeaseVersion(control_pb2.LeaseVersionRequest(**asked), timeout=10)


async def demand(plane: Plane, pool: str = "default") -> list[tuple[str, int]]:
    watch = plane.control.WatchDemand(control_pb2.WatchDemandRequest(pool=pool), timeout=10)
    answer = await watch.read()
    watch.cancel()
    return [(one.version.version, one.need) for one in answer.versions]


async def test_a_lease_brings_a_version_and_its_end_takes_it_away(plane: Plane, registry: RegistryFeed):
    registry.put("digits", "v1", "v2")
    held = await lease(plane)
    assert held.digest == digest_of("digits", "v2")
    assert (held.readiness.batchers, held.readiness.in_force) == (0, False)
    assert await demand(plane) == [("v2", Wanted.NEED_LEASED)]
    assert await demand(plane, "cpu") == []
    await plane.report("p1", "v2")
    longer = await lease(plane, ttl_s=600)
    assert (longer.readiness.batchers, longer.readiness.ready_batchers) == (1, 1)
    assert longer.lease_expire_time.seconds > held.lease_expire_time.seconds
    ended = await lease(plane, ttl_s=0)
    assert not ended.HasField("lease_expire_time")
    assert await demand(plane) == []


async def test_a_lease_that_is_not_repeated_ends_by_itself(plane: Plane, registry: RegistryFeed):
    registry.put("digits", "v1", "v2")
    watch = plane.control.WatchDemand(control_pb2.WatchDemandRequest(pool="default"), timeout=30)
    assert not (await watch.read()).versions
    await lease(plane, ttl_s=0.5)
    assert [one.version.version for one in (await watch.read()).versions] == ["v2"]
    assert not (await watch.read()).versions


async def test_a_lease_outlives_the_control_plane_and_counts_at_each(postgres_url: str, registry: RegistryFeed):
    registry.put("digits", "v1", "v2")
    async with control_plane(postgres_url, registry.target) as plane:
        await lease(plane)
    await registry.stop()
    async with control_plane(postgres_url, registry.target) as plane:
        await eventually(lambda: _is_leased(plane))
        await lease(plane, "v1")
        assert sorted(await demand(plane)) == [("v1", Wanted.NEED_LEASED), ("v2", Wanted.NEED_LEASED)]


async def _is_leased(plane: Plane) -> bool:
    return await demand(plane) == [("v2", Wanted.NEED_LEASED)]


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({"version": "v9"}, "NOT_FOUND", "VERSION_NOT_FOUND"),
        ({"model": "fraud"}, "NOT_FOUND", "MODEL_NOT_FOUND"),
        ({"model": "Digits"}, "INVALID_ARGUMENT", "model"),
        ({"holder": ""}, "INVALID_ARGUMENT", "holder"),
        ({"pool": "GPU"}, "INVALID_ARGUMENT", "pool"),
        ({"ttl": duration_pb2.Duration(seconds=3601)}, "INVALID_ARGUMENT", "ttl"),
        ({"ttl": duration_pb2.Duration(seconds=-1)}, "INVALID_ARGUMENT", "ttl"),
    ],
)
async def test_what_cannot_be_leased_is_refused_by_name(plane: Plane, registry: RegistryFeed, fields, code, told):
    registry.put("digits", "v1", "v2")
    error = await refused(lease(plane, **fields))
    assert error.code.name == code
    assert told in (error.reason, *(one.field for one in error.violations))

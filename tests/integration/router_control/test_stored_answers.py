"""Purges, and commits and reverts of precomputed answers, over two control planes on a real database."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import refused
from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.registry_feed import RegistryFeed, digest_of


@pytest.fixture
async def serving(plane: Plane, registry: RegistryFeed) -> Plane:
    """Have digits with v1 in production, and v1 and v2 ready on one batcher."""
    await plane.serve(registry, "v2")
    return plane


@pytest.fixture
async def second(serving: Plane, postgres_url: str, registry: RegistryFeed) -> AsyncIterator[Plane]:
    """Another control plane on the same database."""
    async with control_plane(postgres_url, registry.target) as other:
        yield other


async def purge(plane: Plane, **fields) -> route_pb2.PurgeCacheResponse:
    return await plane.routes.PurgeCache(route_pb2.PurgeCacheRequest(name="routes/digits", **fields), timeout=15)


async def newest_table(stream) -> control_pb2.WatchTablesResponse:
    while not (message := await stream.read()).HasField("table"):
        pass
    return message


async def knows(plane: Plane, data_plane: str) -> bool:
    answer = await plane.get()
    return data_plane in {one.name for one in answer.status.data_planes}


async def test_a_purge_by_one_control_plane_reaches_the_data_planes_of_the_other_and_waits_for_them(
    serving: Plane, second: Plane
):
    stream = second.watch("plane-0")
    before = await newest_table(stream)
    await eventually(lambda: knows(serving, "plane-0"), within=10)
    assert [(one.digest, one.cache_epoch) for one in before.table.stored_answers] == [(digest_of("digits", "v1"), 0)]
    purging = asyncio.ensure_future(purge(serving, reason="labels were wrong"))
    after = await newest_table(stream)
    assert after.table.generation > before.table.generation
    assert [one.cache_epoch for one in after.table.stored_answers] == [1]
    assert not purging.done()
    await second.acknowledge("plane-0", after)
    done = await purging
    assert (done.version, done.cache_epoch) == ("v1", 1)
    assert done.status.generation == after.table.generation
    assert list(done.status.unacknowledged_data_planes) == []


async def test_a_data_plane_that_is_late_is_named(postgres_url: str, registry: RegistryFeed, serving: Plane):
    async with control_plane(postgres_url, registry.target, acknowledge_wait_s=0.3) as impatient:
        await newest_table(impatient.watch("slow-0"))
        done = await purge(impatient)
        assert list(done.status.unacknowledged_data_planes) == ["slow-0"]


async def test_a_purge_repeated_with_its_request_id_purges_once(serving: Plane, second: Plane):
    first = await purge(serving, request_id="r1")
    again = await purge(second, request_id="r1")
    assert (first.cache_epoch, again.cache_epoch) == (1, 1)
    together = await asyncio.gather(*(purge(one, request_id="r2") for one in (serving, second, serving)))
    assert [one.cache_epoch for one in together] == [2, 2, 2]
    error = await refused(purge(serving, request_id="r2", version="v2"))
    assert (error.code.name, error.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert (await purge(second)).cache_epoch == 3


async def test_a_version_that_nothing_serves_is_purged_without_a_generation_and_stays_purged(
    serving: Plane, registry: RegistryFeed
):
    before = await serving.get()
    done = await purge(serving, version="v2")
    assert (done.version, done.cache_epoch, done.status.generation) == ("v2", 1, before.status.generation)
    epoch = registry.put("digits", production="v2")
    await serving.await_epoch(epoch)
    table = (await newest_table(serving.watch())).table
    assert [(one.digest, one.cache_epoch) for one in table.stored_answers] == [(digest_of("digits", "v2"), 1)]


@pytest.mark.parametrize(
    ("fields", "code", "reason", "field"),
    [
        ({"name": "digits"}, "INVALID_ARGUMENT", "", "name"),
        ({"name": "routes/digits", "version": "V 1"}, "INVALID_ARGUMENT", "", "version"),
        ({"name": "routes/digits", "reason": "x" * 1001}, "INVALID_ARGUMENT", "", "reason"),
        ({"name": "routes/digits", "version": "v9"}, "NOT_FOUND", "VERSION_NOT_FOUND", "version"),
        ({"name": "routes/nobody"}, "NOT_FOUND", "MODEL_NOT_FOUND", ""),
    ],
)
async def test_bad_purges_name_their_field(serving: Plane, fields: dict[str, str], code: str, reason: str, field: str):
    error = await refused(serving.routes.PurgeCache(route_pb2.PurgeCacheRequest(**fields), timeout=10))
    assert (error.code.name, [one.field for one in error.violations][:1]) == (code, [field] if field else [])
    assert not reason or error.reason == reason


async def test_a_model_without_a_version_in_production_is_purged_by_naming_one(plane: Plane, registry: RegistryFeed):
    registry.put("digits", "v1")
    error = await refused(purge(plane))
    assert (error.reason, "name one" in error.public_message) == ("VERSION_NOT_FOUND", True)
    assert (await purge(plane, version="v1")).cache_epoch == 1


async def test_a_control_plane_of_the_release_before_drops_nothing(serving: Plane, postgres_url: str):
    """It writes states without what it does not know; the database refuses, and it takes that for an outage."""
    connection = await asyncpg.connect(postgres_url, timeout=10)
    try:
        forget = "update routes set state = state - 'kept' - 'writer' - 'needs'"
        await connection.execute(forget)  # nothing is kept that could be lost
        await purge(serving)
        with pytest.raises(asyncpg.CannotConnectNowError):
            await connection.execute(forget)
        assert (await purge(serving)).cache_epoch == 2
    finally:
        await connection.close()

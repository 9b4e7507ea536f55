"""What is kept of precomputed answers: until when, by what store, and who removes the rest."""

import os
import signal
import time
from datetime import timedelta

import asyncpg
import pytest
from google.protobuf import duration_pb2
from headrace_router.control.precomputed.reads import LOOK_WITHIN_S
from headrace_servicekit.testing import eventually, patience
from headrace_stack import snapshot
from headrace_stack.settings import StackSettings
from redis.asyncio import Redis

from tests.kit.clients.refusals import reason_of
from tests.kit.router.control_plane import Plane
from tests.kit.router.publishing import Publish, abort, begin, chunk, commit, get, published, revert, upload
from tests.kit.router.registry_feed import RegistryFeed
from tests.kit.router.stored_answers import condition, counts, has, is_now, keys, only


async def test_a_store_that_lost_everything_is_noticed_and_filled_again(plane: Plane, valkey: Redis):
    await published(plane, {"a": 1})
    await valkey.flushall()
    assert await condition(plane) == "LOST"
    again = await published(plane, {"a": 1})
    assert (await condition(plane), await counts(plane)) == ("PRESENT", again.generation)


async def test_answers_stop_counting_after_their_time(plane: Plane):
    publish = await published(plane, {"a": 1}, ttl=duration_pb2.Duration(nanos=300_000_000))
    assert publish.expire_time.ToDatetime() - publish.commit_time.ToDatetime() == timedelta(seconds=0.3)
    await eventually(lambda: is_now(plane, "EXPIRED"))


async def test_what_was_given_up_is_removed(plane: Plane, valkey: Redis):
    publish = await begin(plane)
    await upload(plane, chunk(publish.name, 0, ["a"], [1]))
    await abort(plane, publish)
    await abort(plane, publish)
    assert await reason_of(upload(plane, chunk(publish.name, 0, ["b"], [1]))) == "PUBLISH_CLOSED"
    assert await reason_of(commit(plane, publish)) == "PUBLISH_CLOSED"
    await eventually(lambda: only(valkey, 0))
    assert await reason_of(abort(plane, await published(plane, {"a": 1}))) == "PUBLISH_COMMITTED"


@pytest.mark.parametrize(
    "settings", [{"acknowledge_wait_s": 0.2, "precomputed_settle_s": 0.1, "precomputed_abandoned_s": 0.3}]
)
async def test_a_publish_that_nobody_goes_on_with_is_given_up(plane: Plane, valkey: Redis):
    publish = await begin(plane)
    await upload(plane, chunk(publish.name, 0, ["a"], [1]))
    await eventually(lambda: only(valkey, 0))
    assert (await get(plane, publish)).state == Publish.STATE_ABORTED


@pytest.mark.parametrize(
    "settings", [{"acknowledge_wait_s": 0.2, "precomputed_settle_s": 0.1, "precomputed_revert_window_s": 0.1}]
)
async def test_old_answers_are_removed_once_data_planes_let_go_of_them(plane: Plane, valkey: Redis, postgres_url: str):
    watch = plane.watch("plane-0")
    newest = await watch.read()
    await plane.acknowledge("plane-0", newest)
    await published(plane, {"a": 1, "b": 1})
    second = await published(plane, {"a": 2})
    await eventually(lambda: _closed_for_long(postgres_url))
    assert await keys(valkey) == 3
    while newest.newest_generation < second.generation or not _tells(newest, second.generation):
        newest = await watch.read()
    await plane.acknowledge("plane-0", newest)
    await eventually(lambda: only(valkey, 1))
    assert await reason_of(revert(plane)) == "NOTHING_TO_REVERT"
    assert await condition(plane) == "PRESENT"


async def test_a_restored_database_finds_no_answers_of_its_past_and_removes_them(
    plane: Plane, postgres_url: str, valkey: Redis
):
    await published(plane, {"a": 1})
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "with former as (insert into former_incarnations (incarnation) select incarnation from store) "
        "update store set incarnation = gen_random_uuid()"
    )
    await connection.close()
    await eventually(lambda: is_now(plane, "LOST"))
    await eventually(lambda: only(valkey, 0))
    await published(plane, {"a": 1})
    assert await condition(plane) == "PRESENT"


@pytest.mark.faults
async def test_while_the_store_hangs_nobody_knows_and_nothing_is_committed(plane: Plane, valkey_server: StackSettings):
    publish, *_others = [await begin(plane) for _ in range(4)]
    await upload(plane, chunk(publish.name, 0, ["a"], [1]))
    await published(plane, {"a": 1}, "v2")
    seen = snapshot.read(valkey_server.snapshot)
    assert seen is not None
    (process,) = [one.process for one in seen.components if one.name == "valkey"]
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert await condition(plane, "v2") == "UNKNOWN"
        assert time.monotonic() - begun < patience(2 * LOOK_WITHIN_S)  # for all that is asked of it, not for each
        assert await reason_of(commit(plane, publish)) == "STORE_UNAVAILABLE"
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert await counts(plane) == 0
    await eventually(lambda: is_now(plane, "PRESENT", "v2"))
    assert (await commit(plane, publish)).publish.entity_count == 1


async def test_the_answers_of_versions_and_models_that_are_gone_are_removed(
    plane: Plane, registry: RegistryFeed, valkey: Redis
):
    await published(plane, {"a": 1, "b": 1})
    await published(plane, {"a": 2}, "v2")
    del registry.models["digits"].versions["v2"]  # its files were given up
    registry.put("digits")
    await eventually(lambda: has(plane, valkey, 2))
    registry.remove("digits")
    await eventually(lambda: has(plane, valkey, 0))


async def test_a_store_that_evicts_or_keeps_nothing_on_disk_is_refused(plane: Plane, valkey: Redis):
    await valkey.config_set("maxmemory-policy", "allkeys-lru")
    assert await reason_of(begin(plane)) == "STORE_EVICTS"
    await valkey.config_set("maxmemory-policy", "volatile-lru")
    publish = await begin(plane)
    await upload(plane, chunk(publish.name, 0, ["a"], [1]))
    await valkey.config_set("appendonly", "no")
    assert await reason_of(commit(plane, publish)) == "STORE_NOT_DURABLE"
    assert await counts(plane) == 0
    await valkey.config_set("appendonly", "yes")
    assert (await commit(plane, publish)).publish.state == Publish.STATE_COMMITTED


async def _closed_for_long(postgres_url: str) -> bool:
    """Return whether a generation stopped counting so long ago that only a data plane is in the way of its removal."""
    connection = await asyncpg.connect(postgres_url)
    try:
        return await connection.fetchval(
            "select exists (select from publishes where closed_at < now() - interval '0.5 s')"
        )
    finally:
        await connection.close()


def _tells(message, generation: int) -> bool:
    return generation in [one.precomputed_generation for one in message.table.stored_answers]

"""Publishes over gRPC: what is taken, refused, repeated and reverted, by one control plane or by two."""

from datetime import UTC, datetime

import asyncpg
import grpc.aio
import pytest
from google.protobuf import duration_pb2, timestamp_pb2
from headrace.router.v1 import precomputed_pb2
from headrace_router.control.precomputed.decisions.places import Place
from headrace_router.control.precomputed.decisions.publishes import Declared
from headrace_router.control.precomputed.postgres import PublishRows
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.testing import eventually
from redis.asyncio import Redis

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.publishing import abort, begin, chunk, commit, get, published, read, revert, status, upload
from tests.kit.router.registry_feed import RegistryFeed, digest_of
from tests.kit.router.stored_answers import condition, counts, only

Answers, Publish = precomputed_pb2.PrecomputedAnswers, precomputed_pb2.Publish


async def test_published_answers_are_told_to_data_planes_and_lie_where_they_look(plane: Plane, valkey_url: str):
    publish = await published(plane, {"a": 1.5, "b": 2.5})
    assert (publish.state, publish.row_count, publish.entity_count) == (Publish.STATE_COMMITTED, 2, 2)
    assert await counts(plane) == publish.generation
    assert await read(valkey_url, (await plane.told()).incarnation, publish.generation, "b") == 2.5
    kept = await status(plane)
    assert kept is not None
    assert (kept.condition, kept.active, list(kept.open)) == (Answers.CONDITION_PRESENT, publish, [])


async def test_what_computed_the_answers_travels_with_their_generation(plane: Plane):
    digest = digest_of("digits", "v1")
    origin = precomputed_pb2.PublishOrigin(run="jobs/nightly/runs/7", manifest_digest="m7", version_digest=digest)
    first = await published(plane, {"a": 1.0}, origin=origin)
    assert first.origin == origin
    (answers,) = (await plane.told()).table.stored_answers
    assert answers.precomputed_origin == origin
    await published(plane, {"a": 2.0})
    kept = await status(plane)
    assert kept is not None
    assert (kept.active.HasField("origin"), kept.previous.origin) == (False, origin)
    reverted = await revert(plane)
    assert reverted.answers.active.origin == origin


async def test_answers_of_another_version_are_not_published(plane: Plane):
    origin = precomputed_pb2.PublishOrigin(version_digest=digest_of("digits", "v2"))
    assert await reason_of(begin(plane, "v1", origin=origin)) == "VERSION_MISMATCH"
    assert (await begin(plane, "v2", origin=origin)).origin.version_digest == ""
    longest = precomputed_pb2.PublishOrigin(run="r" * 257)
    error = await refused(begin(plane, "v1", origin=longest))
    assert [one.field for one in error.violations] == ["origin.run"]


async def test_answers_belong_to_one_version_serving_or_not(plane: Plane):
    second = await published(plane, {"a": 2.0}, "v2")
    assert (await counts(plane), await condition(plane, "v1"), await condition(plane, "v2")) == (0, "NONE", "PRESENT")
    first = await published(plane, {"a": 1.0}, "v1")
    assert await counts(plane) == first.generation != second.generation


async def test_an_upload_goes_on_where_the_publish_is_and_each_row_is_taken_once(plane: Plane, valkey_url: str):
    publish = await begin(plane, rows=4)
    assert await upload(plane, chunk(publish.name, 0, ["a", "b"], [1, 2])) == [2]
    assert (await get(plane, publish)).row_count == 2
    assert await reason_of(commit(plane, publish)) == "ROWS_MISSING"
    assert await reason_of(upload(plane, chunk(publish.name, 3, ["d"], [4]))) == "ROWS_MISSING"
    # The first two rows were taken: what is said of them now is skipped. The last row says something new of `a`.
    again = chunk(publish.name, 0, ["a", "b", "c", "a"], [9, 9, 3, 4])
    assert await upload(plane, again, chunk("", 4, [], [])) == [4, 4]
    done = (await commit(plane, publish, rows=4)).publish
    assert (done.row_count, done.entity_count) == (4, 3)
    incarnation = (await plane.told()).incarnation
    found = [await read(valkey_url, incarnation, done.generation, entity) for entity in "abc"]
    assert found == [4, 2, 3]


@pytest.mark.parametrize(
    ("message", "field", "says"),
    [
        ({"entities": ["a", ""], "columns": [bytes(8)]}, "entities[1]", "row 1 is empty"),
        ({"entities": ["a", "é" * 600], "columns": [bytes(8)]}, "entities[1]", "1024 bytes"),
        ({"entities": ["a"], "columns": []}, "columns", "the version has 1 outputs: y"),
        ({"entities": ["a"], "columns": [bytes(5)]}, "columns[0]", "output 'y' has 5 bytes"),
        ({"entities": ["a", "b"], "columns": [bytes(6) + b"\xc0\x7f"]}, "columns[0]", "row 1 (entity 'b') is NaN"),
        ({"entities": ["a"], "columns": [bytes(4)], "dims": [1]}, "dims", "leaves 0 dimensions open"),
        ({"entities": ["a"] * 8193, "columns": [bytes(4 * 8193)]}, "entities", "at most 8192"),
        ({"entities": ["a"] * 3, "columns": [bytes(12)]}, "entities", "more than the 2 rows"),
        ({"first_row": -1}, "first_row", "less than 0"),
    ],
)
async def test_rows_that_the_contract_forbids_are_blamed_and_not_taken(plane: Plane, message, field: str, says: str):
    publish = await begin(plane, rows=2)
    error = await refused(upload(plane, precomputed_pb2.UploadAnswersRequest(name=publish.name, **message)))
    assert [one.field for one in error.violations] == [field]
    assert says in error.public_message
    assert (await get(plane, publish)).row_count == 0


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"parent": "models/none/versions/v1"}, "MODEL_NOT_FOUND"),
        ({"parent": "models/digits/versions/v9"}, "VERSION_NOT_FOUND"),
        ({"parent": "digits"}, "INVALID_ARGUMENT"),
        ({"parent": "models/digits/versions/v1", "row_count": -1}, "VALUE_OUT_OF_RANGE"),
        ({"parent": "models/digits/versions/v1", "ttl": duration_pb2.Duration()}, "INVALID_ARGUMENT"),
        (
            {"parent": "models/digits/versions/v1", "computed_time": timestamp_pb2.Timestamp(seconds=2**33)},
            "INVALID_ARGUMENT",
        ),
        ({"parent": "models/digits/versions/v1", "row_count": 10**8}, "STORE_FULL"),
    ],
)
async def test_a_publish_that_cannot_be_is_refused_when_it_begins(plane: Plane, request_, reason: str):
    message = precomputed_pb2.BeginPublishRequest(**request_)
    assert await reason_of(plane.precomputed.BeginPublish(message, timeout=10)) == reason
    assert await status(plane) is None


async def test_of_two_publishers_one_is_overtaken_and_leaves_nothing_visible(plane: Plane, valkey: Redis):
    slow, fast = await begin(plane), await begin(plane)
    await upload(plane, chunk(slow.name, 0, ["a"], [1]))
    await upload(plane, chunk(fast.name, 0, ["a"], [2]))
    done = (await commit(plane, fast)).publish
    assert await reason_of(commit(plane, slow)) == "PUBLISH_OVERTAKEN"
    assert await reason_of(commit(plane, slow)) == "PUBLISH_CLOSED"
    assert await reason_of(upload(plane, chunk(slow.name, 1, ["b"], [1]))) == "PUBLISH_CLOSED"
    assert await counts(plane) == done.generation
    await eventually(lambda: only(valkey, 1))


async def test_a_begin_with_the_same_request_id_is_the_same_publish(plane: Plane):
    first = await begin(plane, request_id="nightly")
    assert (await begin(plane, request_id="nightly")).name == first.name
    assert await reason_of(begin(plane, "v2", request_id="nightly")) == "REQUEST_ID_REUSED"


async def test_a_begin_that_is_repeated_needs_no_room_again(plane: Plane):
    async def largest(rows: int) -> tuple[precomputed_pb2.Publish, int]:
        """Return a publish that leaves no room for another one like it."""
        try:
            return await begin(plane, rows=rows, request_id="nightly"), rows
        except grpc.aio.AioRpcError:
            return await largest(rows // 2)

    first, rows = await largest(10**8)
    assert await reason_of(begin(plane, rows=rows)) == "STORE_FULL"
    assert (await begin(plane, rows=rows, request_id="nightly")).name == first.name


class Broken(Connections):
    """Connections that break when a query is done, before its answer is there: it is repeated."""

    async def repeatable(self, act):
        await super().repeatable(act)
        return await super().repeatable(act)


async def test_a_begin_without_request_id_leaves_one_publish_when_a_connection_breaks(plane: Plane, postgres_url: str):
    place = Place((await plane.told()).incarnation, digest_of("digits", "v1"), 0)
    now = datetime.now(UTC)
    declared = Declared(0, now, None, "ana", "", b"")
    async with Broken(Address(postgres_url), owner="router", size=1) as connections:
        pool = Pool("publishes", 16, "TOO_MANY_PUBLISHES", 10.0)
        begun = await PublishRows(connections).begin(place, "digits", "v1", declared, size=0, now=now, pool=pool)
    kept = await status(plane)
    assert kept is not None
    assert [one.name for one in kept.open] == [begun.name]


async def test_commit_and_revert_can_be_repeated(plane: Plane):
    first = await published(plane, {"a": 1})
    second = await published(plane, {"a": 2})
    assert (await commit(plane, second)).publish == second
    back = await revert(plane, second.generation)
    assert (back.answers.active.generation, back.answers.HasField("previous")) == (first.generation, False)
    assert await counts(plane) == first.generation
    assert (await revert(plane, second.generation)).answers.active.generation == first.generation
    assert await reason_of(revert(plane, second.generation + 7)) == "PUBLISH_OVERTAKEN"
    assert (await revert(plane)).answers.condition == Answers.CONDITION_NONE
    assert await reason_of(revert(plane)) == "NOTHING_TO_REVERT"
    assert await counts(plane) == 0


async def test_rows_that_the_store_lost_before_the_commit_are_sent_again(plane: Plane, valkey: Redis):
    publish = await begin(plane)
    await upload(plane, chunk(publish.name, 0, ["a", "b"], [1, 2]))
    await valkey.flushall()
    assert await reason_of(commit(plane, publish, rows=2)) == "PUBLISH_LOST"
    assert (await get(plane, publish)).row_count == 0
    assert await upload(plane, chunk(publish.name, 0, ["a", "b"], [1, 2])) == [2]
    assert (await commit(plane, publish, rows=2)).publish.entity_count == 2


async def test_another_control_plane_goes_on_with_what_one_began_and_died(
    postgres_url: str, valkey_url: str, registry: RegistryFeed, settings: dict[str, object]
):
    registry.put("digits", "v1", production="v1")
    async with control_plane(postgres_url, registry.target, valkey_url=valkey_url, **settings) as first:
        await first.report("p1", "v1")
        publish = await begin(first, rows=3)
        await upload(first, chunk(publish.name, 0, ["a", "b"], [1, 2]))
    async with control_plane(postgres_url, registry.target, valkey_url=valkey_url, **settings) as second:
        assert (await get(second, publish)).row_count == 2
        assert await condition(second) == "NONE"
        await upload(second, chunk(publish.name, 2, ["c"], [3]))
        done = (await commit(second, publish)).publish
        # As if it had died between putting it in force and noting that.
        connection = await asyncpg.connect(postgres_url)
        await connection.execute("update publishes set state = 'open', committed_at = null")
        await connection.close()
        assert await reason_of(abort(second, publish)) == "PUBLISH_COMMITTED"
        await eventually(lambda: _is_committed(second, publish))
        assert (await commit(second, publish)).publish == done


async def test_two_control_planes_publish_and_revert_in_turn(
    plane: Plane, postgres_url: str, valkey_url: str, registry: RegistryFeed, settings: dict[str, object]
):
    async with control_plane(postgres_url, registry.target, valkey_url=valkey_url, **settings) as other:
        first = await published(plane, {"a": 1})
        publish = await begin(other)
        assert await upload(plane, chunk(publish.name, 0, ["a"], [2])) == [1]
        assert await upload(other, chunk(publish.name, 0, ["a", "b"], [9, 2])) == [2]
        second = (await commit(plane, publish)).publish
        third = await published(other, {"a": 3})
        kept = await status(plane)
        assert kept is not None
        assert (kept.active.generation, kept.previous.generation) == (third.generation, second.generation)
        await revert(plane)
        assert (await revert(other)).answers.active.generation == first.generation


@pytest.mark.parametrize(
    "settings", [{"acknowledge_wait_s": 0.2, "max_open_publishes": 1, "precomputed_durable": False}]
)
async def test_open_publishes_are_bounded(plane: Plane, valkey: Redis):
    first = await begin(plane)
    assert await reason_of(begin(plane)) == "TOO_MANY_PUBLISHES"
    await upload(plane, chunk(first.name, 0, ["a"], [1]))
    await valkey.config_set("appendonly", "no")  # which is allowed by `precomputed_durable`
    await commit(plane, first)
    await begin(plane)


async def _is_committed(plane: Plane, publish: precomputed_pb2.Publish) -> bool:
    return (await get(plane, publish)).state == Publish.STATE_COMMITTED

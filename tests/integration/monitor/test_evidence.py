"""ReadCounts as the rollout service sees it: each answer once, by source, code and priority, and who is missing."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from headrace.monitor.v1 import evidence_pb2, evidence_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc
from headrace_monitor.storage import schema
from headrace_monitor.storage.schema import Database
from headrace_servicekit.errors import Code
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.monitor.counting_plane import CountingPlane, key
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import memory_registry
from tests.kit.router.answer_sources import CACHE, ONLINE


@pytest.fixture
async def monitor(postgres_url, s3, tmp_path) -> AsyncIterator[Monitor]:
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target) as monitor,
    ):
        yield monitor


async def read(monitor: Monitor, cursor: bytes = b"", model: str = "fraud") -> evidence_pb2.ReadCountsResponse:
    stub: Any = evidence_pb2_grpc.EvidenceServiceStub(monitor.channel)
    return await stub.ReadCounts(evidence_pb2.ReadCountsRequest(model=model, cursor=cursor), timeout=10)


async def report(monitor: Monitor, request: telemetry_pb2.ReportCountersRequest) -> None:
    stub: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)
    await stub.ReportCounters(request, timeout=10)


def counts(response: evidence_pb2.ReadCountsResponse) -> Counter[tuple[int, int, int]]:
    return Counter({(one.served_from, one.code, one.priority): one.count for one in response.counts})


async def test_new_counts_are_read_once_by_source_code_and_priority(monitor):
    plane = CountingPlane()
    plane.answer(key(), 0.01, 5)
    await report(monitor, plane.report())
    begun = await read(monitor)
    assert not begun.counts
    assert not begun.HasField("elapsed")
    plane.answer(key(), 0.01, 2)
    plane.answer(key(served_from=CACHE), 0.001, 7)
    plane.answer(key(code=14), 0.5, 3)
    plane.answer(key()._replace(priority=3), 0.02, 4)
    plane.answer(key("digits"), 0.02, 9)
    await report(monitor, plane.report())
    new = await read(monitor, begun.cursor)
    assert counts(new) == {(ONLINE, 0, 0): 2, (CACHE, 0, 0): 7, (0, 14, 0): 3, (ONLINE, 0, 3): 4}
    (online,) = [one for one in new.counts if (one.served_from, one.priority) == (ONLINE, 0)]
    assert list(online.duration_counts) == [2]
    assert new.elapsed.ToTimedelta().total_seconds() > 0
    assert counts(await read(monitor, begun.cursor)) == counts(new)
    assert not (await read(monitor, new.cursor)).counts
    assert len(new.cursor) < 4096


async def test_invalid_and_degraded_answers_and_the_units_that_erred_are_read(monitor):
    plane = CountingPlane()
    begun = await read(monitor)
    plane.answer(key(), 0.01, 5)
    request = plane.report()
    request.series[0].invalid, request.series[0].degraded = 2, 1
    request.erring_units.add(model="fraud", version="v1", variant="main", hashes=[5, 7])
    await report(monitor, request)
    later = plane.report()
    later.series[0].invalid, later.series[0].degraded = 2, 1
    later.erring_units.add(model="fraud", version="v1", variant="main", hashes=[7, 9])
    await report(monitor, later)
    new = await read(monitor, begun.cursor)
    assert [(one.invalid, one.degraded) for one in new.counts] == [(2, 1)]
    assert [(one.version, one.variant, one.units, one.new_units) for one in new.erring_units] == [("v1", "main", 3, 3)]
    again = await read(monitor, new.cursor)
    assert [(one.units, one.new_units) for one in again.erring_units] == [(3, 0)]


async def test_units_that_were_refused_are_read_apart_from_those_that_erred(monitor):
    plane = CountingPlane()
    begun = await read(monitor)
    for hashes in ([5, 7], [7, 9]):
        request = plane.report()
        request.erring_units.add(model="fraud", version="v1", variant="main", hashes=[3])
        request.refused_units.add(model="fraud", version="v1", variant="main", hashes=hashes)
        request.refused_units.add(model="fraud", version="v2", variant="rollout", hashes=hashes[:1])
        await report(monitor, request)
    new = await read(monitor, begun.cursor)
    assert [(one.version, one.units) for one in new.erring_units] == [("v1", 1)]
    assert [(one.version, one.variant, one.units, one.new_units) for one in new.refused_units] == [
        ("v1", "main", 3, 3),
        ("v2", "rollout", 2, 2),
    ]
    again = await read(monitor, new.cursor)
    assert [one.new_units for one in (*again.erring_units, *again.refused_units)] == [0, 0, 0]


async def test_the_history_of_a_version_is_told_in_blocks_of_minutes_that_are_over(monitor, postgres_url):
    stub: Any = evidence_pb2_grpc.EvidenceServiceStub(monitor.channel)
    asked = evidence_pb2.ReadHistoryRequest(model="fraud", version="v1", variant="main", block_minutes=5, blocks=12)
    plane = CountingPlane()
    plane.answer(key(), 0.01, 5)
    plane.answer(key(code=14), 0.5, 3)
    plane.answer(key("digits"), 0.02, 9)
    request = plane.report()
    request.series[0].invalid = 2
    await report(monitor, request)
    blocks = (await stub.ReadHistory(asked, timeout=10)).blocks
    assert (len(blocks), sum(len(one.counts) for one in blocks)) == (12, 0), "the present minute is not over"
    async with Database(Address(postgres_url), size=1) as database:
        await database.migrate()
        async with database.transaction() as connection:  # as if an hour had gone by but for a few minutes
            await connection.execute("update counter_series set minute = minute - interval '58 min'")
    blocks = (await stub.ReadHistory(asked, timeout=10)).blocks
    (first, *rest) = blocks
    assert sorted((one.code, one.count, one.invalid, list(one.duration_counts)) for one in first.counts) == [
        (0, 5, 2, [5]),
        (14, 3, 0, [3]),
    ]
    assert not any(one.counts for one in rest)
    assert (blocks[1].start_time.ToDatetime() - first.start_time.ToDatetime()).total_seconds() == 300
    other = evidence_pb2.ReadHistoryRequest(model="fraud", version="v2", variant="main", block_minutes=5, blocks=12)
    assert not any(one.counts for one in (await stub.ReadHistory(other, timeout=10)).blocks)


async def test_a_history_without_end_is_refused_with_the_fields(monitor):
    stub: Any = evidence_pb2_grpc.EvidenceServiceStub(monitor.channel)
    named: dict[str, Any] = {"model": "m", "version": "v"}
    cases: tuple[tuple[dict[str, Any], list[str]], ...] = (
        ({}, ["model", "version", "block_minutes", "blocks"]),
        ({**named, "block_minutes": 10, "blocks": 7}, ["blocks"]),
        ({**named, "variant": "\n", "block_minutes": 1, "blocks": 1}, ["variant"]),
        ({**named, "block_minutes": 61, "blocks": -1}, ["block_minutes", "blocks"]),
    )
    for fields, names in cases:
        error = await refused(stub.ReadHistory(evidence_pb2.ReadHistoryRequest(**fields), timeout=10))
        assert (error.code, [one.field for one in error.violations]) == (Code.INVALID_ARGUMENT, names)


@pytest.mark.long
async def test_a_data_plane_that_falls_silent_is_missing_until_it_is_replaced_or_says_that_it_stops(monitor):
    silent, stopped = CountingPlane("a"), CountingPlane("b")
    await report(monitor, silent.report())
    last = stopped.report()
    last.final = True
    await report(monitor, last)
    assert (await read(monitor)).reporters == 1
    found = await eventually(lambda: _missing(monitor), within=20)
    assert found == ["a"]
    replaced = CountingPlane("a")
    await report(monitor, replaced.report())
    now = await read(monitor)
    assert ([one.data_plane for one in now.missing], now.reporters) == ([], 1)


async def _missing(monitor: Monitor) -> list[str]:
    return [one.data_plane for one in (await read(monitor)).missing]


async def test_a_cursor_of_a_store_that_was_replaced_has_expired(monitor, postgres_url):
    begun = await read(monitor)
    async with Database(Address(postgres_url), size=1) as database:
        await database.migrate()
        await schema.renew_incarnation(database)
    assert await reason_of(read(monitor, begun.cursor)) == "CURSOR_EXPIRED"


@pytest.mark.parametrize(("model", "cursor", "field"), [("", b"", "model"), ("fraud", b"nonsense", "cursor")])
async def test_what_cannot_be_read_is_refused_with_its_field(monitor, model, cursor, field):
    error = await refused(read(monitor, cursor, model))
    assert (error.code, [one.field for one in error.violations]) == (Code.INVALID_ARGUMENT, [field])

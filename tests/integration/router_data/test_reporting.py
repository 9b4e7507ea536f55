"""What the monitor is told of predictions, and that they do not notice whether it is there."""

from __future__ import annotations

import asyncio
import struct
import time

import grpc
import grpc.aio
import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import route_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.tables.table import point_of
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import COMPUTE_US, FakeBatcher, echoing, refusing
from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.monitor.fake_ingest import FakeIngest
from tests.kit.router.answer_sources import CACHE, ONLINE
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import DIGITS, ROW, V1
from tests.kit.router.fake_control import FakeControl, resolved_version, table
from tests.kit.router.predict_requests import predict_request

SECRET = b"\x13\x37secret value\x13\x37"
OK, INVALID, NOT_FOUND = 0, 3, 5

SENSITIVE = resolved_version(
    "people",
    "v1",
    inputs=[
        tensor_pb2.TensorSpec(name="name", datatype="BYTES", shape=[], sensitive=True),
        tensor_pb2.TensorSpec(name="age", datatype="FP32", shape=[]),
    ],
    outputs=[
        tensor_pb2.TensorSpec(name="score", datatype="FP32", shape=[]),
        tensor_pb2.TensorSpec(name="echo", datatype="FP32", shape=[4], sensitive=True),
    ],
)


@pytest.fixture
def control(control: FakeControl) -> FakeControl:
    control.put_table(table("people", [SENSITIVE]))
    return control


@pytest.fixture
async def monitor():
    async with FakeIngest.serving() as monitor:
        yield monitor


@pytest.fixture
async def batcher():
    async with FakeBatcher.serving([V1, SENSITIVE]) as batcher:
        yield batcher


@pytest.fixture
async def plane(control, batcher, monitor, tmp_path):
    async with data_plane(
        control.target,
        {"default": [batcher.target]},
        tmp_path,
        monitor_target=monitor.target,
        record_flush_s=0.0,
        grace_s=0.3,
        id="plane-7",
    ) as plane:
        yield plane


async def ask(plane: DataPlane, count: int) -> set[str]:
    """Ask so often, and return the ids of the predictions."""
    return {(await plane.stub.Predict(DIGITS, timeout=5)).prediction_id for _ in range(count)}


def ids_of(monitor: FakeIngest) -> list[str]:
    return [one.prediction_id for one in monitor.predictions()]


async def test_predictions_of_every_face_are_recorded_as_they_were_answered(plane: DataPlane, monitor: FakeIngest):
    began_us = time.time() * 1e6
    by_grpc = await plane.stub.Predict(
        predict_request(
            "digits",
            ("x", "FP32", [2, 4], ROW * 2),
            user_id="ann",
            entity_id="item-9",
            request_id="mine",
            attributes={"tier": "gold", "country": "AT"},
        )
    )
    natural = await plane.rest.post("/v1/models/digits:predict", json={"instances": [[1, 2, 3, 4]], "user_id": "bob"})
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]
    inference = await plane.rest.post("/v2/models/digits/infer", json={"id": "theirs", "inputs": inputs})
    assert (natural.status_code, inference.status_code) == (200, 200)
    await eventually(lambda: len(monitor.predictions()) == 3)

    first, second, third = sorted(monitor.predictions(), key=lambda one: one.answer_time_us)
    group = first.group
    assert (group.model, group.version, group.digest) == ("digits", "v1", V1.digest)
    assert (group.variant, group.generation, group.served_from) == ("v1", 1, ONLINE)
    assert [(one.name, one.datatype, list(one.shape)) for one in group.inputs] == [("x", "FP32", [4])]
    assert (first.prediction_id, first.request_id) == (by_grpc.prediction_id, "mine")
    assert (first.unit, first.entity_id, first.attributes) == ("ann", "item-9", "country=AT\x1ftier=gold")
    assert (first.inputs, first.rows, first.probability) == ({"x": ROW * 2}, 2, 1.0)
    assert list(first.outputs.raw_output_contents) == list(by_grpc.raw_output_contents)
    assert began_us <= first.answer_time_us <= time.time() * 1e6
    assert 0 < first.total_us < 5_000_000
    assert (second.prediction_id, second.unit) == (natural.json()["prediction_id"], "bob")
    assert second.inputs == {"x": ROW}
    assert (third.request_id, third.unit) == ("theirs", "theirs")
    request = next(iter(monitor.stored.values()))
    assert (request.data_plane, request.sequence) == ("plane-7", 1)


async def test_what_is_sensitive_is_in_no_message(plane: DataPlane, monitor: FakeIngest):
    name = encoded_texts([SECRET])
    request = predict_request(
        "people", ("age", "FP32", [1], struct.pack("<f", 30)), ("name", "BYTES", [1], name), user_id="ann"
    )
    answer = await plane.stub.Predict(request)
    assert [one.name for one in answer.outputs] == ["score", "echo"]
    await eventually(lambda: len(monitor.predictions()) == 1)

    (seen,) = monitor.predictions()
    assert seen.inputs == {"age": struct.pack("<f", 30)}
    assert [one.name for one in seen.outputs.outputs] == ["score"]
    assert list(seen.outputs.raw_output_contents) == [answer.raw_output_contents[0]]
    messages = [one.SerializeToString() for one in (*monitor.received, *monitor.reports)]
    assert not any(SECRET in message or answer.raw_output_contents[1] in message for message in messages)


async def test_nothing_is_lost_while_the_monitor_is_away(plane: DataPlane, monitor: FakeIngest):
    asked = await ask(plane, 3)
    await eventually(lambda: len(ids_of(monitor)) == 3)
    port = int(monitor.target.rpartition(":")[2])

    monitor.lose = 3  # it has them, and nobody is told
    asked |= await ask(plane, 3)
    await eventually(lambda: not monitor.lose)
    monitor.refuse = grpc.StatusCode.RESOURCE_EXHAUSTED
    asked |= await ask(plane, 3)
    refused = len(monitor.received)
    await eventually(lambda: len(monitor.received) > refused)
    await monitor.die()
    asked |= await ask(plane, 3)
    assert plane.runtime.health.ready
    monitor.refuse = None
    monitor.going.clear()
    before = len(monitor.received)
    await monitor.open(port)
    asked |= await ask(plane, 3)
    await eventually(lambda: len(monitor.received) > before, within=20)  # it hangs
    asked |= await ask(plane, 3)
    monitor.going.set()

    await eventually(lambda: set(ids_of(monitor)) == asked, within=20)
    assert len(ids_of(monitor)) == len(asked) == 18
    assert monitor.numbers() == list(range(1, len(monitor.stored) + 1))
    assert len(monitor.received) > len(monitor.stored)
    for one in monitor.received:  # what came again, came as it was
        assert one == monitor.stored[one.process, one.sequence]

    async def settled() -> bool:
        return await plane.metric("headrace_router_reported_predictions_total") == 18

    await eventually(settled)
    assert await plane.metric("headrace_router_report_buffer_bytes") == 0


async def test_counters_are_exact_whatever_became_of_reports(plane: DataPlane, monitor: FakeIngest):
    await ask(plane, 5)
    await eventually(lambda: monitor.counted())
    monitor.lose = 2
    await ask(plane, 5)
    wrong = predict_request("digits", ("x", "FP32", [1, 3], ROW[:12]))
    for request in (wrong, predict_request("nobody"), predict_request("nobody-else")):
        with pytest.raises(grpc.aio.AioRpcError):
            await plane.stub.Predict(request)
    expected = {
        ("digits", "v1", ONLINE, OK): 10,
        ("digits", "v1", 0, INVALID): 1,
        ("", "", 0, NOT_FOUND): 2,
    }
    await eventually(lambda: monitor.counted() == expected)
    assert len({one.process for one in monitor.reports}) == 1
    assert all(one.data_plane == "plane-7" for one in monitor.reports)
    numbers = [one.sequence for one in monitor.reports]
    assert numbers == sorted(set(numbers))
    online = [one for report in monitor.reports for one in report.series if one.served_from == ONLINE]
    assert online[-1].rows == 10
    assert 0 < online[-1].duration_sum_s < 10


async def test_a_batch_that_is_refused_is_counted_and_the_next_one_sent(plane: DataPlane, monitor: FakeIngest):
    monitor.refuse = grpc.StatusCode.INVALID_ARGUMENT
    await ask(plane, 2)
    dropped = {"reason": "BATCH_REFUSED"}

    async def refused() -> bool:
        return await plane.metric("headrace_router_dropped_predictions_total", **dropped) == 2

    await eventually(refused)
    monitor.refuse = None
    asked = await ask(plane, 1)
    await eventually(lambda: set(ids_of(monitor)) == asked)
    await eventually(lambda: monitor.dropped() == {"BATCH_REFUSED": 2})


async def test_what_is_buffered_is_sent_when_the_data_plane_stops(control, batcher, monitor, tmp_path):
    how = {"monitor_target": monitor.target, "record_flush_s": 60.0, "grace_s": 5.0}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
        asked = await ask(plane, 4)
        assert not monitor.received
    assert set(ids_of(monitor)) == asked
    assert monitor.counted() == {("digits", "v1", ONLINE, OK): 4}


async def test_a_monitor_that_hangs_holds_up_neither_predictions_nor_the_end(control, batcher, monitor, tmp_path):
    monitor.going.clear()
    how = {"monitor_target": monitor.target, "record_flush_s": 0.0, "grace_s": 0.3}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
        await ask(plane, 1)
        await eventually(lambda: monitor.received)
        assert len(await ask(plane, 20)) == 20
        assert plane.runtime.health.ready
        stopping = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stopping < 3


async def test_kept_answers_are_recorded_with_their_source_and_age(control, batcher, monitor, tmp_path):
    how = {"monitor_target": monitor.target, "record_flush_s": 0.0, "grace_s": 0.3, "cache_ttl_s": 60.0}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
        answers = [await plane.stub.Predict(DIGITS, timeout=5) for _ in range(4)]
        await eventually(lambda: len(ids_of(monitor)) == 4)
        saved = {"model": "digits", "version": "v1", "source": "cache"}
        saved_s = await plane.metric("headrace_router_saved_compute_seconds_total", **saved)
    assert [one.served_from for one in answers] == [ONLINE, CACHE, CACHE, CACHE]
    recorded = {one.prediction_id: (one.group.served_from, one.age_ms) for one in monitor.predictions()}
    assert recorded == {one.prediction_id: (one.served_from, one.age_ms) for one in answers}
    assert saved_s == pytest.approx(3 * COMPUTE_US / 1e6)


async def test_a_buffer_that_is_full_drops_the_oldest_and_says_so(control, batcher, monitor, tmp_path):
    monitor.refuse = grpc.StatusCode.UNAVAILABLE
    how = {"monitor_target": monitor.target, "record_flush_s": 0.0, "grace_s": 3.0, "record_buffer_bytes": 65_536}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
        request = predict_request("digits", ("x", "FP32", [64, 4], ROW * 64))
        asked: list[str] = []

        async def dropped() -> float:
            asked.append((await plane.stub.Predict(request)).prediction_id)
            return await plane.metric("headrace_router_dropped_predictions_total", reason="BUFFER_FULL")

        await eventually(dropped, within=20)
        monitor.refuse = None
    stored = set(ids_of(monitor))
    assert stored < set(asked)
    assert asked[-1] in stored
    assert monitor.dropped() == {"BUFFER_FULL": len(asked) - len(stored)}
    assert monitor.numbers() == list(range(1, len(monitor.stored) + 1))


async def test_invalid_answers_and_the_units_that_erred_are_counted(plane: DataPlane, batcher, monitor: FakeIngest):
    async def garbage(fake: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
        response = await echoing(fake, request)
        response.invalid_rows = 1
        return response

    batcher.behave = garbage
    for user in ("ann", "bob", "ann"):
        await plane.stub.Predict(predict_request("digits", ("x", "FP32", [1, 4], ROW), user_id=user), timeout=5)
    batcher.behave = refusing(13, "INTERNAL")
    with pytest.raises(grpc.aio.AioRpcError):
        await plane.stub.Predict(predict_request("digits", ("x", "FP32", [1, 4], ROW), user_id="cid"), timeout=5)

    def last(code: int) -> telemetry_pb2.CounterSeries:
        found = [one for report in monitor.reports for one in report.series if one.code == code]
        assert found
        return found[-1]

    await eventually(lambda: last(OK).invalid == 3 and sum(last(13).duration_counts) == 1)
    assert last(OK).degraded == 0
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await plane.stub.Predict(predict_request("digits", ("x", "FP32", [1, 3], ROW[:3]), user_id="dan"), timeout=5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await eventually(lambda: any(report.refused_units for report in monitor.reports))
    for field, users in (("erring_units", ("ann", "bob", "cid")), ("refused_units", ("dan",))):
        units = [one for report in monitor.reports for one in getattr(report, field)]
        assert {(one.model, one.version, one.variant) for one in units} == {("digits", "v1", "v1")}
        assert {number for one in units for number in one.hashes} == {point_of(user) for user in users}


async def test_where_each_request_is_assigned_by_itself_nobody_counts_units(
    plane: DataPlane, batcher, control: FakeControl, monitor: FakeIngest
):
    changed = table("digits", [V1], generation=2)
    changed.unit = route_pb2.Route.UNIT_REQUEST
    control.put_table(changed)

    async def in_force() -> bool:
        return (await plane.stub.Predict(DIGITS, timeout=5)).generation == 2

    await eventually(in_force, within=10)
    batcher.behave = refusing(13, "INTERNAL")
    with pytest.raises(grpc.aio.AioRpcError):
        await plane.stub.Predict(predict_request("digits", ("x", "FP32", [1, 4], ROW), user_id="ann"), timeout=5)
    await eventually(lambda: any(one.code == 13 for report in monitor.reports for one in report.series), within=10)
    assert not any(report.erring_units for report in monitor.reports)


async def test_a_data_plane_says_that_it_is_there_and_at_last_that_it_stops(control, batcher, monitor, tmp_path):
    how = {"monitor_target": monitor.target, "grace_s": 2.0}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how):
        await eventually(lambda: len(monitor.reports) > 1, within=10)
        assert not any(report.series or report.final for report in monitor.reports)
    assert [report.final for report in monitor.reports][-1]

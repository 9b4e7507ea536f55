"""Copies for shadows: made after the answer, few at a time, compared by the monitor, and seen by nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import control_pb2
from headrace_router.data.tables.table import POINTS, point_of
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing, refusing
from tests.kit.monitor.fake_ingest import FakeIngest
from tests.kit.router.answer_sources import CACHE, ONLINE
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import DIGITS, V1, V2, digits_request, row
from tests.kit.router.fake_control import FakeControl, table

SHADOW = batcher_pb2.InferRequest.PRIORITY_SHADOW


def shadowed(share: float = 1.0) -> control_pb2.RouteTable:
    """Return a table whose second version gets copies of what the first one answers."""
    made = table("digits", [V1, V2])
    made.shadowing.variant, made.shadowing.share = 1, share
    return made


@pytest.fixture
async def monitor() -> AsyncIterator[FakeIngest]:
    async with FakeIngest.serving() as monitor:
        yield monitor


@pytest.fixture
async def batcher() -> AsyncIterator[FakeBatcher]:
    async with FakeBatcher.serving([V1, V2]) as batcher:
        yield batcher


@pytest.fixture
async def plane(control: FakeControl, batcher, monitor, tmp_path) -> AsyncIterator[DataPlane]:
    control.put_table(shadowed())
    how = {"monitor_target": monitor.target, "grace_s": 0.3, "cache_ttl_s": 60.0, "shadow_max_in_flight": 4}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
        yield plane


def copies(batcher: FakeBatcher) -> list[batcher_pb2.InferRequest]:
    return [one for one in batcher.requests if one.priority == SHADOW]


async def test_a_computed_answer_and_the_shadows_are_told_as_a_pair(plane, batcher, monitor):
    answer = await plane.stub.Predict(DIGITS, timeout=5)
    await eventually(lambda: monitor.pairs, within=10)
    (pair,) = monitor.pairs
    assert (pair.model, pair.version, pair.shadow_version) == ("digits", "v1", "v2")
    assert (pair.prediction_id, pair.rows, pair.shadow_code) == (answer.prediction_id, 1, 0)
    assert pair.outputs
    assert pair.shadow_outputs
    assert pair.took_us > 0
    (copy,) = copies(batcher)
    (primary,) = [one for one in batcher.requests if one.priority != SHADOW]
    assert batcher.versions[copy.version].version == "v2"
    assert list(copy.inputs) == list(primary.inputs)


async def test_a_shadow_is_in_no_cache_no_counter_and_no_record(plane, batcher, monitor):
    first = await plane.stub.Predict(DIGITS, timeout=5)
    again = await plane.stub.Predict(DIGITS, timeout=5)
    pinned = await plane.stub.Predict(digits_request(version="v2"), timeout=5)
    assert (first.served_from, again.served_from, pinned.served_from) == (ONLINE, CACHE, ONLINE)
    await eventually(lambda: sum(monitor.counted().values()) == 3)
    assert len(copies(batcher)) == 1  # neither of what was kept, nor of what the shadow's own version answered
    assert monitor.counted() == {
        ("digits", "v1", ONLINE, 0): 1,
        ("digits", "v1", CACHE, 0): 1,
        ("digits", "v2", ONLINE, 0): 1,
    }
    await eventually(lambda: len(monitor.predictions()) == 3)
    assert {one.group.version for one in monitor.predictions()} == {"v1", "v2"}


async def test_the_share_is_that_of_the_ids_of_predictions(control, batcher, monitor, tmp_path):
    control.put_table(shadowed(0.3))
    how = {"monitor_target": monitor.target, "grace_s": 0.3, "shadow_max_in_flight": 1000}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
        answers = [await plane.stub.Predict(digits_request(row(number, 0, 0, 0)), timeout=5) for number in range(60)]
        expected = {one.prediction_id for one in answers if point_of(one.prediction_id) < int(0.3 * POINTS)}
        await eventually(lambda: {one.prediction_id for one in monitor.pairs} == expected, within=10)
    assert 5 < len(expected) < 35


async def test_a_shadow_that_answers_nothing_holds_up_nobody_and_has_few_copies_at_a_time(plane, batcher, monitor):
    async def hanging(fake: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse | None:
        return None if request.priority == SHADOW else await echoing(fake, request)

    batcher.behave = hanging
    began = time.monotonic()
    requests = [plane.stub.Predict(digits_request(row(number, 1, 1, 1)), timeout=5) for number in range(40)]
    answers = await asyncio.gather(*requests)
    assert {one.version for one in answers} == {"v1"}
    assert time.monotonic() - began < 4
    assert len(copies(batcher)) == 4
    assert await plane.metric("headrace_router_shadow_in_flight") == 4
    assert await plane.metric("headrace_router_shadow_unsent_total", reason="NO_ROOM") == 36


async def test_an_error_of_the_shadow_is_its_own(plane, batcher, monitor):
    failing = refusing(13, "MODEL_BROKEN")

    async def broken(fake: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse | None:
        return await (failing if request.priority == SHADOW else echoing)(fake, request)

    batcher.behave = broken
    answer = await plane.stub.Predict(DIGITS, timeout=5)
    assert answer.version == "v1"
    await eventually(lambda: monitor.pairs, within=10)
    (pair,) = monitor.pairs
    assert (pair.shadow_code, pair.shadow_outputs) == (13, b"")
    assert set(monitor.counted()) <= {("digits", "v1", ONLINE, 0)}
    assert len(copies(batcher)) == 1


async def test_a_pool_without_room_for_a_shadow_drops_its_copies_and_tells_no_failure(control, monitor, tmp_path):
    async with FakeBatcher.serving([V1]) as batcher:  # nobody has the shadow's version
        control.put_table(shadowed())
        how = {"monitor_target": monitor.target, "grace_s": 0.3}
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
            assert (await plane.stub.Predict(DIGITS, timeout=5)).version == "v1"

            async def unsent() -> bool:
                return await plane.metric("headrace_router_shadow_unsent_total", reason="NO_BACKEND") == 1

            await eventually(unsent)
    assert not monitor.pairs


async def test_callers_cannot_say_that_their_work_is_a_shadow(plane):
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]
    body = {"inputs": inputs, "parameters": {"priority": 2}}
    refused = await plane.rest.post("/v2/models/digits/infer", json=body)
    assert refused.status_code == 400
    assert "parameters.priority" in refused.text


async def test_a_shadow_that_keeps_its_answers_has_them_when_it_gets_callers(control, batcher, monitor, tmp_path):
    made = shadowed()
    made.shadowing.keeps_answers = True
    control.put_table(made)
    how = {"monitor_target": monitor.target, "grace_s": 0.3, "cache_ttl_s": 60.0}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
        first = await plane.stub.Predict(DIGITS, timeout=5)

        async def kept() -> bool:
            return (await plane.stub.Predict(digits_request(version="v2"), timeout=5)).served_from == CACHE

        await eventually(lambda: plane.metric("headrace_router_shadow_answered_total"), within=10)
        assert await kept()
        again = await plane.stub.Predict(DIGITS, timeout=5)
        await eventually(lambda: len(monitor.pairs) == 1, within=10)
        # What it has already is not computed again.
        await plane.stub.Predict(DIGITS, timeout=5)
    assert (first.served_from, again.served_from) == (ONLINE, CACHE)
    assert len(copies(batcher)) == 1
    assert len(monitor.pairs) == 1
    assert {key[1] for key in monitor.counted()} == {"v1", "v2"}


async def test_a_shadow_that_keeps_its_answers_gets_copies_of_what_was_at_hand_and_tells_no_pair_of_them(
    control, batcher, monitor, tmp_path
):
    control.put_table(table("digits", [V1, V2], generation=1))
    how = {"monitor_target": monitor.target, "grace_s": 0.3, "cache_ttl_s": 60.0}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
        await plane.stub.Predict(DIGITS, timeout=5)
        made = shadowed()
        made.generation, made.shadowing.keeps_answers = 2, True
        control.put_table(made)

        async def at_hand() -> bool:
            answer = await plane.stub.Predict(DIGITS, timeout=5)
            assert answer.served_from == CACHE
            return len(copies(batcher)) == 1

        await eventually(at_hand, within=10)
        await eventually(lambda: plane.metric("headrace_router_shadow_answered_total"), within=10)
        assert (await plane.stub.Predict(digits_request(version="v2"), timeout=5)).served_from == CACHE
    assert len(copies(batcher)) == 1
    assert not monitor.pairs

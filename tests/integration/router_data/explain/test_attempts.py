"""What an explanation says was tried: batchers, fallbacks, stored answers, hedges."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import grpc.aio
import pytest
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing, held, refusing
from tests.kit.clients.refusals import refused
from tests.kit.router.answer_sources import CACHE, FALLBACK, ONLINE
from tests.kit.router.data_plane import data_plane
from tests.kit.router.digits import V1, V2
from tests.kit.router.explain_requests import asking, explain
from tests.kit.router.fake_control import table
from tests.kit.router.fallback_steps import backup, constant, with_steps


@pytest.mark.parametrize(
    ("behave", "code", "reason"),
    [
        pytest.param(refusing(8, "QUEUE_FULL"), Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", id="overload"),
        pytest.param(refusing(3, "NAN_NOT_ALLOWED"), Code.INVALID_ARGUMENT, "NAN_NOT_ALLOWED", id="input"),
        pytest.param(refusing(14, "NO_BACKEND"), Code.UNAVAILABLE, "NO_BACKEND", id="no backend"),
    ],
)
async def test_errors_are_explained_with_code_reason_and_what_was_tried(plane, batcher, behave, code, reason):
    batcher.behave = behave
    request_id = uuid.uuid4().hex
    error = await refused(plane.stub.Predict(asking(request_id=request_id), timeout=5))
    assert error.code is code
    told = await plane.stub.Explain(explain(request_id=request_id), timeout=5)
    assert (told.code, told.reason) == (code, reason)
    assert (told.served_from, told.version) == (0, "")
    assert [one.reason for one in told.attempts] == [reason]


async def test_a_request_that_went_to_a_second_batcher_shows_both(control, valkey_url, tmp_path):
    async with FakeBatcher.serving([V1, V2], process="one") as one, FakeBatcher.serving([V1, V2], process="two") as two:
        pools = {"default": [one.target, two.target]}
        async with data_plane(control.target, pools, tmp_path, valkey_url=valkey_url) as plane:
            await eventually(lambda: len(one.streams) + len(two.streams) == 2)
            one.behave = two.behave = refusing(14, "NOT_LOADED")
            await refused(plane.stub.Predict(asking(request_id="both"), timeout=5))
            told = await plane.stub.Explain(explain(request_id="both"), timeout=5)
    assert {attempt.batcher for attempt in told.attempts} == {one.target, two.target}
    assert [attempt.reason for attempt in told.attempts] == ["NOT_LOADED", "NOT_LOADED"]
    assert told.attempts[0].begin_us + told.attempts[0].took_us <= told.attempts[1].begin_us


async def test_a_caller_who_ran_out_of_time_finds_out_where_its_request_was(plane, batcher):
    batcher.behave = held(asyncio.Event())
    with pytest.raises(grpc.aio.AioRpcError):
        await plane.stub.Predict(asking(request_id="late"), timeout=0.2)
    told = await plane.stub.Explain(explain(request_id="late"), timeout=5)
    assert told.code in (1, 4)
    (attempt,) = told.attempts
    assert attempt.batcher == batcher.target
    assert attempt.reason == told.reason
    assert told.total_us >= 150_000


async def test_a_climb_down_the_fallbacks_is_told_step_by_step(control, valkey_url, tmp_path):
    control.put_table(with_steps(backup("small", V2, "cpu"), constant()))
    async with FakeBatcher.serving([V1]) as gpu, FakeBatcher.serving([V2], process="cpu") as cpu:
        pools = {"default": [gpu.target], "cpu": [cpu.target]}
        async with data_plane(control.target, pools, tmp_path, valkey_url=valkey_url) as plane:
            gpu.behave = refusing(14, "STOPPING")
            await plane.stub.Predict(asking(request_id="from-the-cpu"), timeout=5)
            cpu.behave = refusing(14, "STOPPING")
            await plane.stub.Predict(asking(request_id="given"), timeout=5)
            small = await plane.stub.Explain(explain(request_id="from-the-cpu"), timeout=5)
            given = await plane.stub.Explain(explain(request_id="given"), timeout=5)
    assert (small.fallback_step, small.degraded_reason, small.version, small.variant_version) == (
        "small",
        "STOPPING",
        "v2",
        "v1",
    )
    assert [(one.step, one.version, one.pool, one.batcher, one.reason) for one in small.attempts] == [
        ("primary", "v1", "default", gpu.target, "STOPPING"),
        ("small", "v2", "cpu", cpu.target, ""),
    ]
    assert [(one.step, one.version, one.reason) for one in given.attempts] == [
        ("primary", "v1", "STOPPING"),
        ("small", "v2", "STOPPING"),
        ("neutral", "", ""),
    ]
    assert (given.served_from, given.version) == (FALLBACK, "")


@pytest.fixture
async def keeping_plane(control, batcher, valkey_url, tmp_path):
    """A data plane that keeps answers for a minute."""
    pools = {"default": [batcher.target]}
    async with data_plane(control.target, pools, tmp_path, valkey_url=valkey_url, cache_ttl_s=60) as plane:
        yield plane


async def test_an_answer_from_the_cache_says_that_no_batcher_was_asked(keeping_plane, batcher):
    plane = keeping_plane
    await plane.stub.Predict(asking(version="v1"), timeout=5)
    answer = await plane.stub.Predict(asking(version="v1"), timeout=5)
    assert answer.served_from == CACHE
    told = await plane.stub.Explain(explain(prediction_id=answer.prediction_id), timeout=5)
    assert (told.served_from, told.version, told.lookup_outcome) == (answer.served_from, "v1", "")
    assert [(one.step, one.batcher, one.reason) for one in told.attempts] == [("primary", "", "")]
    assert len(batcher.requests) == 1


async def test_a_request_that_waited_for_the_answer_of_another_says_so(keeping_plane, batcher):
    plane = keeping_plane
    gate = asyncio.Event()
    batcher.behave = held(gate)
    first = asyncio.ensure_future(_answer(plane, request_id="first", explain=False))
    await eventually(lambda: batcher.requests)
    second = asyncio.ensure_future(_answer(plane, request_id="second"))
    third = asyncio.ensure_future(_answer(plane, request_id="third", version="v2"))
    await eventually(lambda: len(batcher.requests) == 2)  # the third one's: the second has joined the first by then
    gate.set()
    await asyncio.gather(first, second, third)
    told = await plane.stub.Explain(explain(request_id="second"), timeout=5)
    assert (told.shared_execution, told.served_from) == (True, ONLINE)
    assert [(one.step, one.batcher) for one in told.attempts] == [("primary", "")]
    alone = await plane.stub.Explain(explain(request_id="third"), timeout=5)
    assert (alone.shared_execution, alone.attempts[0].batcher) == (False, batcher.target)


async def _answer(plane, **fields):
    return await plane.stub.Predict(asking(**{"version": "v1", **fields}), timeout=10)


async def test_a_hedged_request_shows_both_batchers_and_which_one_was_too_late(control, valkey_url, tmp_path):
    route = table("digits", [V1])
    route.hedging.delay.FromMilliseconds(20)
    control.put_table(route)
    async with FakeBatcher.serving([V1], process="one") as one, FakeBatcher.serving([V1], process="two") as two:
        pools = {"default": [one.target, two.target]}
        async with data_plane(control.target, pools, tmp_path, valkey_url=valkey_url) as plane:
            await eventually(lambda: len(one.streams) + len(two.streams) == 2)
            await asyncio.gather(*(plane.stub.Predict(asking(explain=False), timeout=5) for _ in range(25)))
            first_one_hangs, before = asyncio.Event(), len(one.requests) + len(two.requests)

            async def behave(batcher, request):
                if len(one.requests) + len(two.requests) == before + 1:
                    await first_one_hangs.wait()
                return await echoing(batcher, request)

            one.behave = two.behave = behave
            await plane.stub.Predict(asking(request_id="late"), timeout=5)
            told = await plane.stub.Explain(explain(request_id="late"), timeout=5)
            first_one_hangs.set()
    assert [(attempt.hedge, attempt.reason) for attempt in told.attempts] == [(False, "WITHDRAWN"), (True, "")]
    assert {attempt.batcher for attempt in told.attempts} == {one.target, two.target}

"""Fallbacks through a whole data plane, over every protocol, between batchers that the test holds in its hand."""

from __future__ import annotations

import asyncio
import struct

import grpc
import grpc.aio
import pytest
from google.protobuf import duration_pb2
from headrace.router.v1 import predict_pb2
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, after, refusing, silent
from tests.kit.router.answer_sources import FALLBACK, ONLINE
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import V1, V2, digits_request
from tests.kit.router.fallback_steps import backup, constant, with_steps
from tests.kit.router.predict_requests import predict_request


@pytest.fixture
async def gpu():
    async with FakeBatcher.serving([V1]) as batcher:
        yield batcher


@pytest.fixture
async def cpu():
    async with FakeBatcher.serving([V2], process="fake-cpu") as batcher:
        yield batcher


@pytest.fixture
async def plane(control, gpu, cpu, tmp_path):
    control.put_table(with_steps(backup("small", V2, "cpu"), constant()))
    async with data_plane(control.target, {"default": [gpu.target], "cpu": [cpu.target]}, tmp_path) as plane:
        yield plane


async def ask(plane: DataPlane, timeout: float = 5.0, **fields) -> predict_pb2.PredictResponse:
    return await plane.stub.Predict(digits_request(**fields), timeout=timeout)


def told(answer: predict_pb2.PredictResponse) -> tuple[str, str, str]:
    return answer.version, answer.fallback_step, answer.degraded_reason


async def test_while_all_is_well_no_answer_is_degraded(plane):
    answer = await ask(plane)
    assert (told(answer), answer.served_from) == (("v1", "", ""), ONLINE)


async def test_with_the_pool_gone_every_answer_comes_from_the_next_step_and_says_so(plane, gpu, cpu):
    await gpu.die()
    answers = await asyncio.gather(*(ask(plane) for _ in range(100)))
    assert {told(one) for one in answers} == {("v2", "small", "NO_BACKEND")}
    assert {one.served_from for one in answers} == {FALLBACK}
    assert {one.variant for one in answers} == {"v1"}
    await cpu.die()
    answers = await asyncio.gather(*(ask(plane, outputs=["y"]) for _ in range(100)))
    assert {told(one) for one in answers} == {("", "neutral", "NO_BACKEND")}
    assert {one.raw_output_contents[0] for one in answers} == {struct.pack("<f", 0.5)}
    name, labels = "headrace_router_degraded_answers_total", {"model": "digits", "reason": "NO_BACKEND"}
    assert await plane.metric(name, **labels, fallback_step="small") == 100
    assert await plane.metric(name, **labels, fallback_step="neutral") == 100


async def test_everybody_is_answered_online_again_when_the_pool_is_back(plane, gpu):
    port = int(gpu.target.rpartition(":")[2])
    await gpu.die()
    assert told(await ask(plane))[1] == "small"
    await gpu.open(port)

    async def online() -> bool:
        return told(await ask(plane)) == ("v1", "", "")

    await eventually(online, within=10)


async def test_bad_input_is_refused_though_a_fallback_could_answer(plane, gpu):
    gpu.behave = refusing(3, "NAN_NOT_ALLOWED", blamed_input=1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(plane)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plane.stub.Predict(predict_request("digits", ("x", "FP32", [1, 3], bytes(12))), timeout=5)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_with_20_ms_left_and_30_needed_nobody_is_asked_in_vain(control, gpu, tmp_path):
    """Also when the deadline is long: who is late leaves time for the answer that is at hand."""
    gpu.behave = after(0.1)
    control.put_table(with_steps(constant(), versions=(V1,)))
    async with data_plane(control.target, {"default": [gpu.target]}, tmp_path) as plane:
        for _ in range(3):
            assert told(await ask(plane)) == ("v1", "", "")
        asked = len(gpu.requests)
        answers = [await ask(plane, timeout=0.08) for _ in range(10)]
        assert {told(one) for one in answers} == {("", "neutral", "TIME_SHORT")}
        assert len(gpu.requests) == asked
        gpu.behave = silent
        assert told(await ask(plane, timeout=0.5)) == ("", "neutral", "DEADLINE_PASSED")


async def test_a_step_with_too_little_time_is_passed_over(control, gpu, cpu, tmp_path):
    patient = backup("small", V2, "cpu")
    patient.min_time_left.CopyFrom(duration_pb2.Duration(seconds=3))
    control.put_table(with_steps(patient, constant()))
    await gpu.die()
    pools = {"default": [gpu.target], "cpu": [cpu.target]}
    async with data_plane(control.target, pools, tmp_path, connected=False) as plane:
        await eventually(lambda: cpu.streams)
        assert told(await ask(plane, timeout=2))[1] == "neutral"
        assert told(await ask(plane, timeout=5))[1] == "small"


async def test_rest_answers_say_so_too(plane, gpu):
    await gpu.die()
    body = {"instances": [[1, 2, 3, 4], [5, 6, 7, 8]]}
    natural = (await plane.rest.post("/v1/models/digits:predict", json=body)).json()
    assert (natural["fallback_step"], natural["degraded_reason"], natural["served_from"]) == (
        "small",
        "NO_BACKEND",
        "fallback",
    )
    assert natural["predictions"] == [[1.0], [5.0]]
    body = {"model_name": "digits", "inputs": {"x": [1, 2, 3, 4]}}
    spec = (await plane.rest.post("/v1/predict", json=body)).json()
    assert (spec["fallback_step"], spec["degraded_reason"], spec["model_version"]) == ("small", "NO_BACKEND", "v2")


async def test_a_full_outage_brings_no_storm_of_retries(control, tmp_path):
    """Batchers that live and whose backend is gone: every attempt reaches one, and fails there."""
    async with (
        FakeBatcher.serving([V1]) as one,
        FakeBatcher.serving([V1], process="fake-2") as other,
        FakeBatcher.serving([V2], process="fake-3") as cpu,
    ):
        control.put_table(with_steps(backup("small", V2, "cpu"), constant()))
        pools = {"default": [one.target, other.target], "cpu": [cpu.target]}
        async with data_plane(control.target, pools, tmp_path, max_in_flight=40) as plane:
            await eventually(lambda: plane.connected(2))
            one.behave = other.behave = cpu.behave = refusing(14, "NO_BACKEND")
            answers = []
            for _ in range(50):
                answers += await asyncio.gather(*(ask(plane) for _ in range(20)))
            attempts = len(one.requests) + len(other.requests) + len(cpu.requests)
    assert {(one.fallback_step, one.degraded_reason) for one in answers} == {("neutral", "NO_BACKEND")}
    assert attempts <= 1.2 * len(answers) + 40  # what a quiet data plane has saved up for the loss of a batcher


async def test_a_route_that_hedges_gets_the_answer_of_whoever_is_not_late(control, tmp_path):
    async with FakeBatcher.serving([V1]) as one, FakeBatcher.serving([V1], process="fake-2") as other:
        made = with_steps(versions=(V1,))
        made.hedging.delay.FromMilliseconds(30)
        control.put_table(made)
        pools = {"default": [one.target, other.target]}
        async with data_plane(control.target, pools, tmp_path, cache_ttl_s=0.0) as plane:
            await eventually(lambda: plane.connected(2))
            await asyncio.gather(*(ask(plane) for _ in range(60)))
            one.behave = silent

            async def hedged() -> bool:
                # Together: one at a time, all might go to the batcher that seems a little quicker.
                answers = await asyncio.gather(*(ask(plane) for _ in range(8)))
                assert {told(answer) for answer in answers} == {("v1", "", "")}
                return await plane.metric("headrace_router_hedges_total") > 0

            await eventually(hedged)
            await eventually(lambda: one.cancelled)

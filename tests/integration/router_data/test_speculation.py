"""Who is alone and whose answer Valkey will hardly have, between a real Valkey and a batcher that the test holds."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from headrace.router.v1 import predict_pb2
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import held
from tests.kit.router.answer_sources import CACHE, ONLINE
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import digits_request, row

# What is found is found in Valkey, for which a request would wait longer than the test takes.
PATIENT: dict[str, Any] = {"cache_ttl_s": 60.0, "cache_memory_bytes": 0, "valkey_timeout_s": 30.0}
# Unknown answers in a row, more than it takes to ask both at once.
UNKNOWN = 70


def request(number: float, **fields: Any) -> predict_pb2.PredictRequest:
    return digits_request(row(number, 2, 3, 4), **fields)


@pytest.fixture
async def plane(control, batcher, valkey, tmp_path):
    """One that keeps an answer to number -1 in Valkey."""
    async with data_plane(
        control.target, {"default": [batcher.target]}, tmp_path, valkey_url=valkey.url, **PATIENT
    ) as plane:
        await eventually(lambda: plane.runtime.health.components()["valkey"][0])
        await plane.stub.Predict(request(-1), timeout=5)
        async with valkey.client() as client:
            await eventually(lambda: client.keys("c:*"))
        yield plane


async def ask_for_what_nobody_knows(plane: DataPlane) -> None:
    for number in range(1000, 1000 + UNKNOWN):
        assert (await plane.stub.Predict(request(number), timeout=5)).served_from == ONLINE


async def reads(plane: DataPlane) -> float:
    return await plane.metric("headrace_router_lookup_store_reads_total")


@pytest.mark.faults
async def test_a_lone_unknown_request_is_computed_while_valkey_is_frozen(plane, valkey):
    await ask_for_what_nobody_knows(plane)
    valkey.freeze()
    before = await reads(plane)
    answer = await plane.stub.Predict(request(5), timeout=5)
    assert (answer.served_from, answer.raw_output_contents[0]) == (ONLINE, struct.pack("<f", 5))
    assert await plane.metric("headrace_router_lookup_misses_total", reason="NOT_AWAITED") >= 1
    assert await reads(plane) == before + 1  # it was asked, and nobody waited until it counted as late
    assert await plane.metric("headrace_router_lookup_store_late_total") == 0
    valkey.thaw()
    assert (await plane.stub.Predict(request(5), timeout=5)).served_from in (CACHE, ONLINE)


async def test_a_kept_answer_is_given_as_kept_and_its_execution_withdrawn(plane, batcher):
    await ask_for_what_nobody_knows(plane)
    batcher.behave = held(asyncio.Event())
    answer = await plane.stub.Predict(request(-1, explain=True), timeout=5)
    assert (answer.served_from, answer.raw_output_contents[0]) == (CACHE, struct.pack("<f", -1))
    assert await plane.metric("headrace_router_lookup_hits_total", source="cache", layer="valkey") == 1
    await eventually(lambda: batcher.cancelled == [one.id for one in batcher.requests[1 + UNKNOWN :]])
    told = await plane.stub.Explain(predict_pb2.ExplainRequest(prediction_id=answer.prediction_id), timeout=5)
    assert (told.served_from, told.lookup_outcome) == (CACHE, "")
    assert [(one.batcher, one.reason) for one in told.attempts] == [(batcher.target, "WITHDRAWN"), ("", "")]


async def test_where_valkey_mostly_has_the_answer_no_batcher_is_asked(plane, batcher):
    await ask_for_what_nobody_knows(plane)
    asked = 0

    async def waits_for_valkey() -> bool:
        nonlocal asked
        before = len(batcher.requests)
        for _ in range(3):
            assert (await plane.stub.Predict(request(-1), timeout=5)).served_from in (CACHE, ONLINE)
        asked = len(batcher.requests)
        return asked == before

    await eventually(waits_for_valkey)
    for _ in range(UNKNOWN):
        assert (await plane.stub.Predict(request(-1), timeout=5)).served_from == CACHE
    assert len(batcher.requests) == asked

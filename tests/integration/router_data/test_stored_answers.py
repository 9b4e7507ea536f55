"""Stored answers on a real Valkey, between a control plane and a batcher that the test holds in its hand."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

import grpc
import grpc.aio
import pytest
import redis.asyncio
from google.protobuf import duration_pb2
from headrace.router.v1 import predict_pb2
from headrace.router.v1.control_pb2 import StoredAnswers
from headrace_router import stored_answers
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import held, refusing
from tests.kit.clients.refusals import grpc_refusal
from tests.kit.router.answer_sources import CACHE, ONLINE, PRECOMPUTED, STALE
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import V1, digits_request, row
from tests.kit.router.fake_control import INCARNATION, FakeControl, lookup, table

# A loaded machine may take its time; what is tested is who answers, not how fast.
PATIENT: dict[str, Any] = {"valkey_timeout_s": 2.0, "cache_ttl_s": 60.0}


def request(number: float = 1.0, **fields):
    return digits_request(row(number, 2, 3, 4), **fields)


@pytest.fixture
async def plane(control, batcher, valkey_url, tmp_path):
    async with data_plane(
        control.target, {"default": [batcher.target]}, tmp_path, valkey_url=valkey_url, **PATIENT
    ) as plane:
        await connected(plane)
        yield plane


async def connected(plane: DataPlane) -> None:
    await eventually(lambda: plane.runtime.health.components()["valkey"][0])


async def test_an_answer_is_computed_once_and_then_comes_from_the_cache(plane, batcher):
    first = await plane.stub.Predict(request(), timeout=5)
    second = await plane.stub.Predict(request(), timeout=5)
    assert (first.served_from, second.served_from) == (ONLINE, CACHE)
    assert (second.version, second.raw_output_contents) == (first.version, first.raw_output_contents)
    assert 0 <= second.age_ms < 5000
    assert len(batcher.requests) == 1


async def test_another_data_plane_finds_the_answer_in_valkey(plane, control, batcher, valkey_url, tmp_path):
    await plane.stub.Predict(request(), timeout=5)
    async with data_plane(
        control.target, {"default": [batcher.target]}, tmp_path / "other", valkey_url=valkey_url, id="data-1", **PATIENT
    ) as other:
        await connected(other)
        assert (await other.stub.Predict(request(), timeout=5)).served_from == CACHE
        assert await other.metric("headrace_router_lookup_hits_total", source="cache", layer="valkey") == 1
    assert len(batcher.requests) == 1


async def test_a_thousand_requests_of_one_key_are_one_execution(plane, batcher):
    gate = asyncio.Event()
    batcher.behave = held(gate)
    calls = [asyncio.ensure_future(plane.stub.Predict(request(), timeout=30)) for _ in range(1000)]
    await eventually(lambda: batcher.requests)
    gate.set()
    answers = await asyncio.gather(*calls)
    assert len(batcher.requests) == 1
    assert {answer.served_from for answer in answers} <= {ONLINE, CACHE}
    assert len({answer.prediction_id for answer in answers}) == 1000


async def test_a_leader_that_leaves_strands_nobody(plane, batcher):
    gate = asyncio.Event()
    batcher.behave = held(gate)
    leader = plane.stub.Predict(request(), timeout=5)
    await eventually(lambda: batcher.requests)
    others = [asyncio.ensure_future(plane.stub.Predict(request(), timeout=5)) for _ in range(3)]
    await eventually(lambda: plane.metric("headrace_router_tables_watched"))
    leader.cancel()
    gate.set()
    assert {answer.version for answer in await asyncio.gather(*others)} == {"v1"}


async def test_a_caller_that_accepts_no_age_is_computed_for(plane, batcher):
    for _ in range(2):
        assert (await plane.stub.Predict(request(max_age=duration_pb2.Duration()), timeout=5)).served_from == ONLINE
    assert len(batcher.requests) == 2


async def test_the_faces_share_what_is_kept(plane, batcher):
    computed = await plane.stub.Predict(request(), timeout=5)
    answer = (await plane.rest.post("/v1/models/digits:predict", json={"instances": [[1, 2, 3, 4]]})).json()
    assert answer["served_from"] == "cache"
    assert struct.pack("<f", answer["predictions"][0][0]) == computed.raw_output_contents[0]
    assert len(batcher.requests) == 1


async def test_a_purged_answer_is_computed_anew(plane, control):
    await plane.stub.Predict(request(), timeout=5)
    generation = control.put_table(table("digits", [V1], kept=[StoredAnswers(digest=V1.digest, cache_epoch=1)]))
    await eventually(lambda: control.acknowledged.get("data-0") == generation)
    assert (await plane.stub.Predict(request(), timeout=5)).served_from == ONLINE


async def test_a_stale_answer_stands_in_while_the_model_fails(plane, control, batcher):
    policy = lookup(ttl=0.05, stale_on_error=600)
    generation = control.put_table(table("digits", [V1], lookup=policy))
    await eventually(lambda: control.acknowledged.get("data-0") == generation)
    await plane.stub.Predict(request(), timeout=5)
    batcher.behave = refusing(14, "BACKEND_CRASHED")

    answers: list[Any] = []

    async def stale() -> bool:
        answers.append(await plane.stub.Predict(request(), timeout=5))
        return answers[-1].served_from == STALE

    await eventually(stale)
    assert answers[-1].degraded_reason == "BACKEND_CRASHED"
    assert answers[-1].raw_output_contents[0] == request().raw_input_contents[0][:4]


class TestPrecomputed:
    @pytest.fixture
    async def store(self, valkey_url):
        client = redis.asyncio.Redis.from_url(valkey_url)
        yield client
        await client.aclose()

    async def put(self, store: redis.asyncio.Redis, entity: str, number: float) -> None:
        message = predict_pb2.PredictResponse(raw_output_contents=[struct.pack("<f", number)])
        message.outputs.add(name="y", datatype="FP32", shape=[1, 1])
        key = stored_answers.precomputed_prefix(INCARNATION, V1.digest, 7) + entity.encode()
        entry = stored_answers.Entry(int(time.time() * 1000) - 5000, message.SerializeToString())
        await store.set(key, stored_answers.encode(key, entry))

    async def in_mode(self, control: FakeControl, mode: str) -> None:
        answers = [StoredAnswers(digest=V1.digest, precomputed_generation=7)]
        generation = control.put_table(table("digits", [V1], lookup=lookup(mode=mode), kept=answers))
        await eventually(lambda: control.acknowledged.get("data-0") == generation)

    async def test_an_entity_that_was_computed_beforehand_is_not_computed(self, plane, control, batcher, store):
        await self.put(store, "ada", 42.0)
        await self.in_mode(control, "HYBRID")
        known = await plane.stub.Predict(request(entity_id="ada"), timeout=5)
        assert (known.served_from, known.raw_output_contents[0]) == (PRECOMPUTED, struct.pack("<f", 42.0))
        assert 5000 <= known.age_ms < 60_000
        assert (await plane.stub.Predict(request(entity_id="bob"), timeout=5)).served_from == ONLINE
        assert len(batcher.requests) == 1

    async def test_in_batch_mode_an_entity_is_enough_on_every_face(self, plane, control, batcher, store):
        await self.put(store, "ada", 42.0)
        await self.in_mode(control, "BATCH")
        asked = predict_pb2.PredictRequest(model="digits", entity_id="ada")
        assert (await plane.stub.Predict(asked, timeout=5)).raw_output_contents[0] == struct.pack("<f", 42.0)
        natural = (await plane.rest.post("/v1/models/digits:predict", json={"entity_id": "ada"})).json()
        body = {"model_name": "digits", "metadata": {"entity_id": "ada"}}
        specification = (await plane.rest.post("/v1/predict", json=body)).json()
        inference = (
            await plane.rest.post(
                "/v2/models/digits/infer", json={"inputs": [], "parameters": {"headrace_entity_id": "ada"}}
            )
        ).json()
        assert (natural["predictions"], natural["served_from"]) == ([[42.0]], "precomputed")
        assert natural["age_ms"] >= 5000
        assert specification["prediction"] == [42.0]
        assert inference["outputs"][0]["data"] == [42.0]
        assert not batcher.requests

    @pytest.mark.parametrize(
        ("fields", "code", "reason", "field"),
        [
            pytest.param({"entity_id": "eve"}, "NOT_FOUND", "NOT_PRECOMPUTED", "", id="no answer"),
            pytest.param({}, "INVALID_ARGUMENT", "ENTITY_MISSING", "entity_id", id="no entity"),
        ],
    )
    async def test_in_batch_mode_what_is_missing_is_told(self, plane, control, batcher, fields, code, reason, field):
        await self.in_mode(control, "BATCH")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await plane.stub.Predict(predict_pb2.PredictRequest(model="digits", **fields), timeout=5)
        refusal = grpc_refusal(caught.value)
        assert (refusal.code.name, refusal.reason) == (code, reason)
        assert refusal.fields == ((field,) if field else ())
        assert not batcher.requests

    async def test_where_answers_are_computed_inputs_are_needed(self, plane, control):
        await self.in_mode(control, "HYBRID")
        answer = await plane.rest.post("/v1/models/digits:predict", json={"entity_id": "ada"})
        assert answer.status_code == 400
        assert answer.json()["message"] == "instances: input 'x' is missing"

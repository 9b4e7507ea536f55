"""Explain between two data planes, a control plane and batchers that the test holds in its hand, on a real Valkey."""

from __future__ import annotations

import time

import grpc
import grpc.aio
import pytest
from headrace_router import stored_answers
from headrace_servicekit.testing import eventually
from redis.asyncio import Redis

from tests.kit.batcher.fake_batcher import refusing
from tests.kit.clients.refusals import refused
from tests.kit.router.answer_sources import ONLINE
from tests.kit.router.data_plane import data_plane
from tests.kit.router.digits import ROW, V1, V2
from tests.kit.router.explain_requests import asking, explain
from tests.kit.router.fake_control import INCARNATION, table
from tests.kit.router.predict_requests import predict_request
from tests.kit.stores.servers import kill_component


async def test_any_data_plane_tells_how_an_answer_of_another_came_about(plane, other_plane, batcher):
    before = time.time()
    answer = await plane.stub.Predict(asking(user_id="ada", request_id="req-1"), timeout=5)
    told = await other_plane.stub.Explain(explain(prediction_id=answer.prediction_id), timeout=5)
    assert (told.prediction_id, told.request_id, told.data_plane) == (answer.prediction_id, "req-1", "data-0")
    assert (told.model, told.variant, told.variant_version, told.version) == (
        "digits", answer.variant, answer.version, answer.version,
    )  # fmt: skip
    assert told.digest == {"v1": V1, "v2": V2}[answer.version].digest
    assert (told.generation, told.rule, told.client, told.code) == (1, "", "internal", 0)
    assert told.HasField("bucket")
    assert 0 <= told.bucket < 1_000_000
    assert told.served_from == ONLINE
    assert before - 1 < told.receive_time.ToMicroseconds() / 1e6 < time.time() + 1
    (attempt,) = told.attempts
    assert (attempt.step, attempt.version, attempt.pool, attempt.batcher) == (
        "primary", answer.version, "default", batcher.target,
    )  # fmt: skip
    assert (attempt.queue_us, attempt.compute_us, attempt.batch_rows, attempt.batch_mates) == (100, 200, 1, 0)
    assert attempt.reason == ""
    assert 0 < told.route_us <= attempt.begin_us
    assert attempt.begin_us + attempt.took_us <= told.total_us


async def test_the_same_unit_falls_into_the_slot_that_is_told(plane):
    buckets = set()
    for _ in range(3):
        answer = await plane.stub.Predict(asking(user_id="ada"), timeout=5)
        buckets.add((await plane.stub.Explain(explain(prediction_id=answer.prediction_id), timeout=5)).bucket)
    assert len(buckets) == 1


async def test_a_pinned_version_and_a_lone_variant_hash_nobody(plane, control):
    answer = await plane.stub.Predict(asking(version="v2"), timeout=5)
    told = await plane.stub.Explain(explain(prediction_id=answer.prediction_id), timeout=5)
    assert (told.variant, told.variant_version, told.HasField("bucket")) == ("", "v2", False)
    control.put_table(table("digits", [V1]))
    told = await eventually(lambda: _told_of_generation(plane, 2))
    assert told is not None
    assert (told.variant, told.HasField("bucket")) == ("v1", False)


async def _told_of_generation(plane, generation):
    answer = await plane.stub.Predict(asking(), timeout=5)
    told = await plane.stub.Explain(explain(prediction_id=answer.prediction_id), timeout=5)
    return told if told.generation == generation else None


async def test_a_header_asks_for_an_explanation_on_every_face(plane):
    header = (("x-headrace-explain", "1"), ("x-request-id", "by-grpc"))
    await plane.stub.Predict(asking(explain=False), timeout=5, metadata=header)
    body = {"instances": [[1, 2, 3, 4]]}
    await plane.rest.post("/v1/models/digits:predict", json=body, headers={**dict(header), "x-request-id": "by-rest"})
    for request_id in ("by-grpc", "by-rest"):
        assert (await plane.stub.Explain(explain(request_id=request_id), timeout=5)).request_id == request_id


async def test_of_several_answers_to_a_request_the_last_is_explained(plane, other_plane):
    await plane.stub.Predict(asking(request_id="twice"), timeout=5)
    await eventually(lambda: _has_kept(plane, 1))
    answer = await other_plane.stub.Predict(asking(request_id="twice"), timeout=5)
    await eventually(lambda: _has_kept(other_plane, 1))
    told = await plane.stub.Explain(explain(request_id="twice"), timeout=5)
    assert (told.prediction_id, told.data_plane) == (answer.prediction_id, "data-1")


async def test_a_broken_contract_is_explained_before_anything_was_tried(plane):
    request = predict_request("digits", ("x", "FP64", [1, 4], ROW), explain=True, request_id="broken")
    await refused(plane.stub.Predict(request, timeout=5))
    told = await plane.stub.Explain(explain(request_id="broken"), timeout=5)
    assert (told.code, told.reason) == (3, "CONTRACT_VIOLATED")
    assert told.variant in ("v1", "v2")
    assert not told.attempts


async def test_the_error_of_a_caller_without_a_request_id_is_found_by_the_one_in_the_trailers(plane, batcher):
    batcher.behave = refusing(8, "QUEUE_FULL")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plane.stub.Predict(asking(request_id="mine"), timeout=5)
    theirs = dict(caught.value.trailing_metadata() or ())["x-request-id"]
    assert theirs != "mine"
    assert (await plane.stub.Explain(explain(request_id=str(theirs)), timeout=5)).request_id == "mine"


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        pytest.param(explain(), "INVALID_ARGUMENT", "ID_MISSING", id="no id"),
        pytest.param(explain(prediction_id="a", request_id="b"), "INVALID_ARGUMENT", "ID_MISSING", id="two ids"),
        pytest.param(explain(prediction_id="a"), "NOT_FOUND", "EXPLANATION_NOT_FOUND", id="unknown prediction"),
        pytest.param(explain(request_id="a" * 5000), "NOT_FOUND", "EXPLANATION_NOT_FOUND", id="endless request"),
    ],
)
async def test_what_cannot_be_explained_is_refused_with_a_reason(plane, request_, code, reason):
    error = await refused(plane.stub.Explain(request_, timeout=5))
    assert (error.code.name, error.reason) == (code, reason)


async def test_answers_of_models_that_a_caller_may_not_see_look_like_those_that_were_not_kept(plane):
    answer = await plane.stub.Predict(asking(), timeout=5)
    for models, found in (("digits", True), ("dig*,other", True), ("other", False), (",", False)):
        metadata = (("x-headrace-client", "ada"), ("x-headrace-models", models))
        call = plane.stub.Explain(explain(prediction_id=answer.prediction_id), timeout=5, metadata=metadata)
        if found:
            assert (await call).model == "digits"
        else:
            error = await refused(call)
            assert (error.code.name, error.reason) == ("NOT_FOUND", "EXPLANATION_NOT_FOUND")


async def test_answers_that_nobody_asked_about_are_not_kept_but_for_a_sample(control, batcher, valkey_url, tmp_path):
    pools = {"default": [batcher.target]}
    async with data_plane(control.target, pools, tmp_path, valkey_url=valkey_url, explain_one_in=5) as plane:
        answers = [await plane.stub.Predict(asking(explain=False), timeout=5) for _ in range(10)]
        await eventually(lambda: _has_kept(plane, 2))
        async with Redis.from_url(valkey_url) as store:
            keys = [stored_answers.explanation_key(INCARNATION, answer.prediction_id) for answer in answers]
            there = [await store.exists(key) for key in keys]
            assert there == [0, 0, 0, 0, 1] * 2
            assert 3500 < await store.ttl(keys[4]) <= 3600


async def _has_kept(plane, count):
    return await plane.metric("headrace_router_explanations_kept_total") == count


async def test_without_valkey_predictions_go_on_and_explanations_are_unavailable(
    control, batcher, valkey_server, valkey_url, tmp_path
):
    pools = {"default": [batcher.target]}
    async with data_plane(control.target, pools, tmp_path, valkey_url=valkey_url) as plane:
        kill_component(valkey_server, "valkey")
        answer = await plane.stub.Predict(asking(), timeout=5)

        async def settled() -> bool:
            return await _has_dropped(plane, "store") or await _has_kept(plane, 1)

        await eventually(settled)
        assert answer.version in ("v1", "v2")

        async def told():
            try:
                fresh = await plane.stub.Predict(asking(), timeout=5)
                return await plane.stub.Explain(explain(prediction_id=fresh.prediction_id), timeout=5)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return None

        assert await eventually(told, within=30)


async def _has_dropped(plane, reason):
    return await plane.metric("headrace_router_explanations_dropped_total", reason=reason) > 0


async def test_a_data_plane_without_a_store_says_that_it_cannot_tell(control, batcher, tmp_path):
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path) as plane:
        answer = await plane.stub.Predict(asking(), timeout=5)
        error = await refused(plane.stub.Explain(explain(prediction_id=answer.prediction_id), timeout=5))
    assert (error.code.name, error.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")

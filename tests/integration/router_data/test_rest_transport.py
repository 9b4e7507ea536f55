"""REST on a real port."""

from __future__ import annotations

import asyncio

import pytest
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import held, silent
from tests.kit.router.data_plane import data_plane

PREDICT = "/v1/models/digits:predict"


@pytest.fixture
async def plane(control, batcher, tmp_path):
    pools = {"default": [batcher.target]}
    async with data_plane(control.target, pools, tmp_path, max_message_bytes=100_000) as plane:
        yield plane


async def test_rows_are_answered_in_order(plane):
    answer = await plane.rest.post(PREDICT, json={"instances": [[1, 2, 3, 4], [5.5, 6, 7, 8]], "request_id": "r-1"})
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("prediction_id")
    assert body == {
        "predictions": [[1.0], [5.5]],
        "model": "digits",
        "model_version": "v1",
        "variant": "v1",
        "served_from": "online",
        "request_id": "r-1",
        "generation": 1,
    }


async def test_the_specifications_body_is_answered_as_it_shows(plane):
    body = {"model_name": "digits", "inputs": {"x": [1, 2, 3, 4]}, "metadata": {"user_id": "u-1"}}
    answer = await plane.rest.post("/v1/predict", json=body)
    assert answer.status_code == 200
    assert answer.json()["prediction"] == [1.0]
    assert answer.json()["model_version"] == "v1"
    assert answer.json()["served_from"] == "online"
    assert answer.json()["latency_ms"] > 0


@pytest.mark.parametrize(
    ("content", "status", "reason", "told"),
    [
        pytest.param(b'{"instances": [[1,2', 400, "MALFORMED_JSON", "line 1 column 20", id="cut"),
        pytest.param(b'{"instances": [[NaN]]}', 400, "MALFORMED_JSON", "line 1 column 17", id="NaN is no JSON"),
        pytest.param(b"[]", 400, "MALFORMED_JSON", "object", id="no object"),
        pytest.param(b'{"instances": [[1,2,3,4]], "verion": "v1"}', 400, "UNKNOWN_FIELD", "verion", id="typo"),
        pytest.param(b'{"instances": []}', 400, "INVALID_FIELD", "at least one", id="no rows"),
        pytest.param(b'{"instances": [[1,2,3]]}', 400, "CONTRACT_VIOLATED", "instances[0].x", id="short row"),
    ],
)
async def test_bad_bodies_are_refused_with_the_place_of_the_fault(plane, content, status, reason, told):
    answer = await plane.rest.post(PREDICT, content=content)
    assert answer.status_code == status
    body = answer.json()
    assert body["code"] == 3
    assert told in body["message"]
    assert body["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert body["details"][0]["reason"] == reason
    assert body["details"][0]["domain"] == "headrace.dev"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", PREDICT, 405, id="wrong method"),
        pytest.param("POST", "/v1/models/digits:explain", 404, id="unknown verb"),
        pytest.param("POST", "/v1/models/a/b:predict", 404, id="slash in the model"),
        pytest.param("POST", "/v1/models/digits%2Fx:predict", 404, id="encoded slash"),
        pytest.param("POST", "/v1/models/other:predict", 404, id="unknown model"),
        pytest.param("POST", "/", 404, id="nothing"),
    ],
)
async def test_other_paths_and_methods_are_refused_in_json(plane, method, path, status):
    answer = await plane.rest.request(method, path, content=b'{"instances": [[1,2,3,4]]}')
    assert answer.status_code == status
    assert answer.json()["details"][0]["reason"]


async def test_a_body_over_the_limit_is_refused_while_it_arrives(plane):
    answer = await plane.rest.post(PREDICT, content=b" " * 200_000)
    assert answer.status_code == 413
    assert answer.json()["details"][0]["reason"] == "REQUEST_TOO_LARGE"


async def test_the_deadline_of_the_header_is_kept(plane, batcher):
    batcher.behave = silent
    answer = await plane.rest.post(
        PREDICT, json={"instances": [[1, 2, 3, 4]]}, headers={"grpc-timeout": "100m", "x-request-id": "r-7"}
    )
    assert answer.status_code == 504
    assert answer.headers["x-request-id"] == "r-7"
    refused = await plane.rest.post(PREDICT, json={"instances": [[1]]}, headers={"grpc-timeout": "soon"})
    assert refused.status_code == 400
    assert "grpc-timeout" in refused.json()["message"]


async def test_a_client_that_disconnects_is_withdrawn_from_the_batcher(plane, batcher):
    batcher.behave = held(asyncio.Event())
    asking = asyncio.create_task(plane.rest.post(PREDICT, json={"instances": [[1, 2, 3, 4]]}))
    await eventually(lambda: batcher.requests)
    asking.cancel()
    await eventually(lambda: batcher.cancelled == [batcher.requests[0].id])


async def test_timing_is_told_in_a_header_when_asked_for(plane):
    answer = await plane.rest.post(PREDICT, json={"instances": [[1, 2, 3, 4]]}, headers={"headrace-timing": "1"})
    assert "queue;dur=0.100" in answer.headers["server-timing"]


async def test_the_front_door_learns_when_the_data_plane_drains(plane):
    assert (await plane.rest.get("/readyz")).status_code == 200
    plane.runtime.health.drain()
    assert (await plane.rest.get("/readyz")).status_code == 503


async def test_paths_that_are_no_prediction_are_not_counted(plane):
    await plane.rest.get("/")
    await plane.rest.post(PREDICT, content=b"{")
    labels = {"model": "", "version": "", "variant": "", "served_from": "", "layer": "", "fallback_step": ""}
    name = "headrace_router_predictions_total"
    await eventually(lambda: plane.metric(name, **labels, code="INVALID_ARGUMENT"))
    assert not await plane.metric(name, **labels, code="NOT_FOUND")

"""The REST paths of the Open Inference Protocol on a real port: byte for byte, and as plain JSON."""

from __future__ import annotations

import gzip
import json
import zlib

import grpc.aio
import pytest
from headrace_servicekit.testing import eventually
from tritonclient.grpc import service_pb2_grpc

from tests.kit.batcher.fake_batcher import FakeBatcher, silent
from tests.kit.router.digits import ROW
from tests.kit.router.inference_plane import ONE, inference_plane
from tests.kit.router.inference_requests import infer_request

INFER = "/v2/models/digits/infer"
PLAIN = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
OTHERS = {"x-headrace-client": "c", "x-headrace-models": "other-*"}
MOST = 65_536


@pytest.fixture
async def batcher():
    async with FakeBatcher.serving([ONE]) as batcher:
        yield batcher


@pytest.fixture
async def plane(batcher, tmp_path):
    async with inference_plane(batcher, tmp_path, max_message_bytes=MOST) as plane:
        yield plane


def reason(answer) -> str:
    body = answer.json()
    assert body["error"]
    assert body["details"][0]["domain"] == "headrace.dev"
    return body["details"][0]["reason"]


async def test_plain_json_is_answered_in_plain_json(plane):
    answer = await plane.rest.post(INFER, json={**PLAIN, "id": "r-1", "parameters": {"headrace_user_id": "ada"}})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    body = answer.json()
    assert len(body["parameters"].pop("headrace_prediction_id")) == 36
    assert body == {
        "model_name": "digits",
        "model_version": "1",
        "id": "r-1",
        "parameters": {
            "headrace_served_from": "online", "headrace_generation": 1, "headrace_age_ms": 0, "headrace_variant": "1",
        },
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}],
    }  # fmt: skip


async def test_binary_tensors_are_the_bytes_that_grpc_sends_and_gets(plane, batcher):
    head = json.dumps(
        {
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}],
            "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
        }
    ).encode()
    headers = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    answer = await plane.rest.post(INFER, content=head + ROW, headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    at = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.content[:at])["outputs"]
    assert output == {"name": "y", "datatype": "FP32", "shape": [1, 1], "parameters": {"binary_data_size": 4}}
    async with grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        message = await stub.ModelInfer(infer_request("digits", ("x", "FP32", [1, 4], ROW)), timeout=5)
    assert answer.content[at:] == b"".join(message.raw_output_contents)
    assert [list(request.inputs) for request in batcher.requests] == [[ROW], [ROW]]


async def test_a_body_that_is_one_tensor_is_answered_in_bytes(plane):
    answer = await plane.rest.post(INFER, content=ROW * 2, headers={"inference-header-content-length": "0"})
    at = int(answer.headers["inference-header-content-length"])
    assert answer.content[at:] == ROW[:4] * 2


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_bodies_are_read_within_the_bound(plane, encoding, compress):
    content = json.dumps(PLAIN).encode()
    headers = {"content-encoding": encoding}
    assert (await plane.rest.post(INFER, content=compress(content), headers=headers)).status_code == 200
    bomb = await plane.rest.post(INFER, content=compress(b" " * (MOST + 1)), headers=headers)
    assert (bomb.status_code, reason(bomb)) == (413, "REQUEST_TOO_LARGE")
    for broken in (compress(content)[:-3], compress(content) + b"more", content, b""):
        answer = await plane.rest.post(INFER, content=broken, headers=headers)
        assert (answer.status_code, reason(answer)) == (400, "MALFORMED_BODY")


async def test_an_unknown_encoding_is_named(plane):
    answer = await plane.rest.post(INFER, json=PLAIN, headers={"content-encoding": "br"})
    assert answer.status_code == 400
    assert "gzip" in answer.json()["error"]


async def test_a_version_in_the_path_is_pinned(plane):
    assert (await plane.rest.post("/v2/models/digits/versions/1/infer", json=PLAIN)).json()["model_version"] == "1"
    answer = await plane.rest.post("/v2/models/digits/versions/9/infer", json=PLAIN)
    assert (answer.status_code, reason(answer)) == (404, "VERSION_NOT_FOUND")


async def test_names_are_decoded_and_paths_are_not(plane):
    assert (await plane.rest.post("/v2/models/d%69gits/infer", json=PLAIN)).status_code == 200
    for path in ("/v2/models/digits/inf%65r", "/v2/models/digits//infer", "/v2/models/digits/infer/"):
        assert (await plane.rest.post(path, json=PLAIN)).status_code == 404
    for path in ("/v2/models/digits%2Fx/infer", "/v2/models/%ff/infer", "/v2/models/digits%00/infer"):
        answer = await plane.rest.post(path, json=PLAIN)
        assert (answer.status_code, reason(answer)) == (404, "MODEL_NOT_FOUND")


async def test_what_concerns_the_call_may_come_in_headers_and_the_request_comes_first(plane, batcher):
    headers = {"x-headrace-user-id": "ada", "x-headrace-entity-id": "e", "x-headrace-max-age-ms": "0"}
    assert (await plane.rest.post(INFER, json=PLAIN, headers=headers)).status_code == 200
    for name, value in (("x-headrace-max-age-ms", "-1"), ("x-headrace-user-id", "a" * 257)):
        answer = await plane.rest.post(INFER, json=PLAIN, headers={name: value})
        assert (answer.status_code, reason(answer)) == (400, "MALFORMED_HEADER")
        assert name in answer.json()["error"]


async def test_a_timeout_shortens_the_deadline(plane, batcher):
    batcher.behave = silent
    answer = await plane.rest.post(INFER, json={**PLAIN, "parameters": {"timeout": 20_000}})
    assert (answer.status_code, reason(answer)) == (504, "DEADLINE_PASSED")


async def test_models_are_described(plane):
    assert (await plane.rest.get("/v2")).json()["name"] == "headrace"
    assert (await plane.rest.get("/v2/")).json() == (await plane.rest.get("/v2")).json()
    assert (await plane.rest.get("/v2/models")).json() == {"models": ["digits", "idle"]}
    model = (await plane.rest.get("/v2/models/digits/versions/2")).json()
    assert model["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}]
    config = (await plane.rest.get("/v2/models/digits/config")).json()
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}]
    stats = (await plane.rest.get("/v2/models/digits/versions/1/stats")).json()["model_stats"]
    assert [(one["name"], one["version"]) for one in stats] == [("digits", "1")]
    assert len((await plane.rest.get("/v2/models/stats")).json()["model_stats"]) == 2
    ready = (await plane.rest.post("/v2/repository/index", json={"ready": True})).json()
    assert ready == [{"name": "digits", "version": "1", "state": "READY", "reason": ""}]
    assert len((await plane.rest.post("/v2/repository/index")).json()) == 3


async def test_models_of_others_are_not_there(plane):
    assert (await plane.rest.get("/v2/models", headers=OTHERS)).json() == {"models": []}
    assert (await plane.rest.post("/v2/repository/index", headers=OTHERS)).json() == []
    for path in ("", "/ready", "/config", "/stats", "/versions/1"):
        answer = await plane.rest.get(f"/v2/models/digits{path}", headers=OTHERS)
        assert (answer.status_code, answer.json()["error"]) == (404, "model 'digits' not found")
    assert (await plane.rest.post(INFER, json=PLAIN, headers=OTHERS)).status_code == 404


async def test_readiness_is_a_status(plane):
    for path in (
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/digits/ready",
        "/v2/models/digits/versions/1/ready",
    ):
        assert (await plane.rest.get(path)).status_code == 200, path
    for path, status in (("digits/versions/2", 503), ("idle", 503), ("digits/versions/9", 404), ("unknown", 404)):
        assert (await plane.rest.get(f"/v2/models/{path}/ready")).status_code == status, path
    plane.runtime.health.drain()
    for path in ("/v2/health/ready", "/v2/models/digits/ready"):
        assert (await plane.rest.get(path)).status_code == 503, path
    assert (await plane.rest.get("/v2/health/live")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", INFER, 405),
        ("POST", "/v2/models/digits", 405),
        ("POST", "/v2/health/live", 405),
        ("GET", "/v2/repository/index", 405),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/digits/nothing", 404),
        ("POST", "/v2/repository/models/digits/load", 501),
        ("GET", "/v2/systemsharedmemory/status", 501),
        ("POST", "/v2/cudasharedmemory/region/r/register", 501),
        ("GET", "/v2/trace/setting", 501),
        ("GET", "/v2/models/digits/trace/setting", 501),
        ("POST", "/v2/logging", 501),
        ("POST", "/v2/models/digits/generate", 501),
    ],
)
async def test_other_paths_and_methods_are_refused_where_clients_look_for_it(plane, method, path, status):
    answer = await plane.rest.request(method, path)
    assert answer.status_code == status
    assert reason(answer)
    assert ("allow" in answer.headers) == (status == 405)


async def test_bad_bodies_are_counted_and_reads_are_not(plane):
    await plane.rest.get("/v2/models/unknown")
    assert (await plane.rest.post(INFER, content=b"{")).status_code == 400
    assert (await plane.rest.post("/v2/repository/index", content=b'{"redy": true}')).status_code == 400
    labels = {"model": "", "version": "", "variant": "", "served_from": "", "layer": "", "fallback_step": ""}
    name = "headrace_router_predictions_total"
    await eventually(lambda: plane.metric(name, **labels, code="INVALID_ARGUMENT"))
    assert await plane.metric(name, **labels, code="INVALID_ARGUMENT") == 1
    assert not await plane.metric(name, **labels, code="NOT_FOUND")

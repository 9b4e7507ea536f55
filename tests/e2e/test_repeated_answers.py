"""Answers that Envoy's workers give again: the same but for ids and age, counted, never one that is withdrawn."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import httpx
import numpy as np
import pytest
import pytest_asyncio
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from headrace_servicekit.testing import eventually
from tritonclient.grpc import service_pb2_grpc

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import get, metadata
from tests.kit.front_door.envoy_data_plane import EnvoyPlane, envoy_plane
from tests.kit.identity.issuer import write_denied
from tests.kit.monitor.fake_ingest import FakeIngest
from tests.kit.router.digits import V1, V2, digits_request, row
from tests.kit.router.fake_control import FakeControl, lookup, table
from tests.kit.router.inference_requests import infer_request

pytestmark = pytest.mark.asyncio(loop_scope="module")

CACHED = lookup(ttl=3600.0)
PATHS: dict[str, Any] = {
    "/v1/models/digits:predict": {"instances": [[1, 2, 3, 4]]},
    "/v1/predict": {"model_name": "digits", "inputs": {"x": [1, 2, 3, 4]}},
    "/v2/models/digits/infer": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]},
}
TIMES = 30


@dataclass(frozen=True, slots=True)
class Parts:
    """A data plane inside Envoy whose routes keep answers, and all that it asks. It repeats answers, or is not to."""

    plane: EnvoyPlane
    control: FakeControl
    batcher: FakeBatcher
    monitor: FakeIngest
    repeats: bool

    def by(self, token: str | None = None, **claims: Any) -> tuple[tuple[str, str], ...]:
        return metadata(token or self.plane.door.issuer.token(**claims))

    async def ask(self, content: bytes, by: Any, **fields: Any):
        return await self.plane.stub.Predict(digits_request(content, **fields), timeout=10, metadata=by)

    async def metric(self, name: str) -> float:
        text = await asyncio.to_thread(get, f"http://127.0.0.1:{self.plane.metrics_port}/metrics")
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    async def repeated(self) -> float:
        return await self.metric("headrace_router_repeated_answers_total")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["1000000", "0"], ids=["repeating", "not"])
async def parts(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[Parts]:
    async with (
        FakeControl.serving() as control,
        FakeBatcher.serving([V1, V2]) as batcher,
        FakeIngest.serving() as monitor,
    ):
        control.put_table(table("digits", [V1], lookup=CACHED))
        variables: dict[str, Any] = {
            "ROUTER_DATA_MONITOR_TARGET": monitor.target,
            "ROUTER_DATA_RECORD_FLUSH_S": "0.2",
            "ROUTER_DATA_ACCESS_LOG_ONE_IN": "0",
            "ROUTER_DATA_CACHE_TTL_S": "3600",
        }
        front = {"repeat_answers_bytes": request.param}
        directory = tmp_path_factory.mktemp("envoy")
        async with envoy_plane(directory, control.target, batcher.target, front=front, **variables) as plane:
            await eventually(plane.ready, within=20)
            await eventually(lambda: bool(batcher.streams), within=20)
            await eventually(lambda: plane.door.http("GET", "/healthz").status_code == 200, within=20)
            yield Parts(plane, control, batcher, monitor, request.param != "0")


@pytest.fixture
def value() -> bytes:
    """Inputs that no other test has sent."""
    return row(uuid.uuid4().int % 1_000_003, 1, 2, 3)


async def test_only_ids_and_age_differ(parts: Parts, value: bytes):
    by, before = parts.by(), await parts.repeated()
    answers = [await parts.ask(value, by, user_id="u-1") for _ in range(TIMES)]
    assert {(one.version, one.variant, one.generation, one.raw_output_contents[0]) for one in answers} == {
        (answers[0].version, answers[0].variant, answers[0].generation, answers[0].raw_output_contents[0])
    }
    ids = [uuid.UUID(one.prediction_id) for one in answers]
    assert len(set(ids)) == len({one.request_id for one in answers}) == TIMES
    assert {one.version for one in ids} == {7}
    assert [one.age_ms for one in answers] == sorted(one.age_ms for one in answers)
    assert len([one for one in parts.batcher.requests if one.inputs == parts.batcher.requests[-1].inputs]) == 1
    if parts.repeats:
        await eventually(lambda: _more(parts, before + TIMES - 5))
    else:
        assert await parts.repeated() == 0


async def _more(parts: Parts, than: float) -> bool:
    return await parts.repeated() >= than


async def test_every_protocol_is_answered_as_by_python(parts: Parts):
    def ask(path: str, request_id: str) -> tuple[dict[str, Any], httpx.Headers]:
        reply = parts.plane.door.http("POST", path, json=PATHS[path], headers={**headers, "x-request-id": request_id})
        assert reply.status_code == 200, reply.text
        assert reply.headers["x-request-id"] == request_id
        return json.loads(reply.text), reply.headers

    headers = dict(parts.by())
    for path in PATHS:
        ids = [str(uuid.uuid4()) for _ in range(TIMES)]
        replies = [await asyncio.to_thread(ask, path, one) for one in ids]
        (first, named), (last, again) = replies[2], replies[-1]
        # What Python rendered in one go and what was filled in have the same members of the same types.
        assert _shape(first) == _shape(last), path
        assert set(named) == set(again)
        texts = [json.dumps(body) for body, _ in replies]
        assert len(set(texts)) == TIMES


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    return [_shape(one) for one in value] if isinstance(value, list) else type(value)


async def test_the_open_inference_protocol_is_answered_as_by_python(parts: Parts, value: bytes):
    stub, by = service_pb2_grpc.GRPCInferenceServiceStub(parts.plane.channel), parts.by()
    request = infer_request("digits", ("x", "FP32", [1, 4], value))
    answers = [await stub.ModelInfer(request, timeout=10, metadata=by) for _ in range(TIMES)]
    assert len({one.raw_output_contents[0] for one in answers}) == 1
    assert {tuple(sorted(one.parameters)) for one in answers[2:]} == {tuple(sorted(answers[2].parameters))}
    assert len({one.parameters["headrace_prediction_id"].string_param for one in answers}) == TIMES


@pytest.mark.parametrize("binary", [True, False])
async def test_tritonclients_read_repeated_answers_as_others(parts: Parts, value: bytes, binary: bool):
    row = np.frombuffer(value, np.float32).reshape(1, 4)

    def by_http() -> list[tuple[bytes, str]]:
        answers = []
        with triton_http.InferenceServerClient(parts.plane.door.address) as client:
            tensor = triton_http.InferInput("x", [1, 4], "FP32")
            tensor.set_data_from_numpy(row, binary_data=binary)
            wanted = [triton_http.InferRequestedOutput("y", binary_data=binary)]
            for compression in [None, "gzip"] * (TIMES // 2):
                result = client.infer(
                    "digits", [tensor], outputs=wanted, headers=dict(parts.by(token)),
                    request_compression_algorithm=compression, response_compression_algorithm=compression,
                )  # fmt: skip
                found = result.get_response()["parameters"]
                answers.append((np.asarray(result.as_numpy("y")).tobytes(), found["headrace_prediction_id"]))
        return answers

    def by_grpc() -> list[tuple[bytes, str]]:
        answers = []
        with triton_grpc.InferenceServerClient(parts.plane.door.address) as client:
            tensor = triton_grpc.InferInput("x", [1, 4], "FP32")
            tensor.set_data_from_numpy(row)
            for compression in [None, "gzip"] * (TIMES // 2):
                result = client.infer(
                    "digits", [tensor], headers=dict(parts.by(token)), compression_algorithm=compression
                )
                assert result is not None
                found = result.get_response().parameters["headrace_prediction_id"].string_param
                answers.append((np.asarray(result.as_numpy("y")).tobytes(), found))
        return answers

    token, before = parts.plane.door.issuer.token(), await parts.repeated()
    for ask in (by_http, by_grpc):
        answers = await asyncio.to_thread(ask)
        assert {output for output, _ in answers} == {value[:4]}
        assert len({prediction_id for _, prediction_id in answers}) == len(answers) == TIMES
    if parts.repeats:
        await eventually(lambda: _more(parts, before + TIMES))


async def test_curl_is_answered_again_over_each_version_of_http(parts: Parts):
    address = f"http://{parts.plane.door.address}/v1/models/digits:predict"
    headers = [f"-H{name}: {text}" for name, text in (*parts.by(), ("expect", "100-continue"))]
    for version in ("--http1.1", "--http2-prior-knowledge"):
        body = json.dumps({"instances": [[uuid.uuid4().int % 1_000_003, 1, 2, 3]]})
        ids = set()
        for _ in range(10):
            command = ("curl", "-sS", "--compressed", version, *headers, "-d", body, address)
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            answer = json.loads((await process.communicate())[0])
            ids.add(answer["prediction_id"])
        assert len(ids) == 10, version


async def test_another_byte_another_user_or_another_token_is_another_request(parts: Parts, value: bytes):
    by = parts.by()
    for _ in range(TIMES):
        assert (await parts.ask(value, by)).raw_output_contents[0][:4] == value[:4]
        assert (await parts.ask(value[:15] + b"\1", by)).raw_output_contents[0][:4] == value[:4]
        answer = await parts.ask(value, by, request_id="mine")
        assert answer.request_id == "mine"
    with pytest.raises(grpc.aio.AioRpcError, match="digits"):
        await parts.ask(value, parts.by(models=["other"]))
    with pytest.raises(grpc.aio.AioRpcError):
        await parts.ask(value, metadata(parts.plane.door.issuer.token()[:-4] + "AAAA"))


async def test_every_answer_is_counted_and_recorded_once(parts: Parts, value: bytes):
    by, recorded = parts.by(), len(parts.monitor.predictions())
    counted = sum(parts.monitor.counted().values())
    answers = [await parts.ask(value, by, user_id="u-2", entity_id="e-2") for _ in range(TIMES)]
    ids = {one.prediction_id: one for one in answers}

    def all_there() -> bool:
        return len(ids.keys() & {one.prediction_id for one in parts.monitor.predictions()}) == TIMES

    await eventually(all_there, within=10)
    await eventually(lambda: sum(parts.monitor.counted().values()) >= counted + TIMES, within=10)
    mine = [one for one in parts.monitor.predictions()[recorded:] if one.prediction_id in ids]
    assert len(mine) == TIMES
    for one in mine:
        answer = ids[one.prediction_id]
        assert (one.request_id, one.unit, one.entity_id, one.age_ms) == (answer.request_id, "u-2", "e-2", answer.age_ms)
        assert one.inputs == {"x": value}
        assert one.outputs.raw_output_contents[0] == answer.raw_output_contents[0]


async def test_a_route_that_was_changed_gives_nothing_of_before(parts: Parts, value: bytes):
    by = parts.by()
    for version, name in ((V2, "v2"), (V1, "v1")) * 5:
        answers = [await parts.ask(value, by) for _ in range(6)]
        generation = parts.control.put_table(table("digits", [version], lookup=CACHED))
        await eventually(lambda: any(one >= generation for one in parts.control.acknowledged.values()), within=10)  # noqa: B023
        answers = [await parts.ask(value, by) for _ in range(6)]
        assert {one.version for one in answers} == {name}


async def test_a_route_that_computes_each_answer_repeats_none(parts: Parts, value: bytes):
    by = parts.by()
    parts.control.put_table(table("digits", [V1], lookup=lookup(mode="ONLINE")))
    try:
        await eventually(lambda: _computes(parts, value, by), within=10)
        before = await parts.repeated()
        for _ in range(TIMES):
            assert (await parts.ask(value, by)).age_ms == 0
        assert await parts.repeated() == before
    finally:
        parts.control.put_table(table("digits", [V1], lookup=CACHED))
        await eventually(lambda: _keeps(parts, value, by), within=10)


async def _computes(parts: Parts, value: bytes, by: Any) -> bool:
    return [(await parts.ask(value, by)).served_from for _ in range(2)] == [1, 1]


async def _keeps(parts: Parts, value: bytes, by: Any) -> bool:
    return [(await parts.ask(value, by)).served_from for _ in range(2)][1] == 2


async def test_what_is_asked_of_one_request_is_never_repeated(parts: Parts, value: bytes):
    by = parts.by()
    for _ in range(4):
        await parts.ask(value, by)
    for name, text in (("headrace-timing", "1"), ("x-headrace-explain", "1"), ("x-headrace-max-age-ms", "0")):
        call = parts.plane.stub.Predict(digits_request(value), timeout=10, metadata=(*by, (name, text)))
        answer, trailers = await call, dict(await call.trailing_metadata())
        assert answer.served_from == (1 if text == "0" else 2)
        assert ("server-timing" in trailers) == (name == "headrace-timing")


async def test_a_timeout_that_is_over_or_malformed_is_refused(parts: Parts):
    path, headers = "/v1/models/digits:predict", dict(parts.by())

    def status(**more: str) -> int:
        reply = parts.plane.door.http("POST", path, json=PATHS[path], headers={**headers, **more})
        return reply.status_code

    for _ in range(4):
        assert await asyncio.to_thread(status) == 200
    for timeout, expected in (("1S", 200), ("99999999H", 200), ("0n", 504), ("x", 400), ("-1S", 400)):
        assert await asyncio.to_thread(lambda: status(**{"grpc-timeout": timeout})) == expected, timeout  # noqa: B023


async def test_a_client_that_is_denied_is_refused_what_others_are_given(parts: Parts, value: bytes):
    by, other = parts.by(sub="mallory"), parts.by(sub="ann")
    for _ in range(TIMES):
        await parts.ask(value, by)
        await parts.ask(value, other)
    write_denied(parts.plane.door.directory, "mallory")

    async def denied() -> bool:
        try:
            await parts.ask(value, by)
        except grpc.aio.AioRpcError as error:
            return grpc_refusal(error).reason == "CLIENT_DENIED"
        return False

    try:
        await eventually(denied, within=5)
        for _ in range(5):
            assert await denied()
            await parts.ask(value, other)
    finally:
        write_denied(parts.plane.door.directory)


async def test_a_token_that_expires_is_refused(parts: Parts, value: bytes):
    by = parts.by(sub="short", lifetime_s=1.2 - 10)  # the clocks may differ by ten seconds
    for _ in range(6):
        await parts.ask(value, by)

    async def expired() -> bool:
        try:
            await parts.ask(value, by)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAUTHENTICATED
        return False

    await eventually(expired, within=5)

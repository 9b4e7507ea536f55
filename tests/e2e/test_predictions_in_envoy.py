"""Predictions answered in the front door's own process: who is believed, what is refused, and what outlives what."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
import pytest_asyncio
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.transports.part_answers import PART_ROWS
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing, held, silent
from tests.kit.clients.refusals import Refusal, grpc_refusal, rest_refusal
from tests.kit.front_door.edge import GET_MODEL, PREDICT, get, metadata
from tests.kit.front_door.envoy_data_plane import EnvoyPlane, envoy_plane
from tests.kit.identity.bad_tokens import BAD_TOKENS, MakeToken
from tests.kit.identity.issuer import Issuer, write_denied
from tests.kit.router.digits import DIGITS, V1, digits_request, row
from tests.kit.router.fake_control import FakeControl, table
from tests.kit.rows import each
from tests.kit.wire.framing import frame
from tests.kit.wire.server_sent_events import events

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS_PATH, SPEC_PATH, INFER_PATH = "/v1/models/digits:predict", "/v1/predict", "/v2/models/digits/infer"
BODIES: dict[str, Any] = {
    ROWS_PATH: {"instances": [[1, 2, 3, 4]]},
    SPEC_PATH: {"model_name": "digits", "inputs": {"x": [1, 2, 3, 4]}},
    INFER_PATH: {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]},
}
# One for each reason: twenty failures a second are verified for each connection. All are unit tests of the verifier.
SOME_BAD_TOKENS = list({one.values[1]: one for one in BAD_TOKENS}.values())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held_batcher() -> AsyncIterator[FakeBatcher]:
    async with FakeBatcher.serving([V1]) as batcher:
        yield batcher


@pytest.fixture
def batcher(held_batcher: FakeBatcher) -> FakeBatcher:
    held_batcher.forget()
    return held_batcher


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[False, True], ids=["here", "two-hops"])
async def plane(
    held_batcher: FakeBatcher, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[EnvoyPlane]:
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        async with envoy_plane(
            tmp_path_factory.mktemp("envoy"), control.target, held_batcher.target, two_hops=request.param
        ) as plane:
            await eventually(plane.ready, within=20)
            await eventually(lambda: bool(held_batcher.streams), within=20)
            await eventually(lambda: plane.door.http("GET", "/healthz").status_code == 200, within=20)
            yield plane


async def predict(plane: EnvoyPlane, token: str | None = None, timeout: float = 10, **headers: str):
    """Return the answer and the trailers of a prediction; by anybody, unless a token is given."""
    by = metadata(token or plane.door.issuer.token(), {name.replace("_", "-"): text for name, text in headers.items()})
    call = plane.stub.Predict(DIGITS, timeout=timeout, metadata=by)
    return await call, dict(await call.trailing_metadata())


async def refused(plane: EnvoyPlane, token: str | None, request: Any = DIGITS, **kwargs: Any) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plane.stub.Predict(request, timeout=10, metadata=metadata(token), **kwargs)
    return grpc_refusal(caught.value)


async def rest(plane: EnvoyPlane, path: str, token: str | None, **kwargs: Any) -> httpx.Response:
    return await asyncio.to_thread(plane.door.http, "POST", path, token, **kwargs)


async def test_every_face_is_answered_without_a_cluster_behind(plane: EnvoyPlane, batcher: FakeBatcher):
    answer, trailers = await predict(plane, x_request_id="one-id", headrace_timing="1")
    assert (answer.model, answer.version, answer.request_id) == ("digits", "v1", "one-id")
    assert trailers["x-request-id"] == "one-id"
    assert "total;dur=" in str(trailers["server-timing"])
    for path, body in BODIES.items():
        response = await rest(plane, path, plane.door.issuer.token(), json=body)
        assert response.status_code == 200, response.text
    assert len(batcher.requests) == 1 + len(BODIES)
    assert not plane.door.behind.router_data.calls
    assert not plane.door.behind.router_rest.calls


async def test_other_calls_go_to_their_services_as_before(plane: EnvoyPlane):
    await asyncio.to_thread(plane.door.call, GET_MODEL, plane.door.issuer.token(sub="reader"))
    assert plane.door.behind.reached_by("reader")


@each("make,reason", SOME_BAD_TOKENS)
async def test_a_bad_token_is_unauthenticated_on_both_faces(
    plane: EnvoyPlane, make: MakeToken, reason: str, batcher: FakeBatcher
):
    token = make(plane.door.issuer)
    refusal = await refused(plane, token)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    response = await rest(plane, ROWS_PATH, token, json=BODIES[ROWS_PATH])
    assert (response.status_code, rest_refusal(response).reason) == (401, reason)
    assert not batcher.requests


async def test_without_a_token_nothing_is_predicted(plane: EnvoyPlane, batcher: FakeBatcher):
    refusal = await refused(plane, None)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    for path, body in BODIES.items():
        assert (await rest(plane, path, None, json=body)).status_code == 401
    assert not batcher.requests


async def test_two_tokens_at_once_are_refused(plane: EnvoyPlane):
    twice = (*metadata(plane.door.issuer.token()), *metadata(Issuer().token()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plane.stub.Predict(DIGITS, timeout=10, metadata=twice)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_without_the_scope_is_told_which_one_is_missing(plane: EnvoyPlane):
    refusal = await refused(plane, plane.door.issuer.token(scopes=["registry.read"]))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    assert refusal.metadata == {"scope": "predict"}


async def test_a_model_outside_the_patterns_of_a_token_does_not_exist(plane: EnvoyPlane):
    refusal = await refused(plane, plane.door.issuer.token(models=["fraud-*"]))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_what_callers_say_of_themselves_is_not_believed(plane: EnvoyPlane, batcher: FakeBatcher):
    token = plane.door.issuer.token(sub="ann", models=["digits"])
    await predict(plane, token, x_headrace_client="admin", x_headrace_models="*")
    assert batcher.requests[-1].client == "ann"


async def test_a_client_that_is_denied_is_refused_within_seconds(plane: EnvoyPlane):
    token = plane.door.issuer.token(sub="mallory")
    await predict(plane, token)
    write_denied(plane.door.directory, "mallory")

    async def denied() -> bool:
        try:
            await predict(plane, token)
        except grpc.aio.AioRpcError as error:
            return grpc_refusal(error).reason == "CLIENT_DENIED"
        return False

    await eventually(denied, within=5)
    await predict(plane)


async def test_a_compressed_message_is_read(plane: EnvoyPlane):
    by = metadata(plane.door.issuer.token())
    answer = await plane.stub.Predict(DIGITS, timeout=10, metadata=by, compression=grpc.Compression.Gzip)
    assert answer.version == "v1"


async def test_a_bomb_is_refused_by_what_it_would_become(plane: EnvoyPlane):
    bomb = frame(gzip.compress(bytes(64 * 1024 * 1024)), flag=1)
    headers = {"content-type": "application/grpc", "te": "trailers", "grpc-encoding": "gzip"}
    response = await rest(plane, PREDICT, plane.door.issuer.token(), content=bomb, headers=headers)
    assert response.headers["grpc-status"] == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])


async def test_a_message_beyond_the_limit_is_refused_and_the_next_one_answered(plane: EnvoyPlane):
    token = plane.door.issuer.token()
    large = digits_request(bytes(17 * 1024 * 1024))
    assert (await refused(plane, token, large)).code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await predict(plane, token))[0].version == "v1"


async def test_what_is_refused_before_it_is_parsed_is_counted(plane: EnvoyPlane):
    async def refusals() -> float:
        text = await asyncio.to_thread(get, f"http://127.0.0.1:{plane.metrics_port}/metrics")
        lines = [line for line in text.splitlines() if line.startswith("headrace_router_predictions_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if 'code="INVALID_ARGUMENT"' in line)

    before = await refusals()
    headers = {"content-type": "application/grpc", "te": "trailers"}
    for body in (b"", b"\0\0", frame(b"cut", length=9), frame(b"", flag=7), b"\xff" * 99):
        response = await rest(plane, PREDICT, plane.door.issuer.token(), content=body, headers=headers)
        assert response.headers["grpc-status"] == str(grpc.StatusCode.INVALID_ARGUMENT.value[0])
    assert await refusals() == before + 5


async def test_a_flood_of_tokens_on_one_connection_keeps_no_other_caller_waiting(plane: EnvoyPlane):
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(plane.door.address, options) as noisy:
        call = noisy.unary_unary(PREDICT)

        async def flood(number: int) -> str:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"", timeout=20, metadata=metadata(f"{number}.{'x' * 400}.y"))
            return grpc_refusal(caught.value).reason

        flooding = asyncio.gather(*(flood(number) for number in range(1000)))
        # Meanwhile a client that was never seen before, on a connection of its own.
        assert (await predict(plane, plane.door.issuer.token(sub="new")))[0].version == "v1"
        reasons = await flooding
    assert set(reasons) == {"TOKEN_INVALID", "TOO_MANY_TOKENS"}
    assert reasons.count("TOKEN_INVALID") < 500, "verifications that fail are limited by connection"


async def test_a_body_that_drips_is_ended_with_the_deadline(plane: EnvoyPlane, batcher: FakeBatcher):
    token = plane.door.issuer.token()
    head = (
        f"POST {ROWS_PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n"
        f"grpc-timeout: 500m\r\nauthorization: Bearer {token}\r\n\r\n"
    )
    host, port = plane.door.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode())
    answering = asyncio.ensure_future(reader.read(4096))

    async def dripped() -> bool:
        writer.write(b"x")
        return answering.done()

    await eventually(dripped, within=10, every=0.1)
    answer = await answering
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"REQUEST_TOO_SLOW" in answer
    assert not batcher.requests


async def test_a_deadline_is_kept_although_the_batcher_is_silent(plane: EnvoyPlane, batcher: FakeBatcher):
    batcher.behave = silent
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await predict(plane, timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: len(batcher.cancelled) == 1)


async def test_a_caller_that_leaves_is_withdrawn_and_its_neighbours_are_answered(
    plane: EnvoyPlane, batcher: FakeBatcher
):
    gate = asyncio.Event()
    batcher.behave = held(gate)
    by = metadata(plane.door.issuer.token())
    calls = [plane.stub.Predict(DIGITS, timeout=20, metadata=by) for _ in range(3)]
    await eventually(lambda: len(batcher.requests) == 3)
    calls[1].cancel()
    await eventually(lambda: len(batcher.cancelled) == 1)
    gate.set()
    assert [(await call).version for call in (calls[0], calls[2])] == ["v1", "v1"]


async def test_answers_never_cross_between_callers(plane: EnvoyPlane):
    by = metadata(plane.door.issuer.token())

    async def ask(number: int) -> bool:
        sent = row(number, 0, 0, 0)
        answer = await plane.stub.Predict(digits_request(sent, request_id=f"r-{number}"), timeout=30, metadata=by)
        return answer.request_id == f"r-{number}" and answer.raw_output_contents[0][:4] == sent[:4]

    assert all(await asyncio.gather(*(ask(number) for number in range(1000))))


@pytest.mark.faults
async def test_a_data_plane_that_cannot_start_leaves_the_other_routes_up_and_starts_when_it_can(
    batcher: FakeBatcher, tmp_path: Path
):
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            starting = envoy_plane(tmp_path, control.target, batcher.target, metrics_port=port)
            plane = await starting.__aenter__()
            try:
                refusal = await refused(plane, plane.door.issuer.token())
                assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "DATA_PLANE_STARTING")
                response = await rest(plane, ROWS_PATH, plane.door.issuer.token(), json=BODIES[ROWS_PATH])
                assert (response.status_code, response.headers["retry-after"]) == (503, "1")
                await asyncio.to_thread(plane.door.call, GET_MODEL, plane.door.issuer.token())
                taken.close()
                await eventually(plane.ready, within=20)
                assert (await predict(plane))[0].version == "v1"
            finally:
                await starting.__aexit__(None, None, None)


@pytest.mark.faults
async def test_without_an_app_that_can_be_imported_predictions_go_to_the_services_behind(
    batcher: FakeBatcher, tmp_path: Path
):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "uuid_utils.py").write_text("raise ImportError('broken by the test')")
    async with (
        FakeControl.serving() as control,
        envoy_plane(tmp_path, control.target, batcher.target, PYTHONPATH=str(broken)) as plane,
    ):
        # To the data planes behind, where there are any: whoever runs none gets UNAVAILABLE.
        await asyncio.to_thread(plane.door.call, PREDICT, plane.door.issuer.token(sub="ann"))
        assert plane.door.behind.reached_by("ann")
        await asyncio.to_thread(plane.door.call, GET_MODEL, plane.door.issuer.token())
        log = (plane.door.directory / "front-door.log").read_text()
    assert "broken by the test" in log
    assert json.loads(next(line for line in log.splitlines() if "broken by the test" in line))["level"] == "error"


STREAM_PATH = "/v1/models/digits:predictStream"


async def test_many_rows_come_in_parts_as_events_and_an_error_in_the_middle_as_one(
    plane: EnvoyPlane, batcher: FakeBatcher
):
    rows = [[float(row), 0.0, 0.0, 0.0] for row in range(3 * PART_ROWS)]
    token = plane.door.issuer.token()
    async with httpx.AsyncClient(base_url=plane.door.url, timeout=30) as http:
        by = {"authorization": f"Bearer {token}"}
        async with http.stream("POST", STREAM_PATH, json={"instances": rows}, headers=by) as response:
            assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")
            *parts, end = [one async for one in events(response)]
        assert sorted(part["first_row"] for _, part in parts) == [0, PART_ROWS, 2 * PART_ROWS]
        assert end == ("end", {"parts": 3})

        first_read = asyncio.Event()

        async def fails_later(batcher: FakeBatcher, request: Any) -> Any:
            if struct.unpack_from("<f", request.inputs[0])[0] == 0:
                return await echoing(batcher, request)
            await first_read.wait()
            return batcher_pb2.InferResponse(id=request.id, code=8, reason="QUEUE_FULL")

        batcher.behave = fails_later
        async with http.stream("POST", STREAM_PATH, json={"instances": rows}, headers=by) as response:
            seen = events(response)
            assert (await anext(seen))[0] == "part"  # it is there while the others are not
            first_read.set()
            *_, (name, error) = [one async for one in seen]
        assert (name, error["details"][0]["reason"]) == ("error", "QUEUE_FULL")

        batcher.forget()
        batcher.behave = silent
        leaving = asyncio.create_task(http.post(STREAM_PATH, json={"instances": rows}, headers=by))
        await eventually(lambda: len(batcher.requests) == 3)
        leaving.cancel()
        # By their ids: one that the stream before left behind may have come late, and then a part was never sent.
        await eventually(lambda: {one.id for one in batcher.requests} <= {*batcher.cancelled}, within=10)
    response = await rest(plane, STREAM_PATH, None, json={"instances": rows})
    assert response.status_code == 401
    lacking = plane.door.issuer.token(scopes=["registry.read"])
    assert (await rest(plane, STREAM_PATH, lacking, json={"instances": rows})).status_code == 403

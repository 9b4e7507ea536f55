"""What a prediction is answered, and refused with, does not depend on the transport.

The same requests go to grpc.aio and uvicorn, where headers tell who calls, and into Envoy, where a token does.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, held, refusing, silent
from tests.kit.front_door.edge import PREDICT
from tests.kit.router.digits import DIGITS, ROW, V1, digits_request, row
from tests.kit.router.fake_control import FakeControl, table
from tests.kit.router.predict_requests import predict_request
from tests.kit.router.transports import MOST_BYTES, TRANSPORTS, Transport
from tests.kit.wire.bare_grpc import outcome_of
from tests.kit.wire.framing import frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS_PATH = "/v1/models/digits:predict"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held_batcher() -> AsyncIterator[FakeBatcher]:
    async with FakeBatcher.serving([V1]) as batcher:
        yield batcher


@pytest.fixture(autouse=True)
def batcher(held_batcher: FakeBatcher) -> FakeBatcher:
    held_batcher.forget()
    return held_batcher


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(TRANSPORTS))
async def transport(
    held_batcher: FakeBatcher, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Transport]:
    folder = tmp_path_factory.mktemp("transport")
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        control.put_not_serving("idle")
        serving = TRANSPORTS[request.param]
        async with serving(folder, control.target, held_batcher.target) as transport:
            await eventually(lambda: bool(held_batcher.streams), within=20)
            yield transport
    held_batcher.streams.clear()


async def test_an_answer_and_its_trailers(transport: Transport, batcher: FakeBatcher):
    call = transport.predict(DIGITS, headers={"x-request-id": "req-42", "headrace-timing": "1"})
    answer = await call
    assert (answer.model, answer.version, answer.variant, answer.request_id) == ("digits", "v1", "v1", "req-42")
    assert answer.raw_output_contents[0] == ROW[:4]
    trailers = dict(await call.trailing_metadata())
    assert trailers["x-request-id"] == "req-42"
    assert "queue;dur=0.1" in str(trailers["server-timing"])
    assert batcher.requests[-1].client == "ann"


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        pytest.param(predict_request("other"), "NOT_FOUND", "MODEL_NOT_FOUND", id="unknown model"),
        pytest.param(predict_request("idle"), "UNAVAILABLE", "MODEL_NOT_READY", id="known, nothing serves it"),
        pytest.param(predict_request("digits", version="v9"), "NOT_FOUND", "VERSION_NOT_FOUND", id="unknown version"),
        pytest.param(predict_request(""), "INVALID_ARGUMENT", "MODEL_MISSING", id="no model"),
        pytest.param(predict_request("digits"), "INVALID_ARGUMENT", "CONTRACT_VIOLATED", id="no inputs"),
        pytest.param(b"\xff\xff\xff", "INVALID_ARGUMENT", "MALFORMED_MESSAGE", id="no message"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_a_reason(transport: Transport, batcher, request_, code, reason):
    refusal = await transport.refused(request_)
    assert (refusal.code.name, refusal.reason, refusal.domain) == (code, reason, "headrace.dev")
    assert (refusal.retry_after_s is not None) == (code == "UNAVAILABLE")
    assert not batcher.requests


async def test_every_violation_is_named_by_its_field(transport: Transport, batcher: FakeBatcher):
    refusal = await transport.refused(predict_request("digits", ("x", "FP64", [1, 4], ROW), ("y", "FP32", [1, 4], ROW)))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.fields == ("inputs[0].datatype", "inputs[1].name")
    assert not batcher.requests


async def test_a_model_outside_the_callers_patterns_looks_like_one_that_does_not_exist(transport: Transport):
    hidden, unknown = [
        await transport.refused(predict_request(model), models=["fraud-*"]) for model in ("digits", "other")
    ]
    assert hidden.code is unknown.code is grpc.StatusCode.NOT_FOUND
    assert hidden.message.replace("digits", "other") == unknown.message


@pytest.mark.parametrize("name", ["x-headrace-user-id", "x-headrace-entity-id"])
async def test_a_header_about_the_prediction_that_is_given_twice_is_refused(transport: Transport, name: str):
    call = transport.channel.unary_unary(PREDICT)
    twice = (*transport.by(None).items(), (name, "u-1"), (name, "u-2"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(DIGITS.SerializeToString(), timeout=10, metadata=twice)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_full_queue_says_when_to_come_back(transport: Transport, batcher: FakeBatcher):
    batcher.behave = refusing(8, "QUEUE_FULL", retry_after_us=1_500_000)
    refusal = await transport.refused(DIGITS)
    assert (refusal.code, refusal.retry_after_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1.5)
    answer = await transport.post(ROWS_PATH, json={"instances": [[1, 2, 3, 4]]})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


async def test_a_deadline_is_kept_although_the_batcher_is_silent(transport: Transport, batcher: FakeBatcher):
    batcher.behave = silent
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await transport.predict(DIGITS, timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    answer = await transport.post(ROWS_PATH, json={"instances": [[1, 2, 3, 4]]}, headers={"grpc-timeout": "100m"})
    assert answer.status_code == 504
    await eventually(lambda: len(batcher.cancelled) == 2)


async def test_a_caller_that_leaves_is_withdrawn_and_its_neighbours_are_answered(
    transport: Transport, batcher: FakeBatcher
):
    gate = asyncio.Event()
    batcher.behave = held(gate)
    calls = [transport.predict(DIGITS) for _ in range(3)]
    await eventually(lambda: len(batcher.requests) == 3)
    calls[1].cancel()
    await eventually(lambda: len(batcher.cancelled) == 1)
    gate.set()
    assert [(await call).version for call in (calls[0], calls[2])] == ["v1", "v1"]


@pytest.mark.parametrize("how", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_compressed_message_is_read(transport: Transport, how: grpc.Compression):
    assert (await transport.predict(DIGITS, compression=how)).version == "v1"


GZIPPED = gzip.compress(DIGITS.SerializeToString())
BROKEN = {
    "no gzip at all": (bytes(range(200)), "gzip"),
    "cut": (GZIPPED[:-9], "gzip"),
    "another checksum": (GZIPPED[:-8] + bytes(8), "gzip"),
    "more behind it": (GZIPPED + b"more", "gzip"),
    "it is another encoding": (GZIPPED, "deflate"),
    "an encoding that nobody knows": (GZIPPED, "brotli"),
    "it does not say how": (GZIPPED, None),
}


@pytest.mark.parametrize(("content", "encoding"), BROKEN.values(), ids=BROKEN)
async def test_a_message_that_cannot_be_decompressed_is_refused_at_once_and_the_next_one_answered(
    transport: Transport, batcher: FakeBatcher, content: bytes, encoding: str | None
):
    headers = {**transport.by(None), **({} if encoding is None else {"grpc-encoding": encoding})}
    body = frame(content, flag=1)
    assert await asyncio.to_thread(outcome_of, transport.address, PREDICT, headers, body) == transport.broken
    assert not batcher.requests
    assert (await transport.predict(DIGITS, compression=grpc.Compression.Gzip)).version == "v1"


async def test_a_message_over_the_limit_is_refused_and_the_next_one_answered(
    transport: Transport, batcher: FakeBatcher
):
    large = digits_request(bytes(2 * MOST_BYTES))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await transport.predict(large)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    answer = await transport.post(ROWS_PATH, content=b" " * (2 * MOST_BYTES))
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (413, "REQUEST_TOO_LARGE")
    assert f"larger than {MOST_BYTES} bytes" in answer.json()["message"]
    assert (await transport.predict(DIGITS)).version == "v1"


async def test_rows_are_answered_in_order(transport: Transport, batcher: FakeBatcher):
    answer = await transport.post(ROWS_PATH, json={"instances": [[1, 2, 3, 4], [5.5, 6, 7, 8]], "request_id": "r-1"})
    assert (answer.status_code, answer.json()["predictions"]) == (200, [[1.0], [5.5]])
    assert (answer.json()["request_id"], answer.json()["served_from"]) == ("r-1", "online")


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
async def test_a_compressed_body_is_read_and_one_that_is_cut_is_refused(
    transport: Transport, encode: Callable[[bytes], bytes]
):
    body = encode(b'{"instances": [[1, 2, 3, 4]]}')
    headers = {"content-encoding": "gzip" if encode is gzip.compress else "deflate"}
    assert (await transport.post(ROWS_PATH, content=body, headers=headers)).status_code == 200
    cut = await transport.post(ROWS_PATH, content=body[:-3], headers=headers)
    assert (cut.status_code, cut.json()["details"][0]["reason"]) == (400, "MALFORMED_BODY")


@pytest.mark.parametrize(
    ("content", "reason", "told"),
    [
        pytest.param(b'{"instances": [[1,2', "MALFORMED_JSON", "line 1 column 20", id="cut"),
        pytest.param(b'{"instances": [[NaN]]}', "MALFORMED_JSON", "line 1 column 17", id="NaN is no JSON"),
        pytest.param(b'{"instances": [[1,2,3,4]], "verion": "v1"}', "UNKNOWN_FIELD", "verion", id="typo"),
        pytest.param(b'{"instances": [[1,2,3,4]], "instances": []}', "REPEATED_FIELD", "instances", id="twice"),
        pytest.param(b'{"instances": [{"x": [1,2,3,4], "x": 1}]}', "REPEATED_FIELD", "x: given twice", id="inside"),
        pytest.param(b'{"instances": [[1,2,3]]}', "CONTRACT_VIOLATED", "instances[0].x", id="short row"),
        pytest.param(bytes(range(256)), "MALFORMED_JSON", "line 1", id="any bytes"),
    ],
)
async def test_bad_bodies_are_refused_with_the_place_of_the_fault(
    transport: Transport, content: bytes, reason: str, told: str
):
    answer = await transport.post(ROWS_PATH, content=content)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (400, reason)
    assert told in answer.json()["message"]


async def test_answers_never_cross_between_callers(transport: Transport, batcher: FakeBatcher):
    async def ask(number: int) -> bool:
        sent = row(number, 0, 0, 0)
        answer = await transport.predict(digits_request(sent, request_id=f"r-{number}"), timeout=30)
        return answer.request_id == f"r-{number}" and answer.raw_output_contents[0][:4] == sent[:4]

    assert all(await asyncio.gather(*(ask(number) for number in range(500))))

"""Bytes that are no request, on every method there is: refused at once and with a reason, whoever finds it."""

import base64
from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from headrace.registry.v1 import registry_pb2

from tests.kit.clients.methods import METHODS, path_of
from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import GET_MODEL, PREDICT, UPLOAD, metadata
from tests.kit.rows import each
from tests.kit.stack.served_models import LINEAR, ROW, Served, assert_refused, request
from tests.kit.wire.framing import frame

pytestmark = pytest.mark.usefixtures("unharmed")

UNARY = [path_of(name) for name, method in METHODS.items() if not method.client_streaming]
NO_MESSAGE = b"\x0a\xff\xff\xff\xff\x0f"
GOOD = {PREDICT: request(LINEAR, features=ROW), GET_MODEL: registry_pb2.GetModelRequest(name=f"models/{LINEAR}")}


@each("path", UNARY)
def test_a_message_that_cannot_be_parsed_is_the_callers_fault(served: Served, path: str):
    assert_refused(served.refused(path, NO_MESSAGE), "INVALID_ARGUMENT", "MALFORMED_MESSAGE", named=path.split("/")[2])


@pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"])
def test_health_cannot_be_confused_either(served: Served, path: str):
    assert served.refused(path, NO_MESSAGE, token=None).code is grpc.StatusCode.INVALID_ARGUMENT
    unknown = served.refused(path.replace("Watch", "Check"), health_pb2.HealthCheckRequest(service="x"), token=None)
    assert unknown.code is grpc.StatusCode.NOT_FOUND


def test_reflection_answers_what_it_does_not_know_and_goes_on(served: Served):
    path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    questions = [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Symbol"),
        reflection_pb2.ServerReflectionRequest(file_by_filename="../../etc/passwd"),
        reflection_pb2.ServerReflectionRequest(list_services=""),
    ]
    asked = (question.SerializeToString() for question in questions)
    call = served.channel.stream_stream(path)(asked, metadata=metadata(served.stack.token()), timeout=20)
    answers = [reflection_pb2.ServerReflectionResponse.FromString(answer) for answer in call]
    assert [answer.error_response.error_code for answer in answers] == [grpc.StatusCode.NOT_FOUND.value[0]] * 2 + [0]


Header = registry_pb2.UploadArtifactRequest.Header
ONNX, JSON = registry_pb2.Artifact.TYPE_ONNX, registry_pb2.Artifact.TYPE_JSON
UPLOADS = {
    "nothing": ([], "INVALID_ARGUMENT", "header"),
    "no header": ([{"chunk": b"x"}], "INVALID_ARGUMENT", "header"),
    "two headers": ([{"header": Header(type=ONNX)}] * 2, "INVALID_ARGUMENT", "chunk"),
    "neither header nor chunk": ([{"header": Header(type=ONNX)}, {}], "INVALID_ARGUMENT", "chunk"),
    "no type": ([{"header": Header()}, {"chunk": b"x"}], "ARTIFACT_TYPE_REFUSED", "header.type"),
    "no content": ([{"header": Header(type=ONNX)}], "ARTIFACT_TYPE_REFUSED", "chunk"),
    "a pickle": ([{"header": Header(type=ONNX)}, {"chunk": b"\x80\x04K\x01."}], "ARTIFACT_TYPE_REFUSED", "chunk"),
    "random bytes": ([{"header": Header(type=ONNX)}, {"chunk": b"\xff" * 999}], "ARTIFACT_TYPE_REFUSED", "chunk"),
    "half of a document": ([{"header": Header(type=JSON)}, {"chunk": b'{"a":'}], "ARTIFACT_TYPE_REFUSED", "chunk"),
    "another digest": ([{"header": Header(type=JSON, sha256="a" * 64)}, {"chunk": b"{}"}], "DIGEST_MISMATCH",
        "header.sha256"),
    "what is no digest": ([{"header": Header(type=JSON, sha256="a")}], "INVALID_ARGUMENT", "header.sha256"),
    "another size": ([{"header": Header(type=JSON, size_bytes=9)}, {"chunk": b"{}"}], "SIZE_MISMATCH",
        "header.size_bytes"),
    "a chunk too large": ([{"header": Header(type=JSON)}, {"chunk": b" " * (2**20 + 1)}], "INVALID_ARGUMENT", "chunk"),
}  # fmt: skip


@each("parts,reason,field", UPLOADS.values())
def test_an_upload_that_is_none_is_refused_by_its_part(served: Served, parts: list[dict], reason: str, field: str):
    sent = (registry_pb2.UploadArtifactRequest(**part).SerializeToString() for part in parts)
    with pytest.raises(grpc.RpcError) as caught:
        served.channel.stream_unary(UPLOAD)(sent, metadata=metadata(served.stack.token()), timeout=20)
    assert_refused(grpc_refusal(caught.value), "INVALID_ARGUMENT", reason, field)


MESSAGE = GOOD[PREDICT].SerializeToString()
FRAMES = {
    "nothing": b"",
    "half of a prefix": b"\0\0",
    "less than the prefix says": frame(MESSAGE)[:-3],
    "more than the prefix says": frame(MESSAGE) + b"\0",
    "two messages": frame(MESSAGE) * 2,
    "compressed, it does not say how": frame(MESSAGE, flag=1),
    "a flag that nobody knows": frame(MESSAGE, flag=2),
    "an endless length": frame(MESSAGE, length=2**32 - 1),
    "every byte there is": bytes(range(256)),
    "JSON": b'{"model": "served-linear"}',
}


@each("path", [PREDICT, GET_MODEL])
@each("kind", ["application/grpc", "application/grpc-web+proto"])
@each("body", FRAMES.values())
def test_a_body_that_is_not_one_message_is_refused_at_once(served: Served, path: str, kind: str, body: bytes):
    refused(served, path, body, {"content-type": kind})


@pytest.mark.parametrize("path", [PREDICT, GET_MODEL])
def test_an_encoding_that_nobody_knows_is_refused_at_once(served: Served, path: str):
    body = frame(GOOD[path].SerializeToString())
    refused(served, path, body, {"content-type": "application/grpc", "grpc-encoding": "brotli"})
    assert served.rest("POST", path, content=body, headers=_grpc({"grpc-encoding": "gzip"})).status_code == 200


def refused(served: Served, path: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Assert that a body, sent as it is, is refused as malformed long before any deadline."""
    response = served.rest("POST", path, content=body, headers=_grpc(headers), timeout=3)
    assert response.headers["grpc-status"] == str(grpc.StatusCode.INVALID_ARGUMENT.value[0])
    encoded = response.headers["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
    assert status.message == response.headers["grpc-message"]
    assert b"MALFORMED_MESSAGE" in status.details[0].value


def _grpc(headers: Mapping[str, str]) -> dict[str, Any]:
    return {"content-type": "application/grpc", "te": "trailers", **headers}

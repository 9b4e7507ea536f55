"""REST through the transcoder: what arrives, what comes back, and what is refused before a service sees it."""

from collections.abc import Callable, Iterable
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from grpc_status import rpc_status
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import route_pb2
from headrace_servicekit.error_details import to_json, to_status
from headrace_servicekit.errors import FieldViolation, InvalidArgument, NotFound

from tests.kit.clients.refusals import rest_refusal
from tests.kit.front_door.edge import CREATE_MODEL, GET_MODEL, Edge
from tests.kit.rows import each
from tests.kit.wire.sockets import connected

SERVICE = "/headrace.registry.v1.RegistryService/"
ROUTES = "/headrace.router.v1.RouteService/"


def _says(message: Any) -> Callable[[Iterable[bytes], grpc.ServicerContext], Iterable[bytes]]:
    return lambda _requests, _context: [message.SerializeToString()]


def _fails(error: Any) -> Callable[[Iterable[bytes], grpc.ServicerContext], Iterable[bytes]]:
    def answer(_requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterable[bytes]:
        context.abort_with_status(rpc_status.to_status(to_status(error)))
        yield b""

    return answer


@each("verb,path,body,rpc,expected", [
        ("GET", "/v1/models/digits", None, "GetModel", registry_pb2.GetModelRequest(name="models/digits")),
        (
            "GET", "/v1/models?page_size=7&page_token=x", None, "ListModels",
            registry_pb2.ListModelsRequest(page_size=7, page_token="x"),
        ),
        (
            "GET", "/v1/models/digits/versions?stage=STAGE_STAGING", None, "ListModelVersions",
            registry_pb2.ListModelVersionsRequest(
                parent="models/digits", stage=registry_pb2.ModelVersion.STAGE_STAGING
            ),
        ),
        (
            "POST", "/v1/models", {"model": {"name": "models/digits", "labels": {"team": "x", "any key": "y"}}},
            "CreateModel",
            registry_pb2.CreateModelRequest(
                model=registry_pb2.Model(name="models/digits", labels={"team": "x", "any key": "y"})
            ),
        ),
        (
            "POST", "/v1/models",
            {"model": {"promotionPolicy": {"gates": [{"metric": "accuracy", "minimum": 0.9, "measuredOnly": True}]}}},
            "CreateModel",
            registry_pb2.CreateModelRequest(
                model=registry_pb2.Model(
                    promotion_policy=registry_pb2.PromotionPolicy(
                        gates=[registry_pb2.PromotionGate(metric="accuracy", minimum=0.9, measured_only=True)]
                    )
                )
            ),
        ),
        (
            "POST", "/v1/models/digits/versions/v1:promote",
            {"target_stage": "STAGE_PRODUCTION", "etag": "7", "reason": "é\n\"q\""}, "PromoteModelVersion",
            registry_pb2.PromoteModelVersionRequest(
                name="models/digits/versions/v1", target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION, etag="7",
                reason='é\n"q"',
            ),
        ),
        (
            "POST", "/v1/models/digits:rollback", {"etag": "7"}, "RollbackModel",
            registry_pb2.RollbackModelRequest(name="models/digits", etag="7"),
        ),
        (
            "PATCH", "/v1/models/digits", {"model": {"description": "d"}, "reason": "r"}, "UpdateModel",
            registry_pb2.UpdateModelRequest(
                model=registry_pb2.Model(name="models/digits", description="d"), reason="r"
            ),
        ),
        (
            "PUT", "/v1/models/digits/aliases/champion", {"version": "v1"}, "SetAlias",
            registry_pb2.SetAliasRequest(name="models/digits/aliases/champion", version="v1"),
        ),
        (
            "DELETE", "/v1/models/digits/aliases/champion?reason=why", None, "DeleteAlias",
            registry_pb2.DeleteAliasRequest(name="models/digits/aliases/champion", reason="why"),
        ),
    ])  # fmt: skip
def test_a_rest_call_becomes_the_rpc_of_its_path(door: Edge, verb: str, path: str, body: Any, rpc: str, expected: Any):
    token = door.issuer.token(sub=f"{verb} {path} {body}"[:200].replace('"', "").encode("ascii", "ignore").decode())
    response = door.http(verb, path, token, json=body)
    assert response.status_code == 200, response.text
    call = door.behind.registry.calls[-1]
    assert call.path == SERVICE + rpc
    assert type(expected).FromString(call.body) == expected


def test_routes_are_reached_at_the_control_plane(door: Edge):
    response = door.http(
        "PUT", "/v1/routes/digits", door.issuer.token(sub="splitter"),
        json={"route": {"variants": [{"name": "a", "followProduction": True, "weight": 9}], "maxWait": "0.005s"}},
    )  # fmt: skip
    assert response.status_code == 200, response.text
    (call,) = door.behind.router_control.calls_of("splitter")
    request = route_pb2.UpdateRouteRequest.FromString(call.body)
    assert call.path == ROUTES + "UpdateRoute"
    assert request.route.name == "routes/digits"
    assert request.route.variants[0].follow_production
    assert request.route.max_wait.nanos == 5_000_000


def test_answers_have_the_names_of_the_protos_and_show_what_is_zero(door: Edge):
    model = registry_pb2.Model(name="models/digits", epoch=9, create_time=Timestamp(seconds=1_700_000_000))
    door.behind.registry.answers[GET_MODEL] = _says(registry_pb2.GetModelResponse(model=model))
    response = door.http("GET", "/v1/models/digits", door.issuer.token())
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "model": {
            "name": "models/digits", "description": "", "labels": {}, "aliases": {}, "production_version": "",
            "epoch": "9", "etag": "", "create_time": "2023-11-14T22:13:20Z", "rollback_versions": [],
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("model 'x' not found", reason="MODEL_NOT_FOUND", metadata={"model": "x"}), 404),
        (InvalidArgument("bad", reason="BAD", violations=[FieldViolation("model.name", "must be a name")]), 400),
    ],
)
def test_errors_of_services_arrive_with_their_details(door: Edge, error: Any, status: int):
    door.behind.registry.answers[SERVICE + "ListModels"] = _fails(error)
    response = door.http("GET", "/v1/models", door.issuer.token())
    assert response.status_code == status
    # The transcoder also writes what is empty.
    assert json_format.ParseDict(response.json(), status_pb2.Status()) == to_status(error)
    assert response.json()["details"][0].items() >= to_json(error)["details"][0].items()


@each("body,field", [
        ('{"modle": {}}', "modle"),
        ('{"model": {"nmae": "x"}}', "model.nmae"),
        ('{"model": {"promotion_policy": {"gates": [{"metric": "a"}, {"metrics": "b"}]}}}',
         "model.promotion_policy.gates[1].metrics"),
        ('{"model": {"name": "a", "name": "b"}}', "model.name"),
        ('{"request_id": "1", "request_\\u0069d": "2"}', "request_id"),
        ('{"model": {"Name": "x"}}', "model.Name"),
        ('{"": 1}', ""),
    ])  # fmt: skip
def test_a_field_that_the_message_does_not_have_is_refused_by_name(door: Edge, body: str, field: str):
    before = len(door.behind.registry.calls)
    response = door.http("POST", "/v1/models", door.issuer.token(), content=body.encode())
    assert response.status_code == 400
    refusal = rest_refusal(response)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_JSON")
    assert response.json()["details"][1]["field_violations"][0]["field"] == field
    assert field in refusal.message
    assert len(door.behind.registry.calls) == before


@each("body", [
        "", "{", "[]", "nothing",
        '{"model"}', '{"model": }', '{"model": {},}', '{"model": {}} x', '{"request_id": "a',
        '{"request_id": "\\x"}',
        '{"request_id": "\n"}', '{"request_id": 01}', '{"request_id": 1.}', "{'request_id': 1}",
        '{"model": NaN}', '{"request_id" "a"}', '{"model": [1 2]}', '{"a":' * 70 + "1" + "}" * 70,
        '{"model": {"labels": ' + "[" * 100 + "]" * 100 + "}}", "\x00", '{"request_id": "\ud800"}',
    ])  # fmt: skip
def test_malformed_json_never_becomes_a_call_with_content(door: Edge, body: str):
    response = door.http("POST", "/v1/models", door.issuer.token(), content=body.encode("utf-8", "surrogatepass"))
    if body == "":  # a call without a body is one with an empty message
        assert response.status_code == 200
        return
    assert response.status_code == 400, response.text
    assert rest_refusal(response).code is grpc.StatusCode.INVALID_ARGUMENT


@each(
    "body",
    [
        '{"request_id": "ok"}',
        ' \r\n\t{ "request_id" : "ok" , "model" : null } ',
        '{"requestId": "\\u006f\\u006b"}',
        '{"model": {"labels": {"a": "1", "A": "2", "": "3"}}, "request_id": "ok"}',
        '{"model": {"createTime": "2020-01-01T00:00:00Z", "epoch": "9", "labels": {}}, "request_id": "ok"}',
        '{"model": {"promotion_policy": {"gates": [{"minimum": 1e-3}, {"minimum": -0.5E+2}, {"maximum": "Infinity"}]}},'
        ' "request_id": "ok"}',
    ],
)
def test_json_that_is_well_formed_passes(door: Edge, body: str):
    token = door.issuer.token(sub=f"json {hash(body)}")
    response = door.http("POST", "/v1/models", token, content=body.encode())
    assert response.status_code == 200, response.text
    (call,) = door.behind.reached_by(f"json {hash(body)}")
    assert registry_pb2.CreateModelRequest.FromString(call.body).request_id == "ok"


@each(
    "body,named",
    [
        ('{"model": {"name": 5}}', "model.name"),
        ('{"model": 5}', "model"),
        ('{"model": {"epoch": "x"}}', "model.epoch"),
        ('{"model": {"createTime": "yesterday"}}', "create"),
        ('{"request_id": {"a": 1}}', "request_id"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_the_name_of_its_field(door: Edge, body: str, named: str):
    response = door.http("POST", "/v1/models", door.issuer.token(), content=body.encode())
    assert response.status_code == 400
    assert named in rest_refusal(response).message
    assert rest_refusal(response).reason in ("INVALID_REQUEST", "INVALID_JSON")


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("GET", "/v1/models?page_szie=1", None),
        ("GET", "/v1/models?page_size=many", None),
        ("GET", "/v1/models/digits/versions?stage=STAGE_NONE", None),
        ("POST", "/v1/models/digits:rollback", {"name": "models/other"}),
    ],
)
def test_parameters_that_the_method_does_not_have_are_refused(door: Edge, verb: str, path: str, body: Any):
    response = door.http(verb, path, door.issuer.token(sub="parameters"), json=body)
    assert response.status_code == 400, response.text
    assert rest_refusal(response).code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("verb", "path"),
    [("DELETE", "/v1/models"), ("GET", "/v1/models/digits:promote/x"), ("POST", "/v1/models/a/versions/b:demote")],
)
def test_paths_that_no_method_has_are_not_found(door: Edge, verb: str, path: str):
    response = door.http(verb, path, door.issuer.token(), json={})
    assert response.status_code == 404
    assert rest_refusal(response).reason == "PATH_UNKNOWN"


def test_predictions_go_to_the_data_plane_as_they_are(door: Edge):
    token = door.issuer.token(sub="rest predict")
    for path in ("/v1/models/digits:predict", "/v1/predict"):
        body = b'{"instances": [[1, 2]], "unknown": NaN'
        response = door.http("POST", path, token, content=body, headers={"grpc-timeout": "250m"})
        assert response.status_code == 200
        call = door.behind.router_rest.calls[-1]
        assert (call.path, call.body) == (path, body)
        assert call.headers["grpc-timeout"] == "250m"
    assert len(door.behind.router_rest.calls_of("rest predict")) == 2


def test_a_repeated_create_is_not_repeated_by_the_door(door: Edge):
    def unavailable(_requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterable[bytes]:
        context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        yield b""

    door.behind.registry.answers[CREATE_MODEL] = unavailable
    try:
        response = door.http("POST", "/v1/models", door.issuer.token(sub="once"), json={"request_id": "1"})
    finally:
        del door.behind.registry.answers[CREATE_MODEL]
    assert response.status_code == 503
    assert len(door.behind.registry.calls_of("once")) == 1


@each("path", ["/v1/models", "/v1/predict", "/v2/models/digits/infer", GET_MODEL])
@each(
    "encoding,status,reason",
    [
        *((told, 501, "TRANSFER_ENCODING_UNSUPPORTED") for told in ("gzip", "gzip, chunked", "identity", "")),
        ("chunked\r\ntransfer-encoding: gzip", 501, "TRANSFER_ENCODING_UNSUPPORTED"),
        ("chunked\r\ncontent-length: 5", 400, "REQUEST_REFUSED"),
    ],
)
def test_a_transfer_encoding_that_is_not_chunked_is_the_callers_fault(
    door: Edge, path: str, encoding: str, status: int, reason: str
):
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {door.issuer.token()}\r\n"
    body = "5\r\nhello\r\n0\r\n\r\n"
    with connected(door.address) as connection:
        connection.sendall(f"{head}transfer-encoding: {encoding}\r\n\r\n{body}".encode())
        answer = connection.recv(8192)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert f'"reason":"{reason}"'.encode() in answer

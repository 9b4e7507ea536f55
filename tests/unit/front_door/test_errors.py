import base64
import re

import pytest
from front_door import errors, inference
from front_door.access import PREDICT_PATH, PREDICT_PATH_REGEX, scope_table
from front_door.api import Api
from front_door.shapes import Json
from google.rpc import error_details_pb2, status_pb2
from headrace_servicekit.errors import Code


def _headers(mapper: Json) -> dict[str, str]:
    return {added["header"]["key"]: added["header"]["value"] for added in mapper.get("headers_to_add", [])}


def _grpc_status(mapper: Json) -> status_pb2.Status:
    encoded = _headers(mapper)["grpc-status-details-bin"]
    return status_pb2.Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))


@pytest.fixture(scope="module")
def mappers(api: Api) -> list[Json]:
    return errors.local_replies(api)["mappers"]


def _rest(mappers: list[Json]) -> list[Json]:
    return [mapper for mapper in _json(mappers) if "error" not in mapper["body_format_override"]["json_format"]]


def _inference(mappers: list[Json]) -> list[Json]:
    return [mapper for mapper in _json(mappers) if "error" in mapper["body_format_override"]["json_format"]]


def _json(mappers: list[Json]) -> list[Json]:
    return [mapper for mapper in mappers if "json_format" in mapper.get("body_format_override", {})]


def _grpc(mappers: list[Json]) -> list[Json]:
    return [mapper for mapper in mappers if "text_format_source" in mapper.get("body_format_override", {})]


def test_every_error_has_all_shapes(api: Api, mappers: list[Json]):
    assert len(_rest(mappers)) == len(_inference(mappers)) == len(_grpc(mappers)) == len(errors.rules(api))


def test_triton_clients_find_the_message_where_they_look_for_it(mappers: list[Json]):
    for mapper, rest in zip(_inference(mappers), _rest(mappers), strict=True):
        shaped, plain = (one["body_format_override"]["json_format"] for one in (mapper, rest))
        assert shaped == {"error": plain["message"], "code": plain["code"], "details": plain["details"]}
        assert mapper["status_code"] == rest["status_code"]


def test_every_error_carries_error_info_in_both_shapes(mappers: list[Json]):
    for mapper in _rest(mappers):
        info = mapper["body_format_override"]["json_format"]["details"][0]
        assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
        assert info["domain"] == "headrace.dev"
        assert re.fullmatch("[A-Z][A-Z0-9_]+", info["reason"])
    for mapper in _grpc(mappers):
        status, info = _grpc_status(mapper), error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        assert info.domain == "headrace.dev"
        assert str(status.code) == _headers(mapper)["grpc-status"]
        text = mapper["body_format_override"]["text_format_source"]["inline_string"]
        assert text.replace("%%", "%") == status.message


def test_what_may_be_tried_again_says_when(mappers: list[Json]):
    for mapper in _grpc(mappers):
        shed = _grpc_status(mapper).code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)
        kinds = [detail.type_url.rpartition(".")[2] for detail in _grpc_status(mapper).details]
        assert ("RetryInfo" in kinds) == ("grpc-retry-pushback-ms" in _headers(mapper))
        assert "RetryInfo" not in kinds or shed
    for mapper in _rest(mappers):
        if mapper["status_code"] in (429, 503):
            assert _headers(mapper)["retry-after"] == "1"


def test_no_error_tells_of_what_is_inside(mappers: list[Json]):
    shown = str([mapper["body_format_override"] for mapper in _rest(mappers) + _grpc(mappers)])
    assert "RESPONSE_CODE_DETAILS" not in shown
    assert "envoy" not in shown.lower()
    assert "rbac" not in shown.lower()


def test_a_missing_scope_is_named(api: Api):
    named = {rule.error.metadata.get("scope") for rule in errors.rules(api) if rule.error.reason == "SCOPE_MISSING"}
    assert named == set(scope_table(api))


def test_a_path_that_is_not_served_is_unimplemented_for_grpc_and_not_found_for_rest(mappers: list[Json]):
    rest = {m["body_format_override"]["json_format"]["details"][0]["reason"]: m for m in _rest(mappers)}
    assert rest["PATH_UNKNOWN"]["status_code"] == 404
    assert any(_grpc_status(mapper).code == Code.UNIMPLEMENTED for mapper in _grpc(mappers))


def test_who_misses_the_path_is_told_where_predictions_are(api: Api, mappers: list[Json]):
    served = {method.path for method in (*api.public, *inference.methods())}
    bodies = [mapper["body_format_override"]["json_format"] for mapper in _rest(mappers)]
    for said in [body["message"] for body in bodies if body["details"][0]["reason"] == "PATH_UNKNOWN"]:
        paths = re.findall(r"/v\d[^ ,]*", said.replace("{model}", "digits"))
        known = (PREDICT_PATH, PREDICT_PATH_REGEX, inference.REST_INFER_REGEX)
        assert [any(re.fullmatch(pattern, path) for pattern in known) for path in paths] == [True] * 3
    statuses = [_grpc_status(mapper) for mapper in _grpc(mappers)]
    unknown = [status for status in statuses if b"METHOD_UNKNOWN" in status.details[0].value]
    assert unknown
    for status in unknown:
        named = re.findall(r"[\w.]+/\w+", status.message)
        assert len(named) == 2
        assert {f"/{method}" for method in named} <= served


def test_text_with_a_percent_sign_is_not_taken_for_a_command():
    assert errors._escape("50 %") == "50 %%"

"""Calls of the registry and of routes that cannot be done, by REST and gRPC: refused by their field, in vain."""

from collections.abc import Iterator
from typing import Any

import pytest
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import route_pb2

from tests.kit.rows import each
from tests.kit.stack.served_models import IDLE, LINEAR, NOT_ROUTED, Served, assert_refused

REGISTRY = "/headrace.registry.v1.RegistryService/"
ROUTES = "/headrace.router.v1.RouteService/"
MODELS, MODEL, ROUTE = "/v1/models", f"/v1/models/{LINEAR}", f"/v1/routes/{LINEAR}"
NOBODY = "served-none"
PRODUCTION = registry_pb2.ModelVersion.STAGE_PRODUCTION


@pytest.fixture(autouse=True)
def unchanged(served: Served, unharmed: None) -> Iterator[None]:
    before = served.client.models.get(LINEAR), served.client.routes.get(LINEAR).route
    yield
    assert (served.client.models.get(LINEAR), served.client.routes.get(LINEAR).route) == before


def arm(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "follow_production": True, "weight": 1, **changes}


def route(*arms: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"route": {"variants": list(arms), **fields}}


def gate(bound: object) -> dict[str, Any]:
    return {"model": {"name": f"models/{NOBODY}", "promotion_policy": {"gates": [{"metric": "m", "minimum": bound}]}}}


REFUSED = {
    "a misspelt field": ("POST", MODELS, {"model": {"nmae": "x"}}, "INVALID_JSON", "model.nmae"),
    "a misspelt field of a route": ("PUT", ROUTE, route(arm(), managd_by="x"), "INVALID_JSON", "route.managd_by"),
    "no name": ("POST", MODELS, {}, "INVALID_ARGUMENT", "model.name"),
    "what is no name": ("POST", MODELS, {"model": {"name": "models/UP"}}, "INVALID_ARGUMENT", "model.name"),
    "a path that is no name": ("GET", "/v1/models/UP", None, "INVALID_ARGUMENT", "name"),
    "a control character": (
        "POST", MODELS, {"model": {"name": f"models/{NOBODY}", "description": "a\0b"}}, "INVALID_ARGUMENT",
        "model.description",
    ),
    "a gate that is no number": ("POST", MODELS, gate("NaN"), "VALUE_OUT_OF_RANGE",
        "model.promotion_policy.gates[0].minimum"),
    "a page that is less than nothing": ("GET", f"{MODELS}?page_size=-1", None, "VALUE_OUT_OF_RANGE", "page_size"),
    "a page token of nobody": ("GET", f"{MODELS}?page_token=x", None, "INVALID_ARGUMENT", "page_token"),
    "no stage": ("POST", f"{MODEL}/versions/{NOT_ROUTED}:promote", {}, "INVALID_ARGUMENT", "target_stage"),
    "a stage that nobody knows": (
        "POST", f"{MODEL}/versions/{NOT_ROUTED}:promote", {"target_stage": 99}, "INVALID_ARGUMENT", "target_stage",
    ),
    "an alias named like a stage": (
        "PUT", f"{MODEL}/aliases/production", {"version": "v1"}, "INVALID_ARGUMENT", "name",
    ),
    "a version without a model file": (
        "POST", f"{MODEL}/versions/v9", {"version": {}}, "INVALID_ARGUMENT", "version.artifacts",
    ),
    "a file name with a path": (
        "POST", f"{MODEL}/versions/v9", {"version": {"artifacts": [{"name": "../model.onnx", "type": 1}]}},
        "INVALID_ARGUMENT", "version.artifacts[0].name",
    ),
    "no variants": ("PUT", ROUTE, route(), "ROUTE_INVALID", "route.variants"),
    "no body": ("PUT", ROUTE, None, "ROUTE_INVALID", "route.variants"),
    "too many variants": (
        "PUT", ROUTE, route(*(arm(name=f"a{n}") for n in range(65))), "ROUTE_INVALID", "route.variants",
    ),
    "a weight below zero": ("PUT", ROUTE, route(arm(weight=-1)), "VALUE_OUT_OF_RANGE", "route.variants[0].weight"),
    "a weight that is no number": (
        "PUT", ROUTE, route(arm(), arm(name="b", weight="NaN")), "VALUE_OUT_OF_RANGE", "route.variants[1].weight",
    ),
    "an endless weight": ("PUT", ROUTE, route(arm(weight=1e308)), "VALUE_OUT_OF_RANGE", "route.variants[0].weight"),
    "no weight at all": ("PUT", ROUTE, route(arm(weight=0)), "ROUTE_INVALID", "route.variants[0].weight"),
    "two variants of a name": ("PUT", ROUTE, route(arm(), arm()), "ROUTE_INVALID", "route.variants[1].name"),
    "a variant that serves nothing": (
        "PUT", ROUTE, route({"name": "a", "weight": 1}), "ROUTE_INVALID", "route.variants[0]",
    ),
    "a wait that is negative": ("PUT", ROUTE, route(arm(), max_wait="-1s"), "VALUE_OUT_OF_RANGE", "route.max_wait"),
    "a unit that nobody knows": ("PUT", ROUTE, route(arm(), unit=77), "ROUTE_INVALID", "route.unit"),
    "nobody to assign": ("GET", f"{ROUTE}:assign", None, "INVALID_ARGUMENT", "user_id"),
    "an epoch before all": ("GET", f"{ROUTE}:await?registry_epoch=-5", None, "VALUE_OUT_OF_RANGE", "registry_epoch"),
}  # fmt: skip


@each("verb,path,body,reason,field", REFUSED.values())
def test_a_wrong_field_is_refused_by_its_name(
    served: Served, verb: str, path: str, body: dict | None, reason: str, field: str
):
    assert_refused(served.rest_refused(verb, path, json=body), "INVALID_ARGUMENT", reason, field)


# What the transcoder refuses while it reads has no violations; its message names the field.
UNREADABLE = {
    "an integer beyond its type": ("POST", MODELS, b'{"model": {"epoch": 1e30}}', "model.epoch"),
    "a number beyond any": ("POST", MODELS, b'{"model": {"epoch": 1e999}}', "epoch"),
    "an enumeration's unknown name": (
        "POST", f"{MODEL}/versions/v1:promote", b'{"target_stage": "STAGE_X"}', "target_stage",
    ),
    "what is no duration": ("PUT", ROUTE, b'{"route": {"max_wait": "soon"}}', "route.max_wait"),
    "a text for a message": ("PUT", ROUTE, b'{"route": "served-linear"}', "route"),
    "a page size that is no number": ("GET", f"{MODELS}?page_size=many", None, "page_size"),
    "a parameter that nobody knows": ("GET", f"{MODELS}?page_szie=1", None, "page_szie"),
    "a name in the body and in the path": (
        "POST", f"{MODEL}:rollback", b'{"name": "models/served-pair"}', "name",
    ),
    "half a surrogate pair": ("POST", MODELS, b'{"request_id": "\\ud800"}', "surrogate"),
    "bytes that are no UTF-8": ("POST", MODELS, b'{"request_id": "\xff"}', "UTF-8"),
}  # fmt: skip


@each("verb,path,body,named", UNREADABLE.values())
def test_a_value_that_cannot_be_read_is_refused_by_the_name_of_its_field(
    served: Served, verb: str, path: str, body: bytes | None, named: str
):
    assert_refused(served.rest_refused(verb, path, content=body), "INVALID_ARGUMENT", "INVALID_REQUEST", named=named)


@each("body,field,named", [
        (b"{", "", "byte 2"), (b"[]", "", "an object"), (b"nothing", "", "an object"), (b'{"model": {}} x', "", "end"),
        (b'{"model": {},}', "", "name"), (b'{"model": NaN}', "", "value"), (b"\x00", "", "an object"),
        (b'{"model": {"name": "a", "name": "b"}}', "model.name", "twice"),
        (b'{"model": {}, "mod\\u0065l": {}}', "model", "twice"),
        (b'{"model": {"labels": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}}", "", "deeper than 64"),
        (b'{"model": {"labels": {"a": ' + b"[" * 100_000, "", "deeper than 64"),
        (b'{"\x80\xed\xa0\x80": 1}', "\ufffd" * 4, "unknown field"),
        (b'{"' + 'é'.encode() * 200 + b'": 1}', "é" * 150, "é" * 100),
    ])  # fmt: skip
def test_malformed_json_is_refused_with_its_place(served: Served, body: bytes, field: str, named: str):
    refusal = served.rest_refused("POST", MODELS, content=body)
    assert_refused(refusal, "INVALID_ARGUMENT", "INVALID_JSON", field, named)


def test_a_json_body_beyond_the_limit_is_413(served: Served):
    refusal = served.rest_refused("POST", MODELS, content=b'{"request_id": "' + b"x" * 2**20 + b'"}')
    assert_refused(refusal, "RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", named="larger")


get_model, get_version = registry_pb2.GetModelRequest, registry_pb2.GetModelVersionRequest
promote, rollback = registry_pb2.PromoteModelVersionRequest, registry_pb2.RollbackModelRequest
UNKNOWN = {
    "a model": (REGISTRY + "GetModel", get_model(name=f"models/{NOBODY}"), "MODEL", "GET", f"{MODELS}/{NOBODY}"),
    "a version": (
        REGISTRY + "GetModelVersion", get_version(name=f"models/{LINEAR}/versions/v9"), "VERSION", "GET",
        f"{MODEL}/versions/v9",
    ),
    "a version to promote": (
        REGISTRY + "PromoteModelVersion",
        promote(name=f"models/{LINEAR}/versions/v9", target_stage=PRODUCTION), "VERSION",
        "POST", f"{MODEL}/versions/v9:promote",
    ),
    "a model to roll back": (
        REGISTRY + "RollbackModel", rollback(name=f"models/{NOBODY}"), "MODEL", "POST", f"{MODELS}/{NOBODY}:rollback",
    ),
    "a version for an alias": (
        REGISTRY + "SetAlias", registry_pb2.SetAliasRequest(name=f"models/{LINEAR}/aliases/best", version="v9"),
        "VERSION", "PUT", f"{MODEL}/aliases/best",
    ),
    "a model's route": (
        ROUTES + "GetRoute", route_pb2.GetRouteRequest(name=f"routes/{NOBODY}"), "MODEL", "GET", f"/v1/routes/{NOBODY}",
    ),
    "a version for a variant": (
        ROUTES + "UpdateRoute", route_pb2.UpdateRouteRequest(
            route=route_pb2.Route(
                name=f"routes/{LINEAR}", variants=[route_pb2.Variant(name="a", version="v9", weight=1)]
            )
        ), "VERSION", "PUT", ROUTE,
    ),
    "an alias for a variant": (
        ROUTES + "UpdateRoute", route_pb2.UpdateRouteRequest(
            route=route_pb2.Route(
                name=f"routes/{LINEAR}", variants=[route_pb2.Variant(name="a", follow_alias="best", weight=1)]
            )
        ), "VERSION", "PUT", ROUTE,
    ),
}  # fmt: skip
BODIES = {
    "a version to promote": {"target_stage": "STAGE_PRODUCTION"},
    "a version for an alias": {"version": "v9"},
    "a version for a variant": route({"name": "a", "version": "v9", "weight": 1}),
    "an alias for a variant": route({"name": "a", "follow_alias": "best", "weight": 1}),
}


@each("what", UNKNOWN)
def test_what_does_not_exist_is_not_found_and_named_on_both_faces(served: Served, what: str):
    method, message, kind, verb, path = UNKNOWN[what]
    by_grpc = served.refused(method, message)
    by_rest = served.rest_refused(verb, path, json=BODIES.get(what))
    assert by_grpc == by_rest
    named = NOBODY if kind == "MODEL" else "best" if "alias for" in what else "v9"
    assert_refused(by_grpc, "NOT_FOUND", f"{kind}_NOT_FOUND", named=named)


STATE = {
    "a stage that is not to be left": (
        "POST", f"{MODEL}/versions/v1:promote", {"target_stage": "STAGE_ARCHIVED"}, "FAILED_PRECONDITION",
        "STAGE_MOVE_ILLEGAL",
    ),
    "a version that was measured by nobody": (
        "POST", f"{MODELS}/{IDLE}/versions/bare:promote", {"target_stage": "STAGE_PRODUCTION"}, "FAILED_PRECONDITION",
        "PROMOTION_GATE_FAILED",
    ),
    "nothing to go back to": ("POST", f"{MODEL}:rollback", {}, "FAILED_PRECONDITION", "NOTHING_TO_ROLL_BACK_TO"),
    "an old etag of a model": (
        "POST", f"{MODEL}/versions/{NOT_ROUTED}:promote", {"target_stage": "STAGE_PRODUCTION", "etag": "old"},
        "ABORTED", "ETAG_MISMATCH",
    ),
    "an old etag of a route": ("PUT", ROUTE, route(arm(), etag="old"), "ABORTED", "ETAG_MISMATCH"),
    "a model that exists": (
        "POST", MODELS, {"model": {"name": f"models/{LINEAR}"}}, "ALREADY_EXISTS", "MODEL_EXISTS",
    ),
    "a file that nobody uploaded": (
        "POST", f"{MODEL}/versions/v9",
        {"version": {"artifacts": [{"name": "model.onnx", "type": "TYPE_ONNX", "sha256": "a" * 64}]}},
        "FAILED_PRECONDITION", "ARTIFACT_NOT_UPLOADED",
    ),
}  # fmt: skip


@each("verb,path,body,code,reason", STATE.values())
def test_what_the_state_forbids_is_told_apart_from_what_is_wrong(
    served: Served, verb: str, path: str, body: dict, code: str, reason: str
):
    assert_refused(served.rest_refused(verb, path, json=body), code, reason)

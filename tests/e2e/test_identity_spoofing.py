"""What callers say of themselves is not believed, and no spelling of a path gets around the check."""

from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from front_door import access, inference
from front_door.api import read_api

from tests.kit.clients.refusals import rest_refusal
from tests.kit.front_door.edge import (
    EXCHANGE,
    GET_MODEL,
    PREDICT,
    PROMOTE,
    WATCH_TABLES,
    Edge,
    metadata,
    settings_with,
)
from tests.kit.front_door.upstreams import Call
from tests.kit.rows import each

SPOOFED = {
    "x-headrace-client": "admin",
    "x-headrace-models": "*",
    "x-headrace-edge": "1",
    "x-headrace-internal": "true",
    "x-envoy-internal": "true",
    "x-envoy-original-path": "/headrace.registry.v1.RegistryService/GetModel",
    "x-envoy-upstream-rq-timeout-ms": "600000",
    "x-envoy-retry-on": "5xx",
    "x-envoy-force-trace": "1",
    "baggage": "user=admin",
}


def test_identity_headers_from_outside_are_replaced(door: Edge):
    token = door.issuer.token(sub="mallory", models=["digits"])
    door.call(GET_MODEL, token, headers=SPOOFED)
    (call,) = door.behind.reached_by("mallory")
    assert call.headers["x-headrace-models"] == "digits"
    assert call.headers["x-headrace-edge"] == "1"
    for name in SPOOFED.keys() - {"x-headrace-client", "x-headrace-models", "x-headrace-edge"}:
        assert name not in call.headers, name
    assert door.behind.reached_by("admin") == []


def test_identity_headers_from_outside_are_replaced_for_rest(door: Edge):
    token = door.issuer.token(sub="mallory-rest", models=["digits"])
    door.http("POST", "/v1/models/digits:predict", token, headers=SPOOFED, json={})
    door.http("GET", "/v1/models/digits", token, headers=SPOOFED)
    predicted, got = sorted(door.behind.reached_by("mallory-rest"), key=lambda call: call.path, reverse=True)
    for call in (predicted, got):
        assert call.headers["x-headrace-models"] == "digits"
        assert call.headers["x-headrace-edge"] == "1"
        assert "baggage" not in call.headers
        assert call.headers.get("x-envoy-original-path") in (None, "/v1/models/digits")


def test_health_says_that_it_came_through_the_door_and_carries_no_identity_from_outside(door: Edge):
    door.call("/grpc.health.v1.Health/Check", None, headers=SPOOFED)
    call = door.behind.router_control.calls[-1]
    assert call.headers.get("x-headrace-edge") == "1", call
    assert "x-headrace-client" not in call.headers
    assert "x-headrace-models" not in call.headers


@pytest.mark.parametrize("name", ["x_headrace_client", "X-Headrace-Client", "x-headrace-client "])
def test_other_spellings_of_the_identity_header_do_not_pass(door: Edge, name: str):
    token = door.issuer.token(sub=f"mallory {name}".strip())
    response = door.http("POST", "/v1/predict", token, headers={name.strip(): "admin"}, json={})
    assert response.status_code == 200
    seen = {key.lower().replace("_", "-"): value for key, value in response.json()["headers"].items()}
    assert seen["x-headrace-client"] == f"mallory {name}".strip()


@each(
    "path",
    [
        WATCH_TABLES,
        EXCHANGE,
        "/headrace.registry.v1.RegistryService/Nothing",
        "/headrace.registry.v1.RegistryService/",
        "/headrace.registry.v1.RegistryService",
        "/headrace.registry.v1.registryservice/GetModel",
        "/HEADRACE.REGISTRY.V1.REGISTRYSERVICE/GETMODEL",
        GET_MODEL + "/",
        GET_MODEL + "x",
        "/x" + GET_MODEL,
        "/nobody.v1.Service/Do",
        "/inference.GRPCInferenceService/ModelInference",
        "/grpc.channelz.v1.Channelz/GetServers",
    ],
)
def test_what_is_not_declared_public_is_not_served(door: Edge, path: str):
    before = [len(upstream.calls) for upstream in door.behind.grpc()]
    refusal = door.refused(path, door.issuer.token())
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")
    assert not _since(door, before)


@each(
    "path",
    [
        f"/headrace.router.v1.RouterService/..{PROMOTE}",
        f"/./{PROMOTE}",
        f"/{PROMOTE}",
        f"/{PROMOTE.replace('/', '//')}",
        PROMOTE.replace("Promote", "%50romote"),
        PROMOTE.replace("v1.RegistryService/", "v1.RegistryService%2f"),
        PROMOTE.replace("v1.RegistryService/", "v1.RegistryService%5c"),
        PROMOTE.replace("v1.RegistryService/", "v1.RegistryService\\"),
        PROMOTE + "?x=/headrace.router.v1.RouterService/Predict",
        PROMOTE + "#/headrace.router.v1.RouterService/Predict",
        f"/grpc.health.v1.Health/..{PROMOTE}",
        f"/grpc.health.v1.Health/%2e%2e{PROMOTE}",
        f"/healthz/..{PROMOTE}",
    ],
)
@each("scopes", [["predict"], None])
def test_no_spelling_of_a_path_gets_around_the_scope(door: Edge, path: str, scopes: list[str] | None):
    before = [len(upstream.calls) for upstream in door.behind.grpc()]
    token = None if scopes is None else door.issuer.token(scopes=scopes)
    refusal = door.refused(path, token)
    assert refusal.code in (
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    assert not _since(door, before)


@each(
    "path,status",
    [
        ("/v1/../headrace.registry.v1.RegistryService/GetModel", 404),
        ("/v1/%2e%2e/healthz", 200),
        ("/v1/models%2fdigits", 400),
        ("/v1/models%5cdigits", 400),
        ("/v1/models/..%2fdigits", 400),
        ("/V1/models", 404),
        ("/v1/Models", 404),
        ("/v1/models/digits/", 404),
        ("/v1/models/digits:nothing", 404),
        ("/v1", 404),
        ("/V2/models/digits", 404),
        ("/v2x", 404),
        ("/admin", 404),
        ("/stats", 404),
        ("/config_dump", 404),
    ],
)
def test_rest_paths_are_taken_in_one_spelling_only(door: Edge, path: str, status: int):
    before = len(door.behind.registry.calls)
    response = door.http("GET", path, door.issuer.token())
    assert response.status_code == status
    if status != 200:
        assert rest_refusal(response).reason in ("PATH_UNKNOWN", "PATH_REFUSED")
    assert len(door.behind.registry.calls) == before


def test_double_slashes_become_one(door: Edge):
    assert door.http("GET", "//v1//models", door.issuer.token()).status_code == 200


def test_a_grpc_path_is_not_served_to_other_content_types(door: Edge):
    token = door.issuer.token(sub="typeless")
    for content_type in ("application/json", "text/plain", ""):
        assert door.http("POST", GET_MODEL, token, headers={"content-type": content_type}).status_code == 404
    assert door.behind.reached_by("typeless") == []


def test_a_grpc_content_type_does_not_open_a_rest_path(door: Edge):
    token = door.issuer.token(sub="mixed", scopes=["predict"])
    refusal = door.refused("/v1/models", token)
    assert refusal.code is grpc.StatusCode.UNIMPLEMENTED
    assert door.behind.reached_by("mixed") == []


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "PATCH"])
def test_predictions_are_posted(door: Edge, verb: str):
    response = door.http(verb, "/v1/models/digits:predict", door.issuer.token(sub="verbs"))
    assert response.status_code == 404
    assert door.behind.reached_by("verbs") == []


def test_a_body_that_claims_another_identity_changes_nothing(door: Edge):
    door.call(PREDICT, door.issuer.token(sub="body"), b"\n\x05admin")
    (call,) = door.behind.reached_by("body")
    assert call.body == b"\n\x05admin"


def test_whatever_reaches_a_service_bears_the_front_doors_mark_and_an_identity(door: Edge):
    token = door.issuer.token(sub="everywhere")
    api = read_api(settings_with().descriptors)
    paths = [method.path for method in (*api.public, *inference.methods())]
    with door.channel() as channel:
        for path in paths:
            list(channel.stream_stream(path)(iter([b""]), metadata=metadata(token), timeout=20))
    for verb, path in (("GET", "/v1/models"), ("POST", "/v1/predict"), ("GET", "/v2"), ("GET", "/v2/models/a")):
        door.http(verb, path, token)
    whole: Any = (*door.behind.grpc(), door.behind.router_rest)
    reached = [call for upstream in whole for call in upstream.calls]
    assert {call.path for call in reached} >= {*paths, "/v1/predict", "/v2", "/v2/models/a"}
    for call in reached:
        assert call.headers.get("x-headrace-edge") == "1", call
        of_anybody = call.path in inference.OPEN_PATHS or call.path.startswith(access.HEALTH_PREFIX)
        assert of_anybody or (call.client and call.headers["x-headrace-models"]), call.path


def _since(door: Edge, before: Sequence[int]) -> list[Call]:
    """Return the calls that reached a service since each had so many."""
    upstreams = zip(door.behind.grpc(), before, strict=True)
    return [call for upstream, count in upstreams for call in upstream.calls[count:]]

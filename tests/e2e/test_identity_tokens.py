"""Tokens: which are believed, what is said about the others, and that none of the others reaches a service."""

import grpc
import pytest
from headrace_client.issuer import ISSUER

from tests.kit.clients.refusals import rest_refusal
from tests.kit.front_door.edge import GET_MODEL, GET_ROUTE, PREDICT, PROMOTE, UPLOAD, WATCH_MODELS, Edge
from tests.kit.identity.bad_tokens import BAD_TOKENS, MakeToken
from tests.kit.rows import each

GRPC_PATHS = (GET_MODEL, GET_ROUTE, PREDICT, UPLOAD, WATCH_MODELS)
REST_PATHS = (
    ("GET", "/v1/models/digits"),
    ("POST", "/v1/models/digits:predict"),
    ("POST", "/v1/predict"),
    ("GET", "/v1/routes"),
    ("GET", "/v1/nothing"),
    ("GET", "/"),
)


@each("path", GRPC_PATHS)
def test_a_good_token_reaches_the_service_as_its_client(door: Edge, path: str):
    door.call(path, door.issuer.token(sub=f"ann{path}", models=["digits", "churn-*"]))
    (call,) = door.behind.reached_by(f"ann{path}")
    assert call.path == path
    assert call.headers["x-headrace-models"] == "digits,churn-*"


@pytest.mark.parametrize(("models", "sent"), [(None, "*"), (["*"], "*"), ([], ","), (["a"], "a")])
def test_the_models_of_a_token_become_patterns_and_an_empty_list_shows_none(
    door: Edge, models: list[str] | None, sent: str
):
    token = door.issuer.token(sub=f"models {sent} {models}", models=models)
    door.call(GET_MODEL, token)
    (call,) = door.behind.reached_by(f"models {sent} {models}")
    assert call.headers["x-headrace-models"] == sent


def test_the_token_itself_never_reaches_a_service(door: Edge):
    token = door.issuer.token(sub="secretive")
    door.call(GET_MODEL, token)
    door.http("POST", "/v1/predict", token, json={})
    for call in door.behind.reached_by("secretive"):
        assert token not in str(call.headers)
    assert len(door.behind.reached_by("secretive")) == 2


@each("make,reason", BAD_TOKENS)
def test_a_bad_token_is_unauthenticated_for_grpc(door: Edge, make: MakeToken, reason: str):
    before = _calls(door)
    refusal = door.refused(GET_MODEL, make(door.issuer))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert refusal.domain == "headrace.dev"
    assert _calls(door) == before


@each("make,reason", BAD_TOKENS)
def test_a_bad_token_is_401_for_rest(door: Edge, make: MakeToken, reason: str):
    before = _calls(door)
    response = door.http("POST", "/v1/models/digits:predict", make(door.issuer), json={"instances": [[1]]})
    assert response.status_code == 401
    assert rest_refusal(response).reason == reason
    assert _calls(door) == before


@each("path", GRPC_PATHS)
def test_without_a_token_no_rpc_is_reached(door: Edge, path: str):
    before = _calls(door)
    refusal = door.refused(path, None)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    assert "authorization" in refusal.message
    assert _calls(door) == before


@each("method,path", REST_PATHS)
def test_without_a_token_no_rest_path_is_reached(door: Edge, method: str, path: str):
    before = _calls(door)
    response = door.http(method, path)
    assert response.status_code == 401
    assert rest_refusal(response).reason == "TOKEN_MISSING"
    assert _calls(door) == before


@pytest.mark.parametrize("place", ["?access_token={}", "?token={}"])
def test_a_token_in_the_address_is_not_taken(door: Edge, place: str):
    response = door.http("GET", "/v1/models" + place.format(door.issuer.token()))
    assert response.status_code == 401


def test_two_tokens_at_once_are_refused(door: Edge):
    good = door.issuer.token()
    headers = [("authorization", f"Bearer {good}"), ("authorization", "Bearer other")]
    with door.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(GET_MODEL)(b"", metadata=tuple(headers), timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_scheme_may_be_written_in_lower_case(door: Edge):
    response = door.http("GET", "/v1/models", headers={"authorization": f"bearer {door.issuer.token()}"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("path", "scope"),
    [(PROMOTE, "registry.promote"), (GET_MODEL, "registry.read"), (PREDICT, "predict"), (GET_ROUTE, "routes.read")],
)
def test_a_token_without_the_scope_is_told_which_one_is_missing(door: Edge, path: str, scope: str):
    before = _calls(door)
    others = [other for other in ("registry.promote", "registry.read", "predict", "routes.read") if other != scope]
    refusal = door.refused(path, door.issuer.token(scopes=others))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    assert refusal.metadata == {"scope": scope}
    assert scope in refusal.message
    assert _calls(door) == before


@each(
    "method,path,scope",
    [
        ("GET", "/v1/models/digits", "registry.read"),
        ("POST", "/v1/models/digits:rollback", "registry.promote"),
        ("POST", "/v1/models/digits:predict", "predict"),
        ("POST", "/v1/predict", "predict"),
        ("GET", "/v1/routes/digits:assign", "routes.read"),
    ],
)
def test_rest_needs_the_scope_of_the_method_that_it_becomes(door: Edge, method: str, path: str, scope: str):
    before = _calls(door)
    refused = door.http(method, path, door.issuer.token(scopes=["other"]))
    assert refused.status_code == 403
    assert rest_refusal(refused).metadata == {"scope": scope}
    assert _calls(door) == before
    assert door.http(method, path, door.issuer.token(scopes=[scope])).status_code == 200


def test_a_scope_must_match_as_a_whole(door: Edge):
    for near in ("registry", "registry.readx", "registry.*", "REGISTRY.READ", "*"):
        assert door.refused(GET_MODEL, door.issuer.token(scopes=[near])).reason == "SCOPE_MISSING"


def test_the_issuer_of_the_tests_is_the_one_of_the_stack(door: Edge):
    assert door.issuer.token(iss=ISSUER)
    door.call(GET_MODEL, door.issuer.token(iss=ISSUER))


def _calls(door: Edge) -> int:
    return sum(len(upstream.calls) for upstream in (*door.behind.grpc(), door.behind.router_rest))

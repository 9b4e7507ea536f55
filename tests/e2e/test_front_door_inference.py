"""The Open Inference Protocol at the front door: who may ask what, what reaches the data plane, how no is said."""

import grpc
import pytest
from front_door import inference, routes
from headrace_servicekit.identity import EXPIRY_HEADER, MODELS_HEADER

from tests.kit.front_door.edge import Edge
from tests.kit.router.inference_requests import MODEL_INFER, SERVICE
from tests.kit.rows import each

INFER = "/v2/models/digits/infer"
READS = ["/v2", "/v2/models", "/v2/models/digits", "/v2/models/digits/versions/1/config", "/v2/models/stats"]


@each("name", [*inference.PREDICT_METHODS, *inference.READ_METHODS])
def test_every_method_reaches_the_data_plane_with_the_callers_identity(door: Edge, name: str):
    door.call(SERVICE + name, door.issuer.token(sub=f"calls {name}", models=["digits*"]))
    (call,) = door.behind.reached_by(f"calls {name}")
    assert call in door.behind.router_data.calls
    assert call.headers[MODELS_HEADER] == "digits*"


@each("path", READS)
def test_every_path_reaches_the_data_plane(door: Edge, path: str):
    assert door.http("GET", path, door.issuer.token(sub=f"reads {path}")).json()["path"] == path
    (call,) = door.behind.reached_by(f"reads {path}")
    assert "authorization" not in call.headers


def test_a_binary_body_passes_as_it_is(door: Edge):
    content = b'{"inputs":[]}' + bytes(range(256))
    headers = {"inference-header-content-length": "13", "content-type": "application/octet-stream"}
    assert (
        door.http("POST", INFER, door.issuer.token(sub="binary"), content=content, headers=headers).status_code == 200
    )
    (call,) = door.behind.reached_by("binary")
    assert call.body == content
    assert call.headers["inference-header-content-length"] == "13"
    assert call.headers["grpc-timeout"] == "11000m"


@pytest.mark.parametrize(
    ("scopes", "infers", "reads"),
    [(["predict"], True, True), (["registry.read"], False, True), (["routes.read"], False, False), ([], False, False)],
)
def test_inference_needs_the_scope_of_predictions_and_reading_that_or_the_registrys(
    door: Edge, scopes: list[str], infers: bool, reads: bool
):
    token = door.issuer.token(sub="scoped", scopes=scopes)
    for name in inference.PREDICT_METHODS:
        assert _passes(door, SERVICE + name, token) == infers
    for name in inference.READ_METHODS:
        assert _passes(door, SERVICE + name, token) == reads
    for path in (INFER, "/v2/models/digits/versions/1/infer"):
        assert (door.http("POST", path, token, json={}).status_code == 200) == infers
    for path in READS:
        assert (door.http("GET", path, token).status_code == 200) == reads


def _passes(door: Edge, path: str, token: str) -> bool:
    try:
        door.call(path, token)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
            raise
        return False
    return True


@each(
    "path",
    [
        "/v2/models/digits/inf%65r",
        "/v2/models/digits/%69nfer",
        "/v2/models/digits//infer",
        "/v2/models/x/../digits/infer",
        "/v2/models/digits/infer?x=/config",
        "/v2/models/digits/infer/",
        "/v2/models/digits/infer/.",
    ],
)
def test_no_spelling_of_inference_gets_around_its_scope(door: Edge, path: str):
    response = door.http("POST", path, door.issuer.token(sub=f"around {path}", scopes=["registry.read"]), json={})
    # What is let through is no path that a data plane takes for inference: it compares them undecoded.
    for call in door.behind.reached_by(f"around {path}"):
        assert call.path.rpartition("/")[2].partition("?")[0] != "infer"
    assert response.status_code in (200, 403)


@pytest.mark.parametrize("path", inference.REST_HEALTH_PATHS)
def test_health_needs_no_token(door: Edge, path: str):
    assert door.http("GET", path).status_code == 200
    assert door.http("GET", path, "nonsense").status_code == 200
    for name in inference.HEALTH_METHODS:
        door.call(SERVICE + name, None)
        call = door.behind.router_data.calls[-1]
        assert (call.path, call.client) == (SERVICE + name, None)
    assert door.http("GET", f"{path}/more").status_code == 401


def test_health_takes_next_to_no_body_from_anybody(door: Edge):
    much = bytes(200_000)  # more than comes in one piece, which is not kept
    for path in inference.REST_HEALTH_PATHS:
        assert door.http("POST", path, content=much).status_code == 413
    for name in inference.HEALTH_METHODS:
        assert door.refused(SERVICE + name, None, much).code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_nothing_else_is_open(door: Edge):
    for path in (*READS, "/v2/health", "/v2/health/live/../../models/digits"):
        assert door.http("GET", path).status_code == 401, path
    for name in (*inference.PREDICT_METHODS, *inference.READ_METHODS):
        assert door.refused(SERVICE + name, None).code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("verb", "path", "reached"),
    [
        ("POST", "/kserve/v1/models/digits:predict", "/v1/models/digits:predict"),
        ("GET", "/kserve/v1/models/digits", "/v2/models/digits/ready"),
    ],
)
def test_kserves_first_protocol_reaches_the_data_plane_with_its_scope_only(
    door: Edge, verb: str, path: str, reached: str
):
    client = f"kserve-{verb.lower()}"
    door.http(verb, path, door.issuer.token(sub=client))
    assert [call.path for call in door.behind.reached_by(client)] == [reached]
    refused = door.http(verb, path, door.issuer.token(sub=client, scopes=[]))
    assert (refused.status_code, "SCOPE_MISSING" in refused.text) == (403, True)
    assert door.http(verb, path).status_code == 401


def test_what_a_call_is_about_passes_and_who_calls_does_not(door: Edge):
    said = dict.fromkeys(routes.OUR_HEADERS, "1")
    claimed = {"x-headrace-models": "*", "x-headrace-edge": "1", "x-headrace-user-id-2": "1", "x-headrace-client": "me"}
    token = door.issuer.token(sub="about", models=["digits"])
    door.call(MODEL_INFER, token, headers={**said, **claimed})
    door.http("POST", INFER, token, json={}, headers={**said, **claimed})
    for call in door.behind.reached_by("about"):
        ours = {name: value for name, value in call.headers.items() if name.startswith("x-headrace-")}
        assert ours.pop(EXPIRY_HEADER).isdigit()
        assert ours == {**said, "x-headrace-edge": "1", "x-headrace-client": "about", MODELS_HEADER: "digits"}
    assert len(door.behind.reached_by("about")) == 2


@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [(None, 401, "TOKEN_MISSING"), ("nonsense", 401, "TOKEN_INVALID"), ("unscoped", 403, "SCOPE_MISSING")],
)
def test_the_front_door_says_no_where_tritons_clients_look(door: Edge, token: str | None, status: int, reason: str):
    bearer = door.issuer.token(scopes=[]) if token == "unscoped" else token
    response = door.http("POST", INFER, bearer, json={})
    assert response.status_code == status
    body = response.json()
    assert body["details"][0]["reason"] == reason
    assert body["error"]
    assert "message" not in body


def test_a_body_above_the_limit_is_refused_in_that_shape(door: Edge):
    response = door.http("POST", INFER, door.issuer.token(), content=b" " * (16 * 1024 * 1024 + 1))
    assert (response.status_code, response.json()["details"][0]["reason"]) == (413, "REQUEST_TOO_LARGE")
    assert response.json()["error"]

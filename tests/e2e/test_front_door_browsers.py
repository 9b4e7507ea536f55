"""What pages in a browser need: gRPC-Web and CORS."""

import base64
from collections.abc import Iterator

import pytest

from tests.kit.front_door.edge import GET_MODEL, PREDICT, Edge, edge
from tests.kit.rows import each
from tests.kit.wire.framing import frame, web_body, web_frames, web_headers


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with edge(tmp_path_factory.mktemp("edge"), cors_origins="https://console.test") as running:
        yield running


class TestGrpcWeb:
    @pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
    def test_a_call_is_answered_with_its_status_in_the_body(self, door: Edge, text: bool):
        door.behind.registry.answers[GET_MODEL] = lambda requests, _: [b"\x0a\x02hi"]
        try:
            body, headers = web_body(b"ask", text=text), web_headers(text=text)
            response = door.http("POST", GET_MODEL, door.issuer.token(sub="web"), content=body, headers=headers)
        finally:
            del door.behind.registry.answers[GET_MODEL]
        assert response.status_code == 200
        (flags, answer), (of_status, status) = web_frames(response.content, text=text)
        assert (flags, answer, of_status) == (0, b"\x0a\x02hi", 0x80)
        assert b"grpc-status:0" in status
        assert door.behind.reached_by("web")[-1].body == b"ask"

    def test_a_refusal_has_its_status_and_details(self, door: Edge):
        response = door.http("POST", GET_MODEL, content=frame(b""), headers=web_headers(text=False))
        assert response.status_code == 401  # which pages' libraries read before the headers
        assert response.headers["grpc-status"] == "16"
        encoded = response.headers["grpc-status-details-bin"]
        assert b"TOKEN_MISSING" in base64.b64decode(encoded + "=" * (-len(encoded) % 4))

    def test_a_scope_is_needed_here_too(self, door: Edge):
        token, headers = door.issuer.token(scopes=["predict"]), web_headers(text=False)
        response = door.http("POST", GET_MODEL, token, content=frame(b""), headers=headers)
        assert response.headers["grpc-status"] == "7"


class TestCors:
    @each("path", [GET_MODEL, PREDICT, "/v1/models/digits", "/v1/models/digits:predict", "/v1/predict"])
    def test_a_preflight_of_a_known_page_needs_no_token(self, door: Edge, path: str):
        response = door.http("OPTIONS", path, headers=_preflight("https://console.test"))
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://console.test"
        assert "authorization" in response.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in response.headers

    @pytest.mark.parametrize("origin", ["https://evil.test", "https://console.test.evil.test", "null"])
    def test_a_preflight_of_another_page_is_refused(self, door: Edge, origin: str):
        response = door.http("OPTIONS", "/v1/models/digits", headers=_preflight(origin))
        assert response.status_code == 401
        assert "access-control-allow-origin" not in response.headers

    def test_options_reach_no_service(self, door: Edge):
        token = door.issuer.token(sub="optioner")
        for path in (GET_MODEL, "/v1/models/digits", "/v1/predict"):
            response = door.http("OPTIONS", path, token, headers=_preflight("https://evil.test"))
            assert response.status_code in (403, 404)
        assert door.behind.reached_by("optioner") == []

    def test_answers_may_be_read_by_a_known_page_only(self, door: Edge):
        for origin, allowed in (("https://console.test", "https://console.test"), ("https://evil.test", None)):
            response = door.http("GET", "/v1/models", door.issuer.token(), headers={"origin": origin})
            assert response.headers.get("access-control-allow-origin") == allowed


def _preflight(origin: str) -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }

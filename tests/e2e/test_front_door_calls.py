"""Calls as they pass: streams, deadlines, traces, sizes, health, metrics, the access log."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import pytest
from headrace_servicekit.testing import eventually, patience

from tests.kit.clients.refusals import grpc_refusal, rest_refusal
from tests.kit.front_door.edge import GET_MODEL, PREDICT, UPLOAD, WATCH_MODELS, Edge, access_log, edge, get, metadata
from tests.kit.front_door.upstreams import HEALTH_CHECK
from tests.kit.rows import each

MIB = 1024 * 1024
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with edge(tmp_path_factory.mktemp("edge"), predict_timeout_max_s=2) as running:
        yield running


class TestDeadlines:
    def test_a_caller_without_a_deadline_gets_the_longest(self, door: Edge):
        door.call(PREDICT, door.issuer.token(sub="none"), timeout=None)
        (call,) = door.behind.reached_by("none")
        assert call.remaining_s is not None
        assert 1.5 < call.remaining_s <= 3

    def test_a_short_deadline_is_told_on(self, door: Edge):
        door.call(PREDICT, door.issuer.token(sub="short"), timeout=1)
        (call,) = door.behind.reached_by("short")
        assert call.remaining_s is not None
        assert 0.7 < call.remaining_s <= 1

    @each("given", ["1H", "99999999S", "nonsense", "123456789m", "-1S"])
    def test_a_deadline_that_is_too_long_or_makes_no_sense_becomes_the_longest(self, door: Edge, given: str):
        response = door.http(
            "POST", "/v1/predict", door.issuer.token(sub=f"given {given}"), headers={"grpc-timeout": given}, json={}
        )
        assert response.json()["headers"]["grpc-timeout"] == "3000m"

    def test_other_calls_may_take_longer(self, door: Edge):
        door.call(GET_MODEL, door.issuer.token(sub="patient"), timeout=None)
        (call,) = door.behind.reached_by("patient")
        assert call.remaining_s is not None
        assert 170 < call.remaining_s <= 181

    def test_a_service_that_is_too_slow_is_cut_off_and_told_so(self, door: Edge):
        cancelled = threading.Event()

        def slow(_requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterable[bytes]:
            context.add_callback(cancelled.set)
            cancelled.wait(20)
            yield b""

        door.behind.router_data.answers[PREDICT] = slow
        try:
            before = time.monotonic()
            refusal = door.refused(PREDICT, door.issuer.token(), timeout=None)
            took = time.monotonic() - before
        finally:
            del door.behind.router_data.answers[PREDICT]
        assert refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED
        # Envoy tells a gRPC service the moment at which it ends the call. On a busy machine the service's own timer may
        # be first, and that of this bare server names no reason; Headrace's services name theirs.
        assert refusal.reason in ("DEADLINE_EXCEEDED", "")
        assert 1.8 < took < patience(4)
        assert cancelled.wait(2)

    def test_streams_may_last(self, door: Edge):
        def watch(_requests: Iterable[bytes], _context: grpc.ServicerContext) -> Iterable[bytes]:
            yield b"1"
            time.sleep(2.5)  # longer than the deadline of a prediction
            yield b"2"

        door.behind.registry.answers[WATCH_MODELS] = watch
        with door.channel() as channel:
            seen = channel.unary_stream(WATCH_MODELS)(b"", metadata=metadata(door.issuer.token(sub="watcher")))
            assert list(seen) == [b"1", b"2"]
        (call,) = door.behind.reached_by("watcher")
        assert call.remaining_s is None


class TestTraces:
    @pytest.mark.parametrize("trace", [TRACE, TRACE.replace("-01", "-00")])
    def test_a_trace_and_a_request_id_are_passed_on(self, door: Edge, trace: str):
        token = door.issuer.token(sub=f"trace {trace}")
        door.call(GET_MODEL, token, headers={"traceparent": trace, "tracestate": "a=b", "x-request-id": "order-17"})
        (call,) = door.behind.reached_by(f"trace {trace}")
        assert call.headers["traceparent"] == trace
        assert call.headers["tracestate"] == "a=b"
        assert call.headers["x-request-id"] == "order-17"

    @each("trace", [
            "nonsense", "", TRACE.upper(), TRACE[:-1], TRACE + "-extra", "ff" + TRACE[2:],
            "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        ])  # fmt: skip
    def test_a_malformed_trace_goes_no_further(self, door: Edge, trace: str):
        token = door.issuer.token(sub=f"bad trace {trace}")
        door.call(GET_MODEL, token, headers={"traceparent": trace, "tracestate": "a=b"})
        (call,) = door.behind.reached_by(f"bad trace {trace}")
        assert "traceparent" not in call.headers
        assert "tracestate" not in call.headers

    def test_a_request_without_an_id_gets_one_and_hears_it(self, door: Edge):
        response = door.http("POST", "/v1/predict", door.issuer.token(), json={})
        assert response.headers["x-request-id"] == response.json()["headers"]["x-request-id"]

    def test_an_id_that_would_spoil_a_log_goes_no_further(self, door: Edge):
        for given in ("a" * 200, 'a"b', "a b"):
            headers = {"x-request-id": given}
            response = door.http("POST", "/v1/predict", door.issuer.token(), headers=headers, json={})
            assert response.json()["headers"].get("x-request-id") != given


class TestSizes:
    def test_a_message_at_the_limit_passes(self, door: Edge):
        door.call(PREDICT, door.issuer.token(sub="large"), b"x" * (16 * MIB - 5))
        assert len(door.behind.reached_by("large")[0].body) == 16 * MIB - 5

    @pytest.mark.parametrize("size", [16 * MIB + 1, 40 * MIB])
    def test_a_message_beyond_it_is_refused_as_too_large(self, door: Edge, size: int):
        refusal = door.refused(PREDICT, door.issuer.token(sub="too large"), b"x" * size)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE")
        assert door.behind.reached_by("too large") == []

    def test_a_rest_body_beyond_it_is_413(self, door: Edge):
        response = door.http("POST", "/v1/predict", door.issuer.token(sub="too large"), content=b"x" * (16 * MIB + 1))
        assert response.status_code == 413
        assert rest_refusal(response).reason == "REQUEST_TOO_LARGE"
        assert door.behind.reached_by("too large") == []

    def test_other_json_bodies_may_be_1_mib(self, door: Edge):
        token = door.issuer.token(sub="json size")
        fits = b'{"request_id": "' + b"x" * (MIB - 100) + b'"}'
        assert door.http("POST", "/v1/models", token, content=fits).status_code == 200
        assert door.http("POST", "/v1/models", token, content=fits + b" " * 200).status_code == 413
        assert len(door.behind.reached_by("json size")) == 1

    def test_an_upload_may_be_larger_in_all(self, door: Edge):
        with door.channel() as channel:
            pieces = (b"x" * MIB for _ in range(40))
            token = door.issuer.token(sub="uploader")
            channel.stream_unary(UPLOAD)(pieces, metadata=metadata(token), timeout=30)
        (call,) = door.behind.reached_by("uploader")
        assert len(call.body) == 40 * MIB

    def test_headers_beyond_the_limit_are_refused(self, door: Edge):
        response = door.http("GET", "/v1/models", door.issuer.token(), headers={"x-filler": "x" * 40_000})
        assert response.status_code == 431
        assert rest_refusal(response).reason == "HEADERS_TOO_LARGE"

    def test_a_large_body_is_not_read_without_a_token(self, door: Edge):
        refusal = door.refused(PREDICT, None, b"x" * (40 * MIB))
        assert refusal.reason == "TOKEN_MISSING"


class TestHealth:
    def test_health_needs_no_token(self, door: Edge):
        assert door.call(HEALTH_CHECK, None, b"\x0a\x08registry") == b"\x08\x01"
        call = door.behind.router_control.calls[-1]
        assert (call.path, call.body) == (HEALTH_CHECK, b"\x0a\x08registry")

    def test_only_health_is_open_on_its_path(self, door: Edge):
        for path in ("/grpc.health.v1.Healthy/Check", "/grpc.health.v1.Health", "/grpc.health.v1.health/Check"):
            assert door.refused(path, None).code is grpc.StatusCode.UNAUTHENTICATED

    def test_a_load_balancer_is_told_that_the_door_is_open(self, door: Edge):
        assert door.http("GET", "/healthz").status_code == 200

    def test_reflection_needs_a_token_but_no_scope(self, door: Edge):
        for version in ("v1", "v1alpha"):
            path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
            assert door.refused(path, None).reason == "TOKEN_MISSING"
            door.call(path, door.issuer.token(sub=f"reflects {version}", scopes=[]))
            (call,) = door.behind.router_control.calls_of(f"reflects {version}")
            assert call.path == path


class TestAdmin:
    def test_metrics_are_there_for_prometheus(self, door: Edge):
        door.call(GET_MODEL, door.issuer.token())
        text = get(f"http://{door.metrics}/stats/prometheus")
        assert "envoy_http_downstream_rq_total" in text
        assert 'envoy_grpc_method="GetModel"' in text or "GetModel" in text

    def test_nothing_there_stops_or_shows_the_door(self, door: Edge):
        for path in ("quitquitquit", "config_dump", "certs", "runtime_modify", "logging"):
            response = door.http("POST", f"/{path}", door.issuer.token())
            assert response.status_code == 404
            with pytest.raises(OSError, match="403"):
                door.admin(f"/{path}")

    async def test_the_access_log_says_who_called_what_and_holds_no_token(self, door: Edge):
        token = door.issuer.token(sub="logged")
        door.http("GET", "/v1/models/digits?x=secret-query", token)
        door.call(PREDICT, token, headers={"traceparent": TRACE})

        def lines() -> list[dict]:
            return [line for line in access_log(door) if line.get("client") == "logged"]

        first, second = await eventually(lambda: lines() if len(lines()) == 2 else [], within=5)
        assert (first["path"], first["http"]) == ("/v1/models/digits", 400)
        assert (second["path"], second["grpc"], second["cluster"]) == (PREDICT, "OK", "router-data")
        text = (door.directory / "access.jsonl").read_text()
        assert token not in text
        assert "secret-query" not in text

    async def test_predictions_are_in_the_access_log_when_they_are_traced_or_fail_here(self, door: Edge):
        token = door.issuer.token(sub="predicting")
        for path in (PREDICT, "/inference.GRPCInferenceService/ModelInfer"):
            door.call(path, token, headers={"x-request-id": "quiet"})
            door.call(path, token, headers={"x-request-id": "loud", "traceparent": TRACE})
        door.http("POST", "/v1/predict", token, headers={"x-request-id": "quiet"}, json={})
        with pytest.raises(grpc.RpcError):
            door.call(PREDICT, "no token", headers={"x-request-id": "refused"})
        door.http("POST", "/v1/models/digits:predict", "no token", headers={"x-request-id": "refused"}, json={})
        door.http("GET", "/v1/models/digits", token, headers={"x-request-id": "last"})

        def seen() -> list[str]:
            ours = ("quiet", "loud", "refused", "last")
            return [line["request_id"] for line in access_log(door) if line.get("request_id") in ours]

        await eventually(lambda: "last" in seen(), within=5)
        assert seen() == ["loud", "loud", "refused", "refused", "last"]


async def test_an_upload_that_is_cut_reaches_the_service_as_cut(door: Edge):
    taken: list[str] = []
    registry = door.behind.registry
    registry.begun.clear()
    registry.cut.clear()

    def upload(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterable[bytes]:
        # grpcio may hear of the end of the requests before it hears of that of the call.
        gone = threading.Event()
        taken.append("cut" if not context.add_callback(gone.set) or gone.wait(5) else "whole")
        yield b""

    registry.answers[UPLOAD] = upload
    release = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"x" * MIB
        release.wait(15)

    try:
        with door.channel() as channel:
            call = channel.stream_unary(UPLOAD).future(pieces(), metadata=metadata(door.issuer.token(sub="cut")))
            await eventually(lambda: UPLOAD in registry.begun, within=10)
            call.cancel()
            release.set()
        await eventually(lambda: taken or UPLOAD in registry.cut, within=15)
        assert "whole" not in taken
    finally:
        release.set()
        del registry.answers[UPLOAD]


def test_a_prediction_that_a_service_refuses_keeps_its_details(door: Edge):
    def refuse(_requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterable[bytes]:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\x08\x05\x12\x04gone"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        yield b""

    door.behind.router_data.answers[PREDICT] = refuse
    try:
        with door.channel() as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(PREDICT)(b"", metadata=metadata(door.issuer.token()), timeout=10)
    finally:
        del door.behind.router_data.answers[PREDICT]
    assert grpc_refusal(caught.value).code is grpc.StatusCode.NOT_FOUND
    trailers: Any = caught.value.trailing_metadata()
    assert ("grpc-status-details-bin", b"\x08\x05\x12\x04gone") in tuple(trailers)

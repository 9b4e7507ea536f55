"""Callers who may not: whichever method they try, by gRPC and by REST, they learn nothing and change nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_client.issuer import DevelopmentIssuer, known_scopes
from headrace_servicekit.testing import patience

from tests.kit.clients.methods import (
    BY_REST,
    METHODS,
    OF_A_MODEL,
    message_about,
    names_model_in_path,
    path_of,
    rest_about,
    scope_of,
)  # fmt: skip
from tests.kit.clients.refusals import Refusal, grpc_refusal
from tests.kit.front_door.edge import EXCHANGE, GET_MODEL, PREDICT, UPLOAD, WATCH_MODELS, WATCH_TABLES, metadata
from tests.kit.identity.issuer import Issuer
from tests.kit.rows import each
from tests.kit.stack.served_models import LINEAR, PAIR, SAME, Served, assert_refused

pytestmark = pytest.mark.usefixtures("unharmed")

NOBODY = "served-none"
STREAMS = (
    WATCH_MODELS,
    "/headrace.monitor.v1.AlertService/WatchAlerts",
    "/headrace.router.v1.PrecomputedService/UploadAnswers",
    UPLOAD,
    "/inference.GRPCInferenceService/ModelStreamInfer",
)
PREDICTIONS = (("POST", f"/v1/models/{LINEAR}:predict"), ("POST", "/v1/predict"))


BAD_TOKENS: dict[str, tuple[Callable[[Served], str | None], str]] = {
    "absent": (lambda served: None, "TOKEN_MISSING"),
    "expired": (lambda served: expired(served), "TOKEN_EXPIRED"),
    "of another issuer": (lambda served: Issuer().token(), "TOKEN_INVALID"),
    "unsigned": (lambda served: Issuer().unsigned(), "TOKEN_INVALID"),
    "with the claims of another": (lambda served: mixed(served), "TOKEN_INVALID"),
    "garbage": (lambda served: "garbage", "TOKEN_INVALID"),
}
SPOOFED = {"x-headrace-client": "root", "x-headrace-models": "*", "x-headrace-edge": "1"}


class TestTokens:
    @each("make,reason", BAD_TOKENS.values())
    def test_a_bad_token_opens_no_method(self, served: Served, make: Callable[[Served], str | None], reason: str):
        token = make(served)
        for name in METHODS:
            assert_refused(served.refused(path_of(name), b"", token=token), "UNAUTHENTICATED", reason)
        rest = [rest_about(name, LINEAR) for name in BY_REST]
        for verb, path in (*PREDICTIONS, *rest, ("GET", "/v1/nothing")):
            assert_refused(served.rest_refused(verb, path, token=token), "UNAUTHENTICATED", reason)

    @pytest.mark.parametrize("path", [WATCH_MODELS, UPLOAD])
    def test_a_bad_token_opens_no_stream(self, served: Served, path: str):
        call = served.channel.stream_stream(path)(iter([b""]), metadata=metadata(expired(served)), timeout=10)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert_refused(grpc_refusal(caught.value), "UNAUTHENTICATED", "TOKEN_EXPIRED")


def expired(served: Served) -> str:
    issuer = DevelopmentIssuer(served.stack.settings.identity)
    return issuer.mint(subject="late", now=datetime.now(UTC) - timedelta(minutes=20))


def mixed(served: Served) -> str:
    """A good token with the claims of another one, signed by nobody."""
    (header, _, signature), (_, claims, _) = served.stack.token().split("."), Issuer().token().split(".")
    return f"{header}.{claims}.{signature}"


class TestScopes:
    @each("name", METHODS)
    def test_every_method_needs_its_scope_and_no_other_will_do(self, served: Served, name: str):
        token = served.stack.token(scopes=[scope for scope in known_scopes() if scope != scope_of(name)])
        refusals = [served.refused(path_of(name), b"", token=token)]
        if name in BY_REST:
            verb, path = rest_about(name, LINEAR)
            refusals.append(served.rest_refused(verb, path, token=token))
        if name == "Predict":
            refusals += [served.rest_refused(verb, path, token=token, json={}) for verb, path in PREDICTIONS]
        for refusal in refusals:
            assert_refused(refusal, "PERMISSION_DENIED", "SCOPE_MISSING", named=scope_of(name))
            assert refusal.metadata == {"scope": scope_of(name)}

    def test_a_token_without_scopes_opens_nothing(self, served: Served):
        token = served.stack.token(scopes=[])
        for name in METHODS:
            assert_refused(served.refused(path_of(name), b"", token=token), "PERMISSION_DENIED", "SCOPE_MISSING")


class TestModels:
    @each("name", OF_A_MODEL)
    @each("models", [["other-*", "served", "*-samee", "SERVED-*"], []])
    def test_a_model_outside_the_patterns_looks_like_one_that_does_not_exist(
        self, served: Served, name: str, models: list[str]
    ):
        token = served.stack.token("restricted", models=models)
        # The answers name the model that was asked for, and differ in nothing else.
        hidden, unknown = (
            str(served.refused(path_of(name), message_about(name, model), token=token)).replace(model, "…")
            for model in (SAME, NOBODY)
        )
        assert hidden == unknown
        assert "reason='MODEL_NOT_FOUND'" in hidden
        if names_model_in_path(name):
            for model in (SAME, NOBODY):
                verb, path = rest_about(name, model)
                refusal = served.rest_refused(verb, path, token=token)
                assert str(refusal).replace(model, "…") == hidden

    def test_predictions_as_json_hide_it_too(self, served: Served):
        token = served.stack.token("restricted", models=[PAIR])
        for model in (LINEAR, NOBODY):
            rows = served.rest_refused("POST", f"/v1/models/{model}:predict", token=token, json={"instances": [[1]]})
            spec = {"model_name": model, "inputs": {"features": [1]}}
            for refusal in (rows, served.rest_refused("POST", "/v1/predict", token=token, json=spec)):
                assert_refused(refusal, "NOT_FOUND", "MODEL_NOT_FOUND", named=f"model '{model}' not found")

    def test_lists_and_watches_show_what_the_patterns_match_and_nothing_else(self, served: Served):
        token = served.stack.token("restricted", models=["served-p*", "nothing"])
        shown = served.rest("GET", "/v1/models", token=token).json()["models"]
        assert [model["name"] for model in shown] == [f"models/{PAIR}"]
        shown = served.rest("GET", "/v1/routes", token=token).json()["routes"]
        assert [route["name"] for route in shown] == [f"routes/{PAIR}"]
        call = served.channel.unary_stream(WATCH_MODELS)(b"", metadata=metadata(token), timeout=10)
        seen = []
        for message in map(registry_pb2.WatchModelsResponse.FromString, call):
            seen += [message.model.name] if message.HasField("model") else []
            if message.snapshot_complete:
                break
        call.cancel()  # type: ignore[attr-defined]  # an iterator and a call at once
        assert seen == [f"models/{PAIR}"]


class TestExpiry:
    @pytest.mark.long
    def test_a_watch_ends_with_the_token_that_it_began_with(self, served: Served):
        # The front door allows its clock and the issuer's to differ by ten seconds.
        token = served.stack.token("watcher", lifetime=timedelta(seconds=2))
        began = time.monotonic()
        call = served.channel.unary_stream(WATCH_MODELS)(b"", metadata=metadata(token), timeout=60)
        with pytest.raises(grpc.RpcError) as caught:
            for _ in call:
                pass
        assert_refused(grpc_refusal(caught.value), "UNAUTHENTICATED", "TOKEN_EXPIRED", named="expired")
        assert 5 < time.monotonic() - began < patience(30)

    def test_nobody_says_by_a_header_how_long_a_token_is_good(self, served: Served):
        token = served.stack.token("mallory")
        spoofed = (*metadata(token), ("x-headrace-token-expiry", "1"))
        call = served.channel.unary_stream(WATCH_MODELS)(b"", metadata=spoofed, timeout=30)
        assert next(call)
        call.cancel()


class TestDenial:
    def test_a_stream_of_a_client_that_is_denied_ends_within_5_s(self, served: Served):
        issuer, enough = DevelopmentIssuer(served.stack.settings.identity), threading.Event()
        with ThreadPoolExecutor(2 * len(STREAMS)) as threads:
            theirs, others = (
                [opened(served, path, served.stack.token(client), enough) for path in STREAMS]
                for client in ("mallory-streams", "alice-streams")
            )
            endings = {call: threads.submit(ending, call) for call in (*theirs, *others)}
            try:
                issuer.deny("mallory-streams")
                for call in theirs:
                    refusal = endings[call].result(timeout=5)
                    assert_refused(refusal, "PERMISSION_DENIED", "CLIENT_DENIED", named="refused")
                assert not any(endings[call].done() for call in others)
            finally:
                issuer.allow("mallory-streams")
                enough.set()
                for call in endings:
                    call.cancel()


def opened(served: Served, path: str, token: str, enough: threading.Event) -> Any:
    """Open a stream: a watch, of which the first message has come, or an upload that sends nothing for a while."""

    def silence() -> Iterator[bytes]:
        enough.wait(60)
        yield from ()

    watches = path.rpartition("/")[2].startswith("Watch")
    sent = iter([b""]) if watches else silence()
    call = served.channel.stream_stream(path)(sent, metadata=metadata(token), timeout=60)
    if path == WATCH_MODELS:
        assert next(call)
    return call


def ending(call: Any) -> Refusal:
    """Read a stream to its end and return how it failed."""
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return grpc_refusal(error)
    raise AssertionError("it ended without a failure")


class TestSpoofing:
    def test_identity_headers_open_no_model_and_no_method(self, served: Served):
        token = served.stack.token("mallory", models=[PAIR], scopes=["predict", "registry.read"])
        message = message_about("GetModel", LINEAR)
        refusal = served.refused(GET_MODEL, message, token=token, headers=SPOOFED)
        assert_refused(refusal, "NOT_FOUND", "MODEL_NOT_FOUND", named=LINEAR)
        for verb, path in (("GET", f"/v1/models/{LINEAR}"), PREDICTIONS[0]):
            body = None if verb == "GET" else {"instances": [[0, 1, 2, 3]]}
            refusal = served.rest_refused(verb, path, token=token, headers=SPOOFED, json=body)
            assert_refused(refusal, "NOT_FOUND", "MODEL_NOT_FOUND", named=LINEAR)
        for path in (WATCH_TABLES, EXCHANGE):
            refusal = served.refused(path, b"", token=token, headers=SPOOFED)
            assert_refused(refusal, "UNIMPLEMENTED", "METHOD_UNKNOWN")

    def test_history_names_the_tokens_subject_whatever_the_headers_say(self, served: Served):
        token = served.stack.token("mallory")
        for alias in ("by-rest", "by-grpc"):
            path = f"/v1/models/{SAME}/aliases/{alias}"
            if alias == "by-rest":
                served.rest("PUT", path, token=token, headers=SPOOFED, json={"version": "v1"}).raise_for_status()
            else:
                set_alias = registry_pb2.SetAliasRequest(name=path.removeprefix("/v1/"), version="v1")
                served.call(path_of("SetAlias"), set_alias, token=token, headers=SPOOFED)
            served.rest("DELETE", path, token=token, headers=SPOOFED).raise_for_status()
        events = [event for event in served.client.models.history(SAME) if event.alias in ("by-rest", "by-grpc")]
        assert len(events) >= 4
        assert {event.client for event in events} == {"mallory"}


@each("path", [
        f"/v1/models/{PAIR}:predict/../{LINEAR}:predict", f"/v1/models/{PAIR}/../{LINEAR}:predict",
        f"/v1/models/{PAIR}%2f..%2f{LINEAR}:predict", f"/v1/models/{PAIR}/%2e%2e/{LINEAR}:predict",
        f"/v1/models//{LINEAR}:predict", f"//v1/models/{LINEAR}:predict", f"/v1/./models/{LINEAR}:predict",
        f"/v1/models/{LINEAR}%3Apredict", f"/v1/models/{LINEAR}:predict?model={PAIR}",
        f"/v1/models/{LINEAR};{PAIR}:predict", f"/v1/models/{LINEAR}:predict%00", f"/v1/models/{LINEAR}%20:predict",
        f"/v1/models/{LINEAR}:predict/", f"/v1/models/{LINEAR}:PREDICT", f"/V1/models/{LINEAR}:predict",
        f"/v1/models/{LINEAR}", "/v1/models", f"/v1/models/{LINEAR}:rollback", "/v1/predict/../models",
        "/v1/predict/%2e%2e/models", f"/v1/predict/../models/{LINEAR}:rollback", GET_MODEL, PREDICT,
        "/inference.GRPCInferenceService/ModelInfer", "/v2/models/served-linear/infer", "/stats", "/config_dump",
        "/quitquitquit", "/metrics", "/readyz",
    ])  # fmt: skip
@each("verb", ["GET", "POST"])
def test_no_spelling_of_a_path_leads_past_the_token(served: Served, verb: str, path: str):
    token = served.stack.token("restricted", scopes=["predict"], models=[PAIR])
    body = {"instances": [[0, 1, 2, 3]]} if verb == "POST" else None
    refusal = served.rest_refused(verb, path, token=token, json=body)
    refused = refusal.code.name in ("INVALID_ARGUMENT", "PERMISSION_DENIED", "NOT_FOUND")
    assert refused or refusal.reason == "METHOD_NOT_ALLOWED"
    assert (refusal.domain, bool(refusal.reason)) == ("headrace.dev", True)

"""Identity, reflection and errors through the front door of the whole stack, with the services that run in it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace.batcher.v1 import batcher_pb2_grpc
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace.router.v1 import control_pb2, control_pb2_grpc, predict_pb2, predict_pb2_grpc, route_pb2, route_pb2_grpc
from headrace_stack.identity import KEY

from tests.kit.clients.refusals import Refusal, grpc_refusal, rest_refusal
from tests.kit.front_door.edge import metadata
from tests.kit.identity.issuer import Issuer
from tests.kit.rows import each
from tests.kit.stack.running import RunningStack

GRPCURL = Path(sys.executable).with_name("grpcurl")
SERVICES = (
    "headrace.registry.v1.RegistryService",
    "headrace.router.v1.RouteService",
    "headrace.router.v1.RouterService",
)
MODEL = "edge-identity"


@pytest.fixture(scope="module")
def model(stack: RunningStack) -> str:
    """A model without versions, which only those may see whose token says so."""
    with grpc.insecure_channel(stack.address) as channel:
        create = registry_pb2.CreateModelRequest(model=registry_pb2.Model(name=f"models/{MODEL}"), request_id=MODEL)
        stub: Any = registry_pb2_grpc.RegistryServiceStub(channel)
        try:
            stub.CreateModel(create, metadata=metadata(stack.token("edge tests")), timeout=10)
        except grpc.RpcError as error:
            assert grpc_refusal(error).code is grpc.StatusCode.ALREADY_EXISTS  # noqa: PT017  (another worker was first)
    return MODEL


def _refused(stack: RunningStack, token: str | None, call: str, headers: dict[str, str] | None = None) -> Refusal:
    bearer = metadata(token, headers)
    with grpc.insecure_channel(stack.address, [("grpc.enable_retries", 0)]) as channel:
        calls: dict[str, Any] = {
            "registry": lambda: registry_pb2_grpc.RegistryServiceStub(channel).GetModel(
                registry_pb2.GetModelRequest(name=f"models/{MODEL}"), metadata=bearer, timeout=10
            ),
            "routes": lambda: route_pb2_grpc.RouteServiceStub(channel).GetRoute(
                route_pb2.GetRouteRequest(name=f"routes/{MODEL}"), metadata=bearer, timeout=10
            ),
            "predict": lambda: predict_pb2_grpc.RouterServiceStub(channel).Predict(
                predict_pb2.PredictRequest(model=MODEL), metadata=bearer, timeout=10
            ),
            "tables": lambda: next(
                control_pb2_grpc.ControlServiceStub(channel).WatchTables(
                    control_pb2.WatchTablesRequest(data_plane="intruder"), metadata=bearer, timeout=10
                )
            ),
            "frames": lambda: next(
                batcher_pb2_grpc.BatcherServiceStub(channel).Exchange(iter(()), metadata=bearer, timeout=10)
            ),
        }
        try:
            answer = calls[call]()
        except grpc.RpcError as error:
            return grpc_refusal(error)
    raise AssertionError(f"{call} was answered: {answer}")


@pytest.mark.parametrize("call", ["registry", "routes", "predict"])
def test_without_a_good_token_nothing_answers(stack: RunningStack, call: str):
    for token, reason in (
        (None, "TOKEN_MISSING"),
        ("garbage", "TOKEN_INVALID"),
        (Issuer().token(), "TOKEN_INVALID"),
        (Issuer().unsigned(), "TOKEN_INVALID"),
    ):
        refusal = _refused(stack, token, call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


@pytest.mark.parametrize(
    ("call", "scope"), [("registry", "registry.read"), ("routes", "routes.read"), ("predict", "predict")]
)
def test_the_scope_of_each_service_is_needed(stack: RunningStack, call: str, scope: str):
    refusal = _refused(stack, stack.token(scopes=["other"]), call)
    assert (refusal.code, refusal.metadata) == (grpc.StatusCode.PERMISSION_DENIED, {"scope": scope})


@each("call", ["registry", "routes", "predict"])
@each("spoofed", [{}, {"x-headrace-models": "*", "x-headrace-client": "admin"}])
def test_a_model_outside_the_patterns_does_not_exist(
    stack: RunningStack, model: str, call: str, spoofed: dict[str, str]
):
    refusal = _refused(stack, stack.token(models=["digits", "other-*"]), call, spoofed)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    nobody = _refused(stack, stack.token(models=[]), call, spoofed)
    assert (nobody.code, nobody.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")


def test_a_model_within_the_patterns_is_seen_and_only_it_is_listed(stack: RunningStack, model: str):
    for patterns, seen in ((["edge-*"], [f"models/{model}"]), (["other"], [])):
        response = _get(stack, "/v1/models", stack.token(models=patterns))
        assert [entry["name"] for entry in response.json()["models"]] == seen


@pytest.mark.parametrize("call", ["tables", "frames"])
def test_what_is_between_services_is_not_served(stack: RunningStack, call: str):
    refusal = _refused(stack, stack.token(), call)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")


@each(
    "verb,path,body,status,named",
    [
        ("POST", "/v1/models/edge-identity:rollback", {"etagg": "1"}, 400, "etagg"),
        ("POST", "/v1/models/edge-identity:predict", {"instances": [[1]], "instanecs": []}, 400, "instanecs"),
        ("POST", "/v1/models/nothing-here:predict", {"instances": [[1]]}, 404, "nothing-here"),
        ("POST", "/v1/predict", {"nothing": 1}, 400, "nothing"),
        ("GET", "/v1/models/nothing-here", None, 404, "nothing-here"),
        ("GET", "/v1/routes/nothing-here", None, 404, "nothing-here"),
    ],
)
def test_bad_requests_name_what_is_bad_whoever_refuses_them(
    stack: RunningStack, verb: str, path: str, body: Any, status: int, named: str
):
    headers = {"authorization": f"Bearer {stack.token()}"}
    response = httpx.request(verb, stack.url + path, headers=headers, json=body, timeout=20)
    assert response.status_code == status, response.text
    refusal = rest_refusal(response)
    assert named in json.dumps(response.json())
    assert refusal.domain == "headrace.dev"
    assert refusal.reason


def test_health_is_that_of_every_service_and_needs_no_token(stack: RunningStack):
    with grpc.insecure_channel(stack.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="headrace.router.v1.ControlService"), timeout=10)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert httpx.get(f"{stack.url}/healthz", timeout=10).status_code == 200


def test_grpcurl_lists_every_public_service_and_no_other(stack: RunningStack):
    listed = _grpcurl(stack, "list").split()
    assert set(SERVICES) <= set(listed)
    assert {"grpc.health.v1.Health", "inference.GRPCInferenceService"} <= set(listed)
    assert any(name.startswith("grpc.reflection.v1") for name in listed)
    assert not any("ControlService" in name or "BatcherService" in name for name in listed)


@each("service", [*SERVICES, "inference.GRPCInferenceService", "grpc.health.v1.Health"])
def test_grpcurl_describes_every_service(stack: RunningStack, service: str):
    assert f"service {service.rpartition('.')[2]}" in _grpcurl(stack, "describe", service)


@pytest.mark.parametrize(
    ("method", "data", "expected"),
    [
        ("headrace.registry.v1.RegistryService/GetModel", {"name": f"models/{MODEL}"}, f"models/{MODEL}"),
        ("headrace.router.v1.RouteService/GetRoute", {"name": f"routes/{MODEL}"}, f"routes/{MODEL}"),
        ("grpc.health.v1.Health/Check", {}, "SERVING"),
    ],
)
def test_grpcurl_calls_a_method_of_each_service(
    stack: RunningStack, model: str, method: str, data: dict, expected: str
):
    assert expected in _grpcurl(stack, method, data=data)


def test_grpcurl_shows_what_a_prediction_is_refused_with(stack: RunningStack, model: str):
    ran = _run_grpcurl(stack, "headrace.router.v1.RouterService/Predict", data={"model": "nothing-here"})
    assert ran.returncode != 0
    assert "NotFound" in ran.stderr
    assert "MODEL_NOT_FOUND" in ran.stderr


def test_grpcurl_without_a_token_is_told_that_it_needs_one(stack: RunningStack):
    ran = subprocess.run(
        [GRPCURL, "-plaintext", stack.address, "list"], capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode != 0
    assert "token is required" in ran.stderr


def test_the_private_key_of_the_issuer_is_its_owners_only(stack: RunningStack):
    assert (stack.settings.identity / KEY).stat().st_mode & 0o777 == 0o600


def test_a_watch_passes_and_shows_only_what_its_client_may_see(stack: RunningStack, model: str):
    for patterns, seen in ((["edge-*"], {f"models/{model}"}), (["other"], set())):
        with grpc.insecure_channel(stack.address) as channel:
            stub: Any = registry_pb2_grpc.RegistryServiceStub(channel)
            bearer = metadata(stack.token(models=patterns))
            names: set[str] = set()
            for message in stub.WatchModels(registry_pb2.WatchModelsRequest(), metadata=bearer, timeout=20):
                names |= {message.model.name} - {""}
                if message.snapshot_complete:
                    break
            assert names == seen


def test_stores_and_triton_are_not_behind_the_door(stack: RunningStack):
    for path in (
        "/headrace", "/headrace/blobs", "/minio/health/live", "/status", "/metrics",
        "/inference.GRPCInferenceService/ModelInfer",
    ):  # fmt: skip
        response = _get(stack, path, stack.token())
        assert response.status_code == 404, path
        assert rest_refusal(response).reason == "PATH_UNKNOWN"


def _get(stack: RunningStack, path: str, token: str) -> httpx.Response:
    return httpx.get(stack.url + path, headers={"authorization": f"Bearer {token}"}, timeout=20)


def _grpcurl(stack: RunningStack, *arguments: str, data: dict | None = None) -> str:
    ran = _run_grpcurl(stack, *arguments, data=data)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _run_grpcurl(stack: RunningStack, *arguments: str, data: dict | None = None) -> subprocess.CompletedProcess[str]:
    options = ["-d", json.dumps(data)] if data is not None else []
    command = [GRPCURL, "-plaintext", "-H", f"authorization: Bearer {stack.token()}", *options, stack.address]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)

"""A front door of fakes that the client really calls."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace.router.v1 import predict_pb2, route_pb2

from tests.kit.clients.both_clients import Call, caller
from tests.kit.clients.fake_cli import Run, command_line
from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_registry import FakeRegistry
from tests.kit.clients.fake_routes import FakeHealth, FakePredictions, FakeRoutes, labels
from tests.kit.clients.web_pages import beside_grpc

# What the data plane answers for `GET /v2/models/digits/config`, of what it takes and gives.
_IMAGE_CONFIGURATION = """{"input": [{"name": "image", "data_type": "TYPE_FP32", "dims": [4]}],
  "output": [{"name": "label", "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}}]}"""


@pytest.fixture
def registry() -> FakeRegistry:
    """A registry with v1 of digits in production, and v2."""
    fake = FakeRegistry()
    fake.put("digits", "v1", production=True)
    fake.put("digits", "v2")
    return fake


@pytest.fixture
def routes() -> FakeRoutes:
    """The implicit route of digits."""
    fake = FakeRoutes()
    fake.put(
        "digits", route_pb2.Variant(name="production", follow_production=True, weight=1, serving_version="v1"), epoch=1
    )
    return fake


@pytest.fixture
def predictions() -> FakePredictions:
    """Predictions that answer label 7, and the explanation of request r-1."""
    fake = FakePredictions(labels)
    fake.explanations["r-1"] = predict_pb2.ExplainResponse(request_id="r-1", model="digits", total_us=1000)
    return fake


@pytest.fixture
def health() -> FakeHealth:
    """Health of registry and control plane, both serving."""
    return FakeHealth({"headrace.registry.v1.RegistryService": True, "headrace.router.v1.RouteService": True})


@pytest.fixture
def door(
    registry: FakeRegistry, routes: FakeRoutes, predictions: FakePredictions, health: FakeHealth
) -> Iterator[FrontDoor]:
    """All of them on one port, with what the model takes."""
    with (
        FrontDoor.serving(registry, routes, predictions, health) as serving,
        beside_grpc(serving.address, lambda _path: _IMAGE_CONFIGURATION) as address,
    ):
        serving.address = address
        yield serving


@pytest.fixture
def run(door: FrontDoor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `headrace` with the words given, in a folder with a model."""
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    return command_line(door, monkeypatch, tmp_path)


@pytest.fixture(params=["blocking", "awaited"])
def call(request: pytest.FixtureRequest, door: FrontDoor) -> Call:
    """Call a method of a new client."""
    return caller(door.address, awaited=request.param == "awaited")

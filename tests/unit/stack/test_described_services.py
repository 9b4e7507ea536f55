"""A service that stands in the description runs in a wheel stack, told what all services are told."""

import re
from pathlib import Path

import pytest
from headrace_stack import description, topology
from headrace_stack.component import Component
from headrace_stack.ports import Ports
from headrace_stack.replicas import Replicas
from headrace_stack.settings import DataPlane, StackSettings

from tests.kit.deployment.topology import CHECKOUT, services

GRPC, METRICS = description.free_ports(services(), 2)
EXAMPLE = f"""
[example]
component = "example"
package = "headrace_example"
settings = {{ EXAMPLE_ = "headrace_example.settings:ExampleSettings" }}
ports = {{ grpc = {GRPC}, metrics = {METRICS} }}
offers = ["headrace.example.v1.ExampleService"]
calls = ["registry:grpc", "router-control:grpc", "postgres:postgres", "s3:s3", "valkey:valkey"]
database = "example"
buckets = {{ S3_BUCKET = "headrace-example", MODELS_BUCKET = "headrace" }}
state = true
scaled = "process"
outage = "predictions go on"
"""


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Component]:
    """Return those of a checkout that describes the example besides what there is, with two registries."""
    checkout: Path = tmp_path_factory.mktemp("checkout")
    path = description.path_in(checkout)
    path.parent.mkdir()
    path.write_text(description.path_in(CHECKOUT).read_text(encoding="utf-8") + EXAMPLE, encoding="utf-8")
    settings = StackSettings(
        checkout=checkout,
        home=checkout / "home",
        ports=Ports(9080),
        replicas=Replicas(registries=2),
        data_plane=DataPlane.FRONT_DOOR,
    )
    settings.create_directories()
    return {component.name: component for component in topology.components(settings)}


def test_it_listens_where_the_description_says_and_starts_after_what_it_needs(components: dict[str, Component]):
    example = components["example"]
    assert [port.number for port in example.ports] == [GRPC + 1000, METRICS + 1000]
    assert example.command[-1] == "headrace_example"
    assert set(example.needs) == {"postgres", "s3", "valkey", "router-control"}
    assert example.leans_on == ("postgres",)


def test_it_is_told_where_its_stores_are_and_whom_it_calls(components: dict[str, Component]):
    told = {
        name.removeprefix("EXAMPLE_"): value
        for name, value in components["example"].environment.items()
        if name.startswith("EXAMPLE_")
    }
    assert told["DATABASE_URL"] == "postgresql://example@127.0.0.1:9100/example"
    assert (told["S3_BUCKET"], told["MODELS_BUCKET"]) == ("headrace-example", "headrace")
    for name, callee in (("REGISTRY_TARGET", "registry"), ("CONTROL_TARGET", "router-control")):
        assert told[name].startswith("file:/")
        assert told[name].endswith(f"/endpoints#{callee}")
    assert {"DATABASE_PASSFILE", "DENY_FILE", "S3_ENDPOINT", "S3_CREDENTIALS_FILE", "STATE_DIR", "VALKEY_URL"} <= (
        told.keys()
    )


def test_the_front_door_sends_it_its_calls_and_answers_for_its_health(components: dict[str, Component]):
    assert f"example=127.0.0.1:{GRPC + 1000}" in components["front-door"].environment["FRONT_DOOR_TARGETS"].split(";")
    health = components["router-control"].environment["ROUTER_CONTROL_HEALTH_TARGETS"].split(";")
    assert any(re.fullmatch(r"headrace.example.v1.ExampleService=file:.*/endpoints#example", one) for one in health)

"""The list of services, ports and calls is what the wheel stack runs."""

import re
from pathlib import Path

import pytest
from front_door import inference
from front_door.api import read_api
from front_door.envoy_settings import committed_descriptors
from headrace_stack import topology as stack
from headrace_stack.component import Component
from headrace_stack.description import Outage
from headrace_stack.ports import Ports
from headrace_stack.settings import DataPlane, StackSettings

from tests.kit.deployment import topology

SERVICES = topology.services()
OWN = [service for service in SERVICES.values() if not service.store]


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Component]:
    home: Path = tmp_path_factory.mktemp("stack")
    settings = StackSettings(checkout=topology.CHECKOUT, home=home, ports=Ports(8080), data_plane=DataPlane.FRONT_DOOR)
    settings.create_directories()
    return {component.name: component for component in stack.components(settings)}


def test_the_wheel_stack_runs_these_and_nothing_else(components):
    assert {service.component for service in SERVICES.values()} == set(components)


@pytest.mark.parametrize("service", OWN, ids=lambda service: service.name)
def test_a_service_listens_where_it_does_in_the_wheel_stack(components, service):
    listening = {port.number for port in components[service.component].ports}
    assert set(service.ports.values()) == listening


@pytest.mark.parametrize("service", OWN, ids=lambda service: service.name)
def test_the_wheel_stack_tells_a_service_only_what_it_can_be_told(components, service):
    prefixes = tuple(each.model_config.get("env_prefix", "") for each in topology.settings_of(service))
    told = {name for name in components[service.component].environment if name.startswith(prefixes)}
    assert told
    assert told <= topology.variables_of(service)


def test_who_is_called_exists_and_has_that_port():
    for call in topology.calls():
        assert call.port in SERVICES[call.callee].ports, call


def test_the_front_door_and_who_asks_for_health_may_reach_whoever_offers_an_api():
    offering = {service.name for service in OWN if service.offers}
    for asker in ("front-door", "router-control"):
        reached = {call.callee for call in topology.calls() if call.caller == asker}
        assert offering - reached <= {asker}


@pytest.mark.parametrize("service", OWN, ids=lambda service: service.name)
def test_the_wheel_stack_starts_a_service_after_whom_it_calls(components, service):
    # The front door stands last; who asks it for health does without until it is there.
    called = {SERVICES[call.callee].component for call in service.calls if call.callee != "front-door"}
    needed = _with_needs(components, service.component)
    # A batcher tells the registry what it measured, and does without it; nobody waits for the monitor. Only without a
    # control plane nothing is known of routes.
    without = {one.component for one in OWN if one.outage is Outage.GO_ON} - {"router-control"}
    if service.name == "scorer":  # a job that batchers score waits for them
        without |= {"batcher-default", "batcher-cpu"}
    assert called - needed <= without


def _with_needs(components: dict[str, Component], name: str) -> set[str]:
    return {name}.union(*(_with_needs(components, needed) for needed in components[name].needs))


def test_every_public_service_of_the_api_is_offered_by_somebody_and_nothing_else_is():
    public = {method.service for method in (*read_api(committed_descriptors()).public, *inference.methods())}
    assert {api for service in OWN for api in service.offers} == public


def test_the_picture_in_the_architecture_shows_these_calls():
    text = (topology.CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## Connections")[2].partition("\n## ")[0]
    drawn = re.findall(r"^ {4}([a-z0-9-]+) -- (\d+) --> ([a-z0-9-]+)", section, flags=re.MULTILINE)
    assert len(drawn) == section.count(" --> ")
    listed = {(call.caller, str(SERVICES[call.callee].ports[call.port]), call.callee) for call in topology.calls()}
    assert set(drawn) == listed

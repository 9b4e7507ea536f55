"""docker-compose.yml is the topology, and lets nobody do more than the list says."""

import re
from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.kit.deployment import compose_file, topology
from tests.kit.deployment.topology import CHECKOUT
from tests.kit.rows import each

PATH = CHECKOUT / "docker-compose.yml"
COMPOSE = compose_file.read(PATH)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LISTED = topology.services()
# Beside the topology: what runs once, what people run, the pair of the profile `gpu`, and who watches.
ONCE = {"init", *(f"init-{service.database}" for service in LISTED.values() if service.database)}
PEOPLE = {"headrace", "demo"}
WATCHING = {"prometheus", "grafana"}
BESIDE = ONCE | PEOPLE | WATCHING | {"batcher-gpu", "triton-gpu", "docker-filter"}
FOREIGN = WATCHING | {"triton-gpu"}


def networks(name: str) -> set[str]:
    return set(SERVICES[name].get("networks", ()))


def settings(name: str) -> dict[str, str]:
    return compose_file.environment(SERVICES[name])


def test_it_runs_the_topology_and_what_is_named_here():
    assert set(SERVICES) == set(LISTED) | BESIDE


@each("name", [name for name, service in LISTED.items() if not service.store])
def test_a_service_is_told_only_what_it_can_be_told(name: str):
    assert settings(name)
    assert set(settings(name)) <= topology.variables_of(LISTED[name])


@each("name", [name for name, service in LISTED.items() if not service.store])
def test_a_service_listens_on_the_ports_of_the_list(name: str):
    told = {int(value) for setting, value in settings(name).items() if setting.endswith("PORT")}
    assert told == set(LISTED[name].ports.values())


@each("call", sorted(topology.calls()))
def test_who_calls_shares_a_network_with_whom_it_calls_and_names_its_port(call: topology.Call):
    assert networks(call.caller) & networks(call.callee)
    port = LISTED[call.callee].ports[call.port]
    aliases = {alias for one in SERVICES[call.callee]["networks"] for alias in _aliases(call.callee, one)}
    told = " ".join(settings(call.caller).values())
    assert any(f"{host}:{port}" in told for host in (call.callee, *aliases))


def _aliases(name: str, network: str) -> list[str]:
    of = SERVICES[name]["networks"]
    return (of[network] or {}).get("aliases", []) if isinstance(of, dict) else []


@pytest.mark.parametrize("store", ["postgres", "s3"])
def test_the_front_door_shares_no_network_with_a_store_of_others(store: str):
    assert not networks("front-door") & networks(store)
    assert not networks("demo") & networks(store)


@pytest.mark.parametrize("store", [name for name, service in LISTED.items() if service.store])
def test_a_store_is_near_only_to_who_calls_it(store: str):
    near = {name for name in SERVICES if networks(name) & networks(store)} - {store}
    callers = {call.caller for call in topology.calls() if call.callee == store}
    assert near - BESIDE == callers


def test_a_network_leads_out_of_the_machine_only_where_something_may_be_outside():
    internal = {name for name, told in COMPOSE["networks"].items() if (told or {}).get("internal")}
    assert internal == {"calls"}


def test_only_the_front_door_is_reachable_from_outside_and_by_default_from_this_machine():
    always = {name: service for name, service in SERVICES.items() if not service.get("profiles")}
    assert {name: service["ports"] for name, service in always.items() if "ports" in service} == {
        "front-door": ["127.0.0.1:8080:8080"]
    }


@each("name", sorted(set(SERVICES) - {"triton-gpu"}))
def test_a_container_may_do_nothing_but_its_work(name: str):
    service = SERVICES[name]
    if name == "docker-filter":  # Docker's socket is root's, and this is all that has it
        assert (service["user"], service["network_mode"]) == ("0:0", "none")
    else:
        assert service["user"] == "10001:10001" or name in WATCHING
        assert not service["user"].startswith("0")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")


def test_what_queries_of_the_log_read_is_on_disk_and_not_in_the_memory_of_the_monitor():
    # Nor what the scorer writes before it is uploaded.
    for name in ("monitor", "scorer"):
        assert SERVICES[name]["tmpfs"] == []
        assert f"{name}-scratch:/tmp" in SERVICES[name]["volumes"]
    on_disk = {"monitor", "scorer", "triton-gpu"}
    assert all(service["tmpfs"] for name, service in SERVICES.items() if name not in on_disk)


@each("name", sorted(LISTED))
def test_what_runs_on_is_bounded_restarted_and_stopped_in_its_time(name: str):
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]


@each("name", sorted(SERVICES))
def test_images_are_pinned(name: str):
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+", tag)


def test_images_of_ours_are_built_here_and_each_in_one_way():
    built: dict[str, dict[str, Any]] = {}
    for name, service in SERVICES.items():
        if "build" in service:
            assert built.setdefault(service["image"], service["build"]) == service["build"], name
    assert {SERVICES[name]["image"] for name in set(SERVICES) - FOREIGN} == set(built)


@each("name", sorted(SERVICES))
def test_a_service_starts_after_what_it_waits_for_is_well(name: str):
    for needed, told in SERVICES[name].get("depends_on", {}).items():
        once = needed.startswith("init")
        # Grafana shows what is there once Prometheus answers; it waits for nothing.
        wanted = "service_completed_successfully" if once else "service_healthy"
        assert told["condition"] == ("service_started" if name == "grafana" else wanted)


@each("name", sorted(SERVICES))
def test_a_secret_is_a_file_that_is_mounted_and_only_where_it_is_used(name: str):
    environment = settings(name)
    mounted = {volume.split(":")[1] for volume in SERVICES[name].get("volumes", ())}
    files = {PurePosixPath(value) for value in environment.values() if value.startswith("/run/secrets/")}
    for file in files:
        assert any(file.is_relative_to(place) for place in mounted), file
    for setting, value in environment.items():
        assert not re.search(r"PASSWORD$|SECRET|_KEY$|://[^/]*:[^/]*@", f"{setting}{value}")


def test_the_private_key_of_the_issuer_is_only_with_people():
    holders = {name for name, service in SERVICES.items() if any(v.startswith("issuer:") for v in service["volumes"])}
    assert holders == {"init", "headrace", "demo"}


@pytest.mark.parametrize("name", [name for name, service in LISTED.items() if service.state])
def test_what_should_outlive_a_container_is_in_a_named_volume(name: str):
    (volume,) = [volume for volume in SERVICES[name]["volumes"] if volume.endswith(":/var/lib/headrace")]
    assert volume.split(":")[0] in COMPOSE["volumes"]


def test_every_variable_from_outside_is_in_the_example():
    example = (CHECKOUT / ".env.example").read_text()
    named = set(re.findall(r"^#?\s*([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))
    overlays = sorted(CHECKOUT.glob("docker-compose*.yml"))
    assert {name for path in overlays for name in compose_file.variables(path)} == named


def test_the_example_states_the_defaults():
    example = (CHECKOUT / ".env.example").read_text()
    stated = dict(re.findall(r"^#([A-Z][A-Z0-9_]+)=(.*)$", example, re.MULTILINE))
    defaults = compose_file.variables(PATH)
    assert {name: value for name, value in stated.items() if name in defaults} == defaults

"""A service that is added to the description is everywhere where nobody should have to write it down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from headrace_stack import description

from deploy.topology.__main__ import FILES, REGIONS, ROOT, made
from deploy.topology.regions import RegionMissing, by_hand, replaced
from tests.kit.deployment import compose_file, topology
from tests.kit.deployment.missing_entries import lacking
from tests.kit.rows import each

# As a newcomer would write it, with the settings of the registry for want of its own.
EXAMPLE = """
[example]
component = "example"
package = "headrace_example"
settings = { REGISTRY_ = "headrace_registry.settings:RegistrySettings" }
ports = { grpc = GRPC, metrics = METRICS }
offers = ["headrace.example.v1.ExampleService"]
calls = ["registry:grpc", "postgres:postgres", "s3:s3"]
database = "example"
buckets = { S3_BUCKET = "headrace-example" }
replicas = 2
scaled = "process"
outage = "predictions go on"
"""
TEXT = description.path_in(ROOT).read_text(encoding="utf-8")
GRPC, METRICS = description.free_ports(topology.services(), 2)
EXAMPLE = EXAMPLE.replace("GRPC,", f"{GRPC},").replace("METRICS }", f"{METRICS} }}")
WITH_EXAMPLE = {str(path.relative_to(ROOT)): text for path, text in made(description.parsed(TEXT + EXAMPLE)).items()}


def test_what_is_committed_is_what_the_description_says():
    done = subprocess.run([sys.executable, "-m", "deploy.topology", "check"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@each("path", sorted({*FILES, *REGIONS}))
def test_every_file_that_is_written_changes_with_the_services(path: str):
    was = set((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert "example" in "\n".join(line for line in WITH_EXAMPLE[path].splitlines() if line not in was)


@each("path", sorted(REGIONS))
def test_of_a_file_with_written_parts_everything_else_stays(path: str):
    was = (ROOT / path).read_text(encoding="utf-8")
    assert by_hand(WITH_EXAMPLE[path]) == by_hand(was) != was


@pytest.mark.parametrize("path", [path for path in sorted({*FILES, *REGIONS}) if path.endswith((".yaml", ".yml"))])
def test_what_is_written_can_be_read(path: str):
    assert all(yaml.safe_load_all(WITH_EXAMPLE[path]))


def test_connections_are_let_out_on_one_side_and_in_on_the_other():
    policies = {
        one["metadata"]["name"]: one["spec"]
        for path, text in WITH_EXAMPLE.items()
        if path.endswith(("base/network-policies.yaml", "stores/network-policies.yaml")) and "outside" not in path
        for one in yaml.safe_load_all(text)
    }
    for callee, number in (("registry", 8082), ("postgres", 5432), ("s3", 8333)):
        assert {"to": [_pods(callee)], "ports": [_tcp(number)]} in policies["example"]["egress"]
        (rule,) = [one for one in policies[callee]["ingress"] if one["ports"] == [_tcp(number)]]
        assert _pods("example") in rule["from"]
    assert len(policies["example"]["egress"]) == 3


def _pods(name: str) -> dict:
    return {"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}


def _tcp(number: int) -> dict:
    return {"protocol": "TCP", "port": number}


def test_compose_has_its_networks_and_tells_the_front_door_where_it_is(tmp_path: Path):
    path = tmp_path / "docker-compose.yml"
    path.write_text(WITH_EXAMPLE["docker-compose.yml"], encoding="utf-8")
    told = compose_file.read(path)
    assert told["x-topology"]["networks"]["example"] == ["calls", "database", "artifacts"]
    door, control = (compose_file.environment(told["services"][name]) for name in ("front-door", "router-control"))
    assert f"example=example:{GRPC}" in door["FRONT_DOOR_TARGETS"].split(";")
    health = control["ROUTER_CONTROL_HEALTH_TARGETS"].split(";")
    assert f"headrace.example.v1.ExampleService=dns:///example:{GRPC}" in health


def test_the_class_of_settings_has_the_prefix_that_the_description_says():
    for service in topology.services().values():
        for prefix, settings in zip(service.settings, topology.settings_of(service), strict=True):
            assert settings.model_config.get("env_prefix") == prefix


def test_a_part_keeps_the_marks_and_the_indentation_around_it():
    text = "a:\n  # topology: b\n  old\n  # end of b\nc\n"
    assert (
        replaced(text, "b", "new:\n  one\n\ntwo") == "a:\n  # topology: b\n  new:\n    one\n\n  two\n  # end of b\nc\n"
    )
    assert replaced("<!-- topology: b -->\n<!-- end of b -->\n", "b", "x") == (
        "<!-- topology: b -->\nx\n<!-- end of b -->\n"
    )


@pytest.mark.parametrize(
    "text", ["", "# topology: b\n", "# end of b\n# topology: b\n", "# topology: bb\n# end of bb\n"]
)
def test_a_file_without_the_marks_is_refused(text: str):
    with pytest.raises(RegionMissing, match="`# topology: b` and `# end of b`"):
        replaced(text, "b", "new")


@pytest.mark.parametrize("name", topology.own())
def test_nothing_that_is_written_by_hand_lacks_a_service(name: str):
    assert lacking(ROOT, topology.services()[name]) == []


def test_a_service_that_stands_in_the_description_alone_is_told_what_it_lacks():
    example = description.parsed(TEXT + EXAMPLE)["example"]
    assert [told.partition(":")[0] for told in lacking(ROOT, example)] == [
        "docker-compose.yml",
        "docker-compose.yml",
        "deploy/kubernetes/base/example.yaml",
        "deploy/kubernetes/base/config/example.env",
        "docs/operations.md",
    ]

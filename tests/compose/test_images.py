"""What the images hold, and what they do not."""

import json
import re
from functools import cache

import pytest

from tests.kit.deployment import topology
from tests.kit.deployment.containers import docker

OURS = (*topology.services(), "init", "demo")
# The packages of each service; the front door holds the router's data plane.
HOLDS = {name: topology.packages(topology.services()[name]) for name in topology.own()}
PACKAGES = {"headrace_client", "headrace_stack"}.union(*HOLDS.values())
WITH_DATABASE = set[str]().union(*(HOLDS[name] for name in HOLDS if topology.services()[name].database))
# Those that call the others as anybody may.
CLIENTS = {"console", "scorer"}
# What only some of them need: the registry tries what is uploaded, a rollout judges by the monitor's statistics.
HEAVY = {
    "onnxruntime": {"batcher", "batcher-cpu", "registry", "scorer"},
    "onnx": {"registry"},
    "pyvoy": {"front-door"},
    "asyncpg": {name for name in HOLDS if HOLDS[name] & WITH_DATABASE},
    "scipy": {"monitor", "rollout", "scorer"},
    "duckdb": {"monitor", "scorer"},
    "ray": {"scorer"},
}


@cache
def told(image: str) -> dict:
    return json.loads(docker("image", "inspect", image))[0]


def listing(image: str, *places: str) -> set[str]:
    return set(docker("run", "--rm", "--network", "none", "--entrypoint", "ls", image, "-1", *places).split())


@pytest.mark.parametrize("service", OURS)
def test_an_image_is_of_one_version_and_runs_without_root(images: dict[str, str], service: str):
    assert re.fullmatch(r"headrace/[a-z0-9-]+:\d+\.\d+\.\d+", images[service])
    assert told(images[service])["Config"]["User"] == "10001:10001"


@pytest.mark.parametrize("service", sorted(HOLDS))
def test_a_service_carries_its_own_code_and_nothing_of_the_others(images: dict[str, str], service: str):
    site = listing(images[service], "/opt/headrace/venv/lib/python3.11/site-packages")
    assert PACKAGES & site == HOLDS[service] | ({"headrace_client"} if service in CLIENTS else set())
    for package, holders in HEAVY.items():
        assert (package in site) is (service in holders), package


@pytest.mark.parametrize("service", OURS)
def test_no_compiler_no_tests_and_no_tool_of_the_build_is_in_an_image(images: dict[str, str], service: str):
    script = "ls /usr/bin /usr/local/bin /opt/headrace /opt/headrace/* 2>/dev/null"
    found = set(docker("run", "--rm", "--network", "none", "--entrypoint", "sh", images[service], "-c", script).split())
    assert not found & {"gcc", "cc", "g++", "make", "git", "uv", "uvx", "tests", "pytest"}
    # The compiler of the front door's filter comes as a wheel.
    script = "find / -xdev -name 'ziglang*' -print"
    assert docker("run", "--rm", "--user=0", "--entrypoint=sh", images[service], "-c", script).split() == []


@pytest.mark.parametrize("service", OURS)
def test_no_layer_and_no_variable_holds_a_secret(images: dict[str, str], service: str):
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", images[service])
    environment = "\n".join(told(images[service])["Config"]["Env"])
    for text in (history, environment):
        assert not re.search(r"password|secret_key|PRIVATE KEY|token=", text, re.IGNORECASE)
    # What init makes is in volumes: the folders of the images are empty.
    names = ("issuer.key.pem", "pgpass", ".pgpass", "credentials", ".env", "*.key", ".git")
    script = f"find / -xdev \\( {' -o '.join(f'-name {name!r}' for name in names)} \\) -not -path '/proc/*' -print"
    assert docker("run", "--rm", "--user=0", "--entrypoint=sh", images[service], "-c", script).split() == []
    holders = "grep -rlE -e '-BEGIN ([A-Z]+ )?PRIVATE KEY-' /etc /home /root /run /srv /var || true"
    assert docker("run", "--rm", "--user=0", "--entrypoint=sh", images[service], "-c", holders).split() == []


@pytest.mark.parametrize("service", OURS)
def test_the_build_wrote_what_an_image_is_made_of(images: dict[str, str], service: str):
    path = told(images[service])["Config"]["Labels"]["dev.headrace.sbom"]
    document = json.loads(docker("run", "--rm", "--network", "none", "--entrypoint", "cat", images[service], path))
    assert document["bomFormat"] == "CycloneDX"
    purls = {component["purl"].split("@")[0] for component in document["components"]}
    assert {"pkg:deb/debian/libc6"} <= purls
    assert any(purl.startswith("pkg:pypi/") for purl in purls)

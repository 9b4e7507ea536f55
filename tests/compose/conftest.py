"""One installation for all tests: built, started, and gone without a trace with the last. Needs a Docker daemon."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace_servicekit.testing import free_port

from tests.kit.deployment.containers import Installation, docker
from tests.kit.deployment.topology import CHECKOUT
from tests.kit.stack.running import RunningStack

_BUILD_S = 3000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.compose)
            item.add_marker(pytest.mark.timeout(_BUILD_S if item is items[0] else 900))


@pytest.fixture(scope="session")
def images() -> Iterator[dict[str, str]]:
    """Every image of ours by service. Built from what is here; those that were not there before are removed again."""
    before = _tags()
    told = json.loads(docker("compose", "--profile", "*", "config", "--format", "json"))["services"]
    found = {name: service["image"] for name, service in told.items() if service["image"].startswith("headrace/")}
    offline = os.environ.get("HEADRACE_OFFLINE")
    command = ["deploy/offline/build"] if offline else ["docker", "compose", "--profile", "demo", "build"]
    subprocess.run(command, cwd=CHECKOUT, check=True, timeout=_BUILD_S)
    yield found
    if made := sorted(set(found.values()) - before):
        docker("image", "rm", *made)


@pytest.fixture(scope="session")
def installation(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The whole topology, up."""
    made = Installation(f"headrace-test-{os.getpid()}", free_port(), tmp_path_factory.mktemp("home"))
    try:
        made.up()
        yield made
    finally:
        made.down("--volumes")
        assert made.left_behind() == []


@pytest.fixture(scope="session")
def stack(installation: Installation) -> RunningStack:
    """The installation for the tests' callers."""
    return installation.stack()


def _tags() -> set[str]:
    return set(docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split())

"""The core without any other part: it serves, and what is not there says how it is added, by every way in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from headrace_client import Client
from headrace_client.errors import Unimplemented
from headrace_stack.testing import held_stack

from tests.kit.clients.printed_lines import CHECKOUT, beside
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests

pytestmark = pytest.mark.long

ADDS = "the part 'release' is not installed here; add it with `make up PARTS=core,release`"


@pytest.fixture(scope="module")
def core() -> Iterator[RunningStack]:
    with held_stack(home_for_tests(f"core-{os.getpid()}"), parts=("core",)) as settings:
        yield RunningStack(settings)


@pytest.fixture(scope="module")
def environment(core: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return beside(core.settings.home, tmp_path_factory.mktemp("bin"))


def run(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=200)


def headrace(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return run(environment, str(Path(sys.executable).with_name("headrace")), *words)


def test_it_registers_predicts_splits_promotes_and_rolls_back_twice(environment: dict[str, str]):
    for _ in range(2):
        done = run(environment, sys.executable, "-m", "examples.core")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "And back: v1 was kept loaded" in done.stdout


def test_its_status_is_that_of_what_is_installed_and_names_the_rest(environment: dict[str, str]):
    done = headrace(environment, "status")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not installed: `make up PARTS=core,observe` adds it" in done.stdout
    shown = run(environment, sys.executable, "-P", "-m", "headrace_stack", "status")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "not installed: release (rollouts, " in shown.stdout
    assert "`make up PARTS=core,release` adds it" in shown.stdout


def test_it_counts_usage_and_has_budgets(environment: dict[str, str]):
    words = ("budgets", "set", "research", "--client", "research", "--seconds", "3600")
    done = headrace(environment, "usage", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "research" in headrace(environment, "usage", "budgets", "list").stdout
    shown = headrace(environment, "usage", "show")
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_a_command_of_a_part_that_is_not_installed_says_how_it_is_added(environment: dict[str, str]):
    done = headrace(environment, "rollouts", "list")
    assert done.returncode != 0
    assert ADDS in " ".join(done.stderr.split())


def test_every_way_in_says_it(core: RunningStack):
    with Client(core.url, token=core.token) as client, pytest.raises(Unimplemented) as refused:
        client.rollouts.list()
    assert (refused.value.reason, refused.value.metadata["part"]) == ("PART_NOT_INSTALLED", "release")
    assert refused.value.message == ADDS
    bearer = {"authorization": f"Bearer {core.token()}"}
    rest = httpx.get(f"{core.url}/v1/rollouts", headers=bearer)
    assert (rest.status_code, rest.json()["message"]) == (501, ADDS)
    page = httpx.get(f"{core.url}/console/")
    assert page.status_code == 501
    assert "make up PARTS=core,console" in page.json()["message"]


def test_what_it_misses_fills_no_log(core: RunningStack):
    for log in core.settings.logs.glob("*.log"):
        lines = [
            line for line in log.read_text(errors="replace").splitlines() if "monitor" in line or "autoscaler" in line
        ]
        assert len(lines) <= 2, (log.name, lines[:5])

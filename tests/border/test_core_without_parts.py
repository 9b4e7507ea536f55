"""The border between core and parts: with the parts' folders deleted, the core serves and its tests pass."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace_stack import parts
from headrace_stack.description import BLOCK
from headrace_stack.ports import free_base_port

from tests.kit.deployment.topology import CHECKOUT

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

# Those of the core's services, of the front door, and of the libraries that they are made of.
TESTS = ("registry", "router_control", "router_data", "batcher", "servicekit", "runtime", "stack", "front_door")


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a copy of the checkout, as it stands, in which nothing but the core is left."""
    copy = tmp_path_factory.mktemp("border") / "headrace"
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in subprocess.check_output(listed, cwd=CHECKOUT, text=True).split("\0"):
        if (source := CHECKOUT / name).is_symlink() or source.is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy / name, follow_symlinks=False)
    make(copy, "only", "PARTS=core")
    make(copy, "setup")
    yield copy
    make(copy, "down")
    shutil.rmtree(copy)


def make(copy: Path, *words: str) -> str:
    return ran(copy, "make", "--no-print-directory", *words)


def ran(copy: Path, *command: str) -> str:
    """Return what a command in the copy prints: on ports of its own, told nothing that the caller was."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "PYTEST_", "MAKE"))}
    ports = free_base_port(range(33_000, 60_000, BLOCK))
    environment = {**mine, "HEADRACE_BASE_PORT": str(ports)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-6000:]}{done.stderr[-6000:]}"
    return done.stdout


def test_nothing_of_another_part_is_left(core: Path):
    gone = [folder for part in parts.of(CHECKOUT).values() for folder in part.folders]
    assert gone
    assert not [folder for folder in gone if (core / folder).exists()]
    assert [*parts.of(core)] == ["core"]


def test_the_core_predicts_promotes_splits_and_rolls_back(core: Path):
    printed = make(core, "demo-core")
    assert "And back: v1 was kept loaded" in printed


def test_the_command_line_has_the_commands_of_the_core(core: Path):
    shown = ran(core, ".venv/bin/headrace", "--help")
    assert "  predict " in shown
    assert "  rollouts " not in shown


def test_the_tests_of_the_core_pass(core: Path):
    folders = [f"tests/unit/{name}" for name in TESTS]
    assert " passed" in ran(core, ".venv/bin/pytest", "-q", "-n", "2", "-m", "not real and not long", *folders)

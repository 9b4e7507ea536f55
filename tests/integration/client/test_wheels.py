"""The client outside the repository: wheels of client and stubs in an environment that has nothing else."""

import os
import subprocess
from pathlib import Path

import pytest
from headrace_stack.settings import checkout_of_this_file

from tests.kit.clients.fake_front_door import FrontDoor

CHECKOUT = checkout_of_this_file()
UV = CHECKOUT / ".headrace" / "uv" / "bin" / "uv"

PROGRAM = """
import sys
from headrace_client import AsyncClient, Client
from headrace_client.cli import main
assert not any(name.startswith(("headrace_servicekit", "headrace_stack", "onnx")) for name in sys.modules)
main(["--help"])
"""

ASKED = """
from headrace_client import Client
try:
    Client().rollouts
except AttributeError as error:
    print(error)
"""

PREDICTION = """
import numpy as np
from datetime import timedelta
from headrace_client import Client, Explanation

with Client() as client:
    image = {"image": np.zeros((2, 4), np.float32)}
    answer = client.predict("digits", image, request_id="r-1", explain=True, hedge_after=timedelta(seconds=5))
    told = client.explain(request_id=answer.request_id)
    assert isinstance(told, Explanation)
    print(answer.outputs["label"].tolist(), answer.degraded, told.model)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with our wheels and what they ask for, from the packages that `make setup` has fetched."""
    folder = tmp_path_factory.mktemp("wheels")
    for package in ("headrace-client", "headrace-stubs"):
        _uv("build", "--wheel", "--package", package, "--out-dir", str(folder))
    home, python = folder / "venv", folder / "venv" / "bin" / "python"
    # What others wrote comes by the lock file: an index, which `uv pip install` would ask, is not there offline.
    others = ("--frozen", "--package", "headrace-client", "--no-default-groups", "--no-install-workspace")
    ours = str(CHECKOUT / ".venv" / "bin" / "python")
    _uv("sync", *others, "--python", ours, UV_PROJECT_ENVIRONMENT=str(home))
    wheels = [str(wheel) for wheel in folder.glob("*.whl")]
    _uv("pip", "install", "--no-deps", "--python", str(python), *wheels)
    _uv("pip", "check", "--python", str(python))
    return home


@pytest.mark.long
def test_the_wheels_work_without_the_repository(environment: Path, tmp_path: Path) -> None:
    shown = _run([str(environment / "bin" / "python"), "-c", PROGRAM], tmp_path)
    assert "Register models, put versions into production" in shown


def test_a_prediction_is_made_and_explained_without_the_repository(
    environment: Path, tmp_path: Path, door: FrontDoor
) -> None:
    python = str(environment / "bin" / "python")
    shown = _run([python, "-c", PREDICTION], tmp_path, HEADRACE_ADDRESS=door.address, HEADRACE_TOKEN="t")
    assert shown == "[7, 7] False digits\n"


def test_the_command_line_says_its_version(environment: Path, tmp_path: Path) -> None:
    assert _run([str(environment / "bin" / "headrace"), "--version"], tmp_path).startswith("headrace, version ")


def _uv(*words: str, **variables: str) -> None:
    _run([str(UV), *words, "--quiet", "--offline"], CHECKOUT, **variables)


def _run(command: list[str], folder: Path, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | variables
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_parts_bring_says_how_to_add_it_where_the_client_is_alone(environment: Path, tmp_path: Path) -> None:
    typed = [str(environment / "bin" / "headrace"), "rollouts", "list"]
    refused = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert refused.returncode == 2
    assert "'rollouts' belongs to the part release: pip install 'headrace-client[release]'" in refused.stderr
    shown = _run([str(environment / "bin" / "python"), "-c", ASKED], tmp_path)
    assert shown == "'rollouts' belongs to the part release: pip install 'headrace-client[release]'\n"

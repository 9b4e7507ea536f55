"""A service that `make service` wrote, in a copy of this checkout: linted, tested, and asked through the front door."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace_stack.ports import free_base_port
from headrace_stack.settings import checkout_of_this_file

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(1800)]

ROOT = checkout_of_this_file()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What git tracks, as it stands here, with the new service in it; its stack is down at the end."""
    folder = tmp_path_factory.mktemp("copy")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    archive = subprocess.run(
        ["tar", "--create", "--null", "--files-from=-"], cwd=ROOT, input=tracked, capture_output=True, check=True
    )
    subprocess.run(["tar", "--extract"], cwd=folder, input=archive.stdout, check=True)
    # Lint and tests ask git what belongs to the checkout.
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    make(folder, "service", "NAME=probe")
    yield folder
    make(folder, "down")


def make(folder: Path, *targets: str) -> str:
    base = free_base_port(range(30080, 40000, 400))
    kept = folder / ".base-port"
    if not kept.exists():
        kept.write_text(str(base))
    environment = {**os.environ, "HEADRACE_BASE_PORT": kept.read_text()}
    made = subprocess.run(
        ["make", "--no-print-directory", *targets],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout[-4000:]
    return made.stdout


def test_it_passes_what_every_service_has_to_pass(copy: Path):
    make(copy, "lint")
    make(copy, "setup")
    tests = [
        "tests/unit/deploy",
        "tests/unit/front_door",
        "tests/unit/stack",
        "tests/unit/probe",
        "tests/integration/probe",
    ]
    ran = subprocess.run([copy / ".venv/bin/pytest", "-q", "-n", "0", *tests], cwd=copy, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-4000:]


def test_it_answers_grpcurl_through_the_front_door(copy: Path):
    make(copy, "up")
    token = subprocess.run(
        [copy / ".venv/bin/headrace", "token"], cwd=copy, capture_output=True, text=True, check=True
    ).stdout.strip()
    address = f"127.0.0.1:{(copy / '.base-port').read_text()}"
    asked = [copy / ".venv/bin/grpcurl", "-plaintext", "-H", f"authorization: Bearer {token}", address]
    service = "headrace.probe.v1.ProbeService"
    listed = subprocess.run([*asked, "list"], capture_output=True, text=True, check=True).stdout
    assert service in listed.split()
    answer = subprocess.run([*asked, f"{service}/DescribeProbe"], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout).keys() == {"incarnation", "createTime"}
    assert "probe" in make(copy, "status")

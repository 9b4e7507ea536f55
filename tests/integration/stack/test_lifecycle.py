"""`make up`, `make down` and what may go wrong around them, on real components."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from headrace_servicekit.testing import eventually
from headrace_stack import snapshot
from headrace_stack.description import BLOCK
from headrace_stack.ports import Ports, free_base_port
from headrace_stack.process import is_alive
from headrace_stack.snapshot import Snapshot, State

from tests.kit.stack.process_trees import lives, processes


@dataclass(frozen=True)
class Stack:
    """A stack of its own: PostgreSQL and Valkey, in a directory and on ports that nobody else uses."""

    home: Path
    ports: Ports

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "HEADRACE_STATE_DIR": str(self.home),
            "HEADRACE_BASE_PORT": str(self.ports.base),
        }
        command = [sys.executable, "-P", "-m", "headrace_stack", *arguments]
        # Where pytest runs in the background of a shell it ignores SIGINT, and so would what it starts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        finally:
            signal.signal(signal.SIGINT, before)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return ended(self.begin(*arguments))

    def begin_up(self) -> subprocess.Popen[str]:
        return self.begin("up", "--only", "postgres,valkey")

    def up(self) -> subprocess.CompletedProcess[str]:
        return ended(self.begin_up())

    def seen(self) -> Snapshot:
        found = snapshot.read(self.home / "run" / "status.json")
        assert found is not None
        return found


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    told, complaints = process.communicate(timeout=100)
    return subprocess.CompletedProcess(process.args, process.returncode, told, complaints)


@contextmanager
def made(folder: Path) -> Iterator[Stack]:
    candidates = (random.randrange(20_000, 32_000, BLOCK) for _ in range(200))
    created = Stack(folder / "home", Ports(free_base_port(candidates)))
    yield created
    created.run("down")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with made(tmp_path) as created:
        yield created


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that is up, and that tests leave so."""
    with made(tmp_path_factory.mktemp("running")) as created:
        created.up()
        yield created


async def test_up_starts_everything_down_leaves_no_process_and_data_survive_both(stack: Stack):
    up = stack.up()
    assert up.returncode == 0, up.stderr
    before = processes(stack.seen())
    assert {"postgres", "valkey-server"} <= {process.name() for process in before}
    talk(stack, b"SET key value\r\n")

    down = stack.run("down")

    assert down.returncode == 0, down.stderr
    await eventually(lambda: [process for process in before if lives(process)] == [], within=2)
    stack.up()
    assert talk(stack, b"GET key\r\n") == b"$5\r\nvalue\r\n"


def test_a_second_up_adopts_the_running_stack(running: Stack):
    before = running.seen()
    again = running.up()
    assert again.returncode == 0
    assert "since an earlier `make up`" in again.stdout
    assert running.seen() == before


@pytest.mark.long
def test_two_ups_at_the_same_time_start_one_stack_and_both_see_it_ready(stack: Stack):
    ups = [ended(up) for up in [stack.begin_up(), stack.begin_up()]]
    assert [up.returncode for up in ups] == [0, 0], [up.stderr for up in ups]


async def test_an_interrupt_stops_what_was_started_however_early_it_comes(stack: Stack):
    up = stack.begin_up()
    (supervisor,) = await eventually(psutil.Process(up.pid).children, within=10)
    up.send_signal(signal.SIGINT)
    assert ended(up).returncode != 0
    assert not lives(supervisor)
    assert stack.run("status").returncode == 3


def test_a_taken_port_is_a_message_that_names_the_port_and_its_setting(stack: Stack):
    with socket.create_server(("127.0.0.1", stack.ports.valkey.number)):
        up = stack.up()
    assert up.returncode == 1
    assert f"port {stack.ports.valkey.number} (Valkey) is taken" in up.stderr
    assert "HEADRACE_BASE_PORT" in up.stderr
    assert "Traceback" not in up.stderr


def test_a_stack_on_another_base_port_is_refused(running: Stack):
    elsewhere = Stack(running.home, Ports(running.ports.base + 1)).up()
    assert elsewhere.returncode == 1
    assert f"HEADRACE_BASE_PORT={running.ports.base}" in elsewhere.stderr


@pytest.mark.faults
async def test_nothing_survives_a_killed_supervisor_and_the_next_up_works(stack: Stack):
    stack.up()
    before = processes(stack.seen())
    before[0].send_signal(signal.SIGKILL)
    await eventually(lambda: not any(lives(process) for process in before), within=20)
    again = stack.up()
    assert again.returncode == 0, again.stderr


@pytest.mark.faults
async def test_a_component_that_dies_is_started_again_and_status_tells(stack: Stack):
    stack.up()
    (before,) = [status for status in stack.seen().components if status.name == "postgres"]
    assert before.process is not None
    os.kill(before.process.pid, signal.SIGKILL)

    def restarted() -> bool:
        (status,) = [status for status in stack.seen().components if status.name == "postgres"]
        return status.restarts == 1 and status.state is State.READY

    await eventually(restarted, within=30)
    status = json.loads(stack.run("status", "--json").stdout)
    assert {item["name"]: item["restarts"] for item in status["components"]} == {"postgres": 1, "valkey": 0}
    assert not any(status["missing"].values())


def test_a_component_that_cannot_start_fails_the_start_with_its_last_words(stack: Stack):
    broken = stack.home / "state" / "postgres"
    broken.mkdir(parents=True)
    (broken / "PG_VERSION").write_text("9\n")
    up = stack.up()
    assert up.returncode == 1
    assert "postgres" in up.stderr
    assert "last lines of" in up.stderr
    assert not is_alive(stack.seen().supervisor)


def test_status_of_a_stack_that_is_not_up_says_how_to_start_it(stack: Stack):
    status = stack.run("status")
    assert status.returncode == 3
    assert "make up" in status.stdout


def talk(stack: Stack, command: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", stack.ports.valkey.number), timeout=5) as connection:
        connection.sendall(command)
        return connection.recv(100)

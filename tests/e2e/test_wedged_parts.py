"""What works no more and does not die is started again by the supervisor, which says why."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from headrace_servicekit.testing import eventually
from headrace_stack.components.front_door import ADMIN_SOCKET
from headrace_stack.snapshot import State
from headrace_stack.testing import held_stack

from tests.kit.front_door.edge import ask
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(280)]

WEDGED = ("front-door", "valkey", "monitor")
WITHIN_S = 200


@pytest.fixture
def watched_stack() -> Iterator[RunningStack]:
    """A stack whose supervisor does as that of `make up`: others leave alone what their tests have frozen."""
    with held_stack(home_for_tests(f"watched-{os.getpid()}")) as settings:
        yield RunningStack(settings)


def told(stack: RunningStack) -> dict:
    """Return what `make status` tells programs."""
    environment = {
        **os.environ,
        "HEADRACE_STATE_DIR": str(stack.settings.home),
        "HEADRACE_BASE_PORT": str(stack.settings.ports.base),
    }
    command = (sys.executable, "-P", "-m", "headrace_stack", "status", "--json")
    return json.loads(subprocess.run(command, env=environment, capture_output=True, timeout=100).stdout)


async def test_a_drained_front_door_and_frozen_parts_are_started_again_and_status_says_why(watched_stack: RunningStack):
    before = {part: watched_stack.status(part).process for part in WEDGED}
    ask(watched_stack.settings.run / "envoy" / ADMIN_SOCKET, "POST", "/drain_listeners")
    for part in ("valkey", "monitor"):
        process = before[part]
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)

    def is_again(part: str) -> bool:
        status = watched_stack.status(part)
        return status.state is State.READY and status.restarts == 1 and status.process != before[part]

    await eventually(lambda: all(is_again(part) for part in WEDGED), within=WITHIN_S, every=0.5)
    await eventually(lambda: not any(told(watched_stack)["missing"].values()), within=60, every=1)
    received_of = {status["name"]: status for status in told(watched_stack)["components"]}
    for part in WEDGED:
        assert received_of[part]["restarted_for"].startswith("not well for ")
    # Nobody is started again for what another one lacks.
    assert {name for name, status in received_of.items() if status["restarts"]} == set(WEDGED)

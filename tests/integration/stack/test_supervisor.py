"""The supervisor's loop, on small programs that misbehave."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from headrace_servicekit.testing import eventually
from headrace_stack.component import Component, PrepareError, RestartPolicy
from headrace_stack.snapshot import ComponentStatus, Phase, Snapshot, State
from headrace_stack.supervisor import Supervisor

SLEEP = "import time; time.sleep(1000)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
WITH_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); {SLEEP}"


async def healthy() -> None:
    return None


def program(
    name: str, code: str, *needs: str, ready: Callable[[], Awaitable[str | None]] = healthy, **more: float
) -> Component:
    policy = RestartPolicy(first_s=0.01, most_s=0.05)
    return Component(name, (sys.executable, "-c", code), ready=ready, needs=needs, restart=policy, **more)  # pyright: ignore[reportArgumentType]


class Running:
    """A supervisor at work and every snapshot that it reported."""

    def __init__(self, supervisor: Supervisor, reports: list[Snapshot]) -> None:
        self.supervisor = supervisor
        self.reports = reports

    def status(self, name: str) -> ComponentStatus:
        (status,) = [status for status in self.reports[-1].components if status.name == name]
        return status

    async def until(self, phase: Phase) -> None:
        await eventually(lambda: self.reports[-1].phase is phase, within=20)


@asynccontextmanager
async def running(logs: Path, *components: Component) -> AsyncIterator[Running]:
    reports: list[Snapshot] = []
    supervisor = Supervisor(components, log_directory=logs, base_port=1024, report=reports.append)
    life = asyncio.create_task(supervisor.run())
    await eventually(lambda: reports, within=5)
    try:
        yield Running(supervisor, reports)
    finally:
        supervisor.stop()
        await life


async def test_a_component_starts_only_when_its_need_is_ready_and_stops_before_it(tmp_path: Path):
    opened = asyncio.Event()

    async def when_opened() -> str | None:
        return None if opened.is_set() else "closed"

    async with running(tmp_path, program("a", SLEEP, ready=when_opened), program("b", SLEEP, "a")) as stack:
        await eventually(lambda: stack.status("a").detail == "closed", within=10)
        assert stack.status("b").state is State.WAITING
        opened.set()
        await stack.until(Phase.READY)
    stopped = [status.name for report in stack.reports for status in report.components if status.state is State.STOPPED]
    assert stopped[0] == "b"
    assert stack.reports[-1].phase is Phase.STOPPED


async def test_what_ignores_its_stop_signal_is_killed_after_its_grace(tmp_path: Path):
    async with running(tmp_path, program("stubborn", STUBBORN, stop_grace_s=0.3)) as stack:
        await stack.until(Phase.READY)
        # Give it the time to ignore the signal: until then SIGTERM would end it.
        process = psutil.Process(pid_of(stack.status("stubborn")))
        await eventually(lambda: ignores_sigterm(process.pid), within=10)
        begin = time.monotonic()
    assert 0.3 <= time.monotonic() - begin < 5
    assert not process.is_running()


async def test_a_component_leaves_no_children_behind_when_it_dies(tmp_path: Path):
    async with running(tmp_path, program("parent", WITH_CHILD)) as stack:
        await stack.until(Phase.READY)
        parent = psutil.Process(pid_of(stack.status("parent")))
        (child,) = await eventually(lambda: parent.children(), within=10)
        parent.kill()
        await eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, within=5)
        await eventually(lambda: stack.status("parent").state is State.READY, within=5)
        assert stack.status("parent").restarts == 1


async def test_a_program_that_never_lives_fails_the_start_and_stops_the_others(tmp_path: Path):
    async with running(tmp_path, program("good", SLEEP), program("bad", "raise SystemExit(7)", ready=never)) as stack:
        await eventually(lambda: stack.status("good").state is State.STOPPED, within=20)
        await stack.until(Phase.FAILED)
    assert "bad: exited with code 7 (start 3 of 3)" in stack.reports[-1].reason


async def test_a_component_that_is_not_ready_in_time_fails_the_start_saying_what_is_missing(tmp_path: Path):
    async with running(tmp_path, program("slow", SLEEP, ready=never, start_timeout_s=0.2)) as stack:
        await stack.until(Phase.FAILED)
    assert "not ready after" in stack.reports[-1].reason
    assert "not yet" in stack.reports[-1].reason


@pytest.mark.parametrize("command", [("/does/not/exist",), ("/",)], ids=["absent", "a directory"])
async def test_a_program_that_cannot_be_executed_fails_the_start_naming_it(tmp_path: Path, command: tuple[str, ...]):
    async with running(tmp_path, Component("broken", command, ready=healthy)) as stack:
        await stack.until(Phase.FAILED)
    assert command[0] in stack.reports[-1].reason


async def test_what_cannot_be_prepared_fails_the_start_with_its_reason(tmp_path: Path):
    async def prepare() -> None:
        raise PrepareError("no room: make some")

    broken = Component("broken", (sys.executable, "-c", SLEEP), ready=healthy, prepare=prepare)
    async with running(tmp_path, broken) as stack:
        await stack.until(Phase.FAILED)
    assert stack.reports[-1].reason == "broken: no room: make some"


async def test_what_has_worked_and_cannot_be_prepared_any_more_is_tried_until_it_can(tmp_path: Path):
    tries = 0

    async def prepare() -> None:
        nonlocal tries
        tries += 1
        if 1 < tries < 6:
            raise OSError("no space left")

    async with running(tmp_path, replace(program("a", SLEEP), prepare=prepare), program("b", SLEEP)) as stack:
        await stack.until(Phase.READY)
        os.kill(pid_of(stack.status("a")), signal.SIGKILL)
        await eventually(lambda: tries == 6 and stack.status("a").state is State.READY, within=10)
        assert any("no space left" in status.detail for report in stack.reports for status in report.components)
        assert stack.status("b").restarts == 0


async def test_a_health_check_that_fails_itself_ends_nobody(tmp_path: Path):
    answers = iter([ValueError("not HTTP"), None])

    async def ready() -> None:
        if (answer := next(answers)) is not None:
            raise answer

    async with running(tmp_path, program("a", SLEEP, ready=ready)) as stack:
        await stack.until(Phase.READY)
    assert any("not HTTP" in status.detail for report in stack.reports for status in report.components)


async def test_stopping_does_not_wait_for_a_start(tmp_path: Path):
    async with running(tmp_path, program("slow", SLEEP, ready=never), program("b", SLEEP, "slow")) as stack:
        await eventually(lambda: stack.status("slow").detail == "not yet", within=10)
        begin = time.monotonic()
    assert time.monotonic() - begin < 5
    assert {status.state for status in stack.reports[-1].components} == {State.STOPPED}


async def test_output_goes_to_a_log_that_only_its_owner_reads(tmp_path: Path):
    async with running(tmp_path, program("talker", f"print('hello', flush=True); {SLEEP}")):
        await eventually(lambda: (tmp_path / "talker.log").read_text() == "hello\n", within=10)
    assert os.stat(tmp_path / "talker.log").st_mode & 0o777 == 0o600


async def never() -> str:
    return "not yet"


def pid_of(status: ComponentStatus) -> int:
    assert status.process is not None
    return status.process.pid


def ignores_sigterm(pid: int) -> bool:
    (mask,) = [line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigIgn" in line]
    return bool(int(mask, 16) & (1 << 14))

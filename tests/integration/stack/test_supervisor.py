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
from typing import Any

import psutil
import pytest
from headrace_servicekit.testing import eventually, patience
from headrace_stack.checks import StartError
from headrace_stack.component import Component, PrepareError, RestartPolicy, StartPolicy
from headrace_stack.snapshot import ComponentStatus, Phase, Snapshot, State
from headrace_stack.supervisor import Supervisor

SLEEP = "import time; time.sleep(1000)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
WITH_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); {SLEEP}"
# Spends a second of the processor, however long that takes, and then has made a file.
BUSY = "import time, pathlib\nwhile time.process_time() < 1: pass\npathlib.Path({file!r}).touch()\n" + SLEEP
# Says its process id to whoever connects.
SPEAKER = """
import os, socket
listening = socket.socket(socket.AF_UNIX)
listening.bind(path := {path!r} + str(os.getpid()))
listening.listen()
os.rename(path, {path!r})
while True:
    taken, _ = listening.accept()
    taken.sendall(str(os.getpid()).encode())
    taken.close()
"""
QUICK = RestartPolicy(first_s=0.01, most_s=0.05, patience_s=0.5, check_every_s=0.1)


async def healthy() -> None:
    return None


def program(
    name: str, code: str, *needs: str, ready: Callable[[], Awaitable[str | None]] = healthy, **more: Any
) -> Component:
    return Component(name, (sys.executable, "-c", code), ready=ready, needs=needs, restart=QUICK, **more)


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
    assert 0.3 <= time.monotonic() - begin < patience(5)
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
    async with running(
        tmp_path, program("slow", SLEEP, ready=never, start=StartPolicy(patience_s=0.2, quiet_s=0.2))
    ) as stack:
        await stack.until(Phase.FAILED)
    assert "not ready after" in stack.reports[-1].reason
    assert "not yet" in stack.reports[-1].reason


async def test_a_start_that_takes_longer_than_it_may_is_waited_for_while_its_process_works(tmp_path: Path):
    file = tmp_path / "done"

    async def done() -> str | None:
        return None if file.exists() else "at work"

    start = StartPolicy(patience_s=0.1, quiet_s=10.0)
    async with running(tmp_path, program("busy", BUSY.format(file=str(file)), ready=done, start=start)) as stack:
        await stack.until(Phase.READY)
    assert stack.status("busy").restarts == 0


async def test_a_start_that_fails_tells_its_last_lines_and_none_of_an_earlier_one(tmp_path: Path):
    (tmp_path / "bad.log").write_text("the line of an earlier day\n")
    async with running(tmp_path, program("bad", "print('no key'); raise SystemExit(7)", ready=never)) as stack:
        await stack.until(Phase.FAILED)
    assert stack.status("bad").last_words == ("no key",)


async def test_what_answers_nothing_any_more_is_ended_and_started_again_saying_why(tmp_path: Path):
    path = str(tmp_path / "socket")

    async def answers() -> str | None:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                spoken = await reader.read()
            finally:
                writer.close()
        return None if spoken == str(pid_of(stack.status("speaker"))).encode() else "another answers"

    speaker = program("speaker", SPEAKER.format(path=path), ready=answers, stop_grace_s=0.2)
    async with running(tmp_path, speaker) as stack:
        await stack.until(Phase.READY)
        wedged = pid_of(stack.status("speaker"))
        os.kill(wedged, signal.SIGSTOP)
        await eventually(lambda: again(stack.status("speaker"), wedged), within=60)
        assert stack.status("speaker").restarts == 1
        assert stack.status("speaker").restarted_for.startswith("not well for ")
        await eventually(lambda: stack.status("speaker").detail == "", within=10)
    assert any("started again in" in status.detail for report in stack.reports for status in report.components)


async def test_what_is_not_well_for_want_of_what_it_leans_on_is_not_started_again(tmp_path: Path):
    store_says: list[str | None] = [None]
    asked = 0

    async def store() -> str | None:
        return store_says[0]

    async def service() -> str | None:
        nonlocal asked
        asked += 1
        return store_says[0] and "no store"

    patient = replace(program("store", SLEEP, ready=store), restart=replace(QUICK, patience_s=1000))
    leaning = program("service", SLEEP, "store", ready=service, leans_on=("store",))
    async with running(tmp_path, patient, leaning) as stack:
        await stack.until(Phase.READY)
        store_says[0] = "down"
        before = asked
        # Long enough for it to be ended, were it not for the store: three failures and half a second.
        begin = time.monotonic()
        await eventually(lambda: asked > before + 20 and time.monotonic() > begin + 2, within=60)
        assert (stack.status("store").restarts, stack.status("service").restarts) == (0, 0)
        assert "leans on" in stack.status("service").detail
        store_says[0] = None
        await eventually(lambda: stack.status("service").detail == "", within=10)


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


@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_is_obeyed_in_whatever_turn_of_the_loop_a_health_check_ends(tmp_path: Path, turns: int):
    stopping = asyncio.Event()
    supervisors: list[Supervisor] = []

    async def ready() -> None:
        if supervisors and supervisors[0].snapshot.phase is Phase.READY:
            supervisors[0].stop()
            stopping.set()
            for _ in range(turns):
                await asyncio.sleep(0)

    async with asyncio.timeout(patience(20)):
        async with running(tmp_path, program("one", SLEEP, ready=ready)) as stack:
            supervisors.append(stack.supervisor)
            await stopping.wait()
    assert stack.reports[-1].phase is Phase.STOPPED


async def test_stopping_does_not_wait_for_a_start(tmp_path: Path):
    async with running(tmp_path, program("slow", SLEEP, ready=never), program("b", SLEEP, "slow")) as stack:
        await eventually(lambda: stack.status("slow").detail == "not yet", within=10)
        begin = time.monotonic()
    assert time.monotonic() - begin < patience(5)
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


def again(status: ComponentStatus, earlier: int) -> bool:
    return status.state is State.READY and pid_of(status) != earlier


def ignores_sigterm(pid: int) -> bool:
    (mask,) = [line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigIgn" in line]
    return bool(int(mask, 16) & (1 << 14))


async def test_a_component_comes_while_the_others_run_and_goes_after_its_signal(tmp_path: Path):
    one, other = program("one", SLEEP), program("other", SLEEP, "one")
    async with running(tmp_path, one) as stack:
        await stack.until(Phase.READY)
        before = stack.status("one").process
        stack.supervisor.revise([one, other])
        await stack.supervisor.until_ready("other")
        assert stack.status("other").state is State.READY
        await stack.supervisor.remove("other")
        assert [status.name for status in stack.reports[-1].components] == ["one"]
        assert [report.phase for report in stack.reports[-3:]] == [Phase.READY] * 3
        assert stack.status("one").process == before


async def test_a_new_component_that_does_not_start_leaves_the_others_alone(tmp_path: Path):
    async def not_yet() -> str:
        return "not yet"

    one, broken = program("one", SLEEP), program("broken", "raise SystemExit('no disk')", ready=not_yet)
    async with running(tmp_path, one) as stack:
        await stack.until(Phase.READY)
        stack.supervisor.revise([one, broken])
        with pytest.raises(StartError, match="no disk"):
            await stack.supervisor.until_ready("broken")
        await stack.supervisor.remove("broken")
        assert stack.reports[-1].phase is Phase.READY
        assert stack.status("one").restarts == 0


async def test_what_others_need_can_go_once_they_need_it_no_more(tmp_path: Path):
    first, second = program("first", SLEEP), program("second", SLEEP)
    async with running(tmp_path, first, second, program("user", SLEEP, "first", "second")) as stack:
        await stack.until(Phase.READY)
        stack.supervisor.revise([first, program("user", SLEEP, "first")])
        await stack.supervisor.remove("second")
        process = stack.status("user").process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await eventually(lambda: stack.status("user").restarts == 1, within=20)
        await eventually(lambda: stack.status("user").state is State.READY, within=20)


async def test_a_component_is_started_anew_with_what_it_was_revised_to(tmp_path: Path):
    def told(value: str) -> Component:
        code = f"import os, pathlib; pathlib.Path({str(tmp_path / 'told')!r}).write_text(os.environ['TOLD']); {SLEEP}"
        return program("one", code, environment={**os.environ, "TOLD": value})

    async with running(tmp_path, told("before")) as stack:
        await eventually(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text() == "before")
        stack.supervisor.revise([told("after")])
        process = stack.status("one").process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await eventually(lambda: (tmp_path / "told").read_text() == "after", within=20)


async def test_nothing_new_is_begun_while_the_stack_is_being_stopped(tmp_path: Path):
    one = program("one", SLEEP)
    async with running(tmp_path, one) as stack:
        await stack.until(Phase.READY)
        stack.supervisor.stop()
        with pytest.raises(ValueError, match="being stopped"):
            stack.supervisor.revise([one, program("other", SLEEP)])

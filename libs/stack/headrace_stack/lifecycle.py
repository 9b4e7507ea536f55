"""`up` and `down`: start and stop of the supervisor, with progress on a terminal."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from headrace_stack import control, daemon, description, identity, last_run, parts, topology
from headrace_stack.adoption import Adopt, AwaitStop, CleanUp, Refuse, Replace, Start, decide, explain_taken
from headrace_stack.description import BLOCK
from headrace_stack.locks import exclusive
from headrace_stack.logfile import last_lines
from headrace_stack.ports import HOST, free_base_port
from headrace_stack.process import is_alive, kill_group
from headrace_stack.settings import StackSettings, not_loadable
from headrace_stack.snapshot import ComponentStatus, Phase, Snapshot, State
from headrace_stack.view import Progress, addresses, not_installed, ranges, simulators, summary

_POLL_S = 0.1
# The supervisor bounds each start, by what its processes do; this is for a supervisor that hangs.
_START_TIMEOUT_S = 3600.0
_STOP_TIMEOUT_S = 90.0
# A traceback in a JSON line is long; the file has it whole.
_LINE_LENGTH = 400


class StackError(Exception):
    """What was asked for cannot be done; the message says why and what to do."""


def up(settings: StackSettings, console: Console, only: Sequence[str] = ()) -> None:
    """Bring the stack up and return when every component is ready; return soon when it is up already.

    `only` names components to start, with what they need, instead of all.
    Raises StackError when a port is taken, another stack is in the way, or a component does not become ready.
    """
    settings.create_directories()
    identity.create(settings.identity)
    with exclusive(settings.run / "up.lock"):
        ours = _prepare(settings, console)
        pid = _start(settings, only) if ours else None
    try:
        seen = last_run.find(settings).seen
        with Progress(console, State.READY) as progress:
            if ours or not _is_settled(seen, None):
                seen = _follow(settings, progress, lambda seen: _is_settled(seen, pid), _START_TIMEOUT_S)
    except KeyboardInterrupt:
        if pid is not None:
            console.print("stopping what was started")
            down(settings, console)
        raise
    if seen is None or not _is_settled(seen, None) or seen.phase is not Phase.READY:
        raise StackError(_why(settings, seen))
    console.print(summary(seen) + ("" if ours else ", since an earlier `make up`"), highlight=False)
    console.print(addresses(settings.ports, console="console" in seen.parts), highlight=False)
    say_what_is_absent(settings, console, seen)
    if missing := not_loadable():
        console.print(missing, highlight=False)


def say_what_is_absent(settings: StackSettings, console: Console, seen: Snapshot) -> None:
    """Name the parts that do not run, and how each is added."""
    described = description.of(settings.checkout)
    if absent := parts.absent(described, seen.parts):
        console.print(not_installed(parts.of(settings.checkout), absent, seen.parts), highlight=False, markup=False)


def down(settings: StackSettings, console: Console) -> None:
    """Stop every component in order and return when no process of the stack is left. Data stay."""
    found = last_run.find(settings)
    if found.seen is None or not (found.supervisor_alive or found.leftovers):
        console.print("nothing runs")
        return
    if found.supervisor_alive:
        os.kill(found.seen.supervisor.pid, signal.SIGTERM)
        with Progress(console, State.STOPPED) as progress:
            _follow(settings, progress, lambda seen: seen is None or not is_alive(seen.supervisor), _STOP_TIMEOUT_S)
        kill_group(found.seen.supervisor)
    for process in last_run.find(settings).leftovers:
        kill_group(process)
    console.print("stopped; data stay in " + str(settings.home / "state"), highlight=False)


def change(settings: StackSettings, console: Console, request: Mapping[str, object]) -> None:
    """Have the supervisor change the components; show progress and return when it is done.

    Raises ControlError, and then nothing was changed.
    """
    answer = asyncio.run(_asked(settings, console, dict(request)))
    name, started, stopped = answer["component"], answer["started"], answer["stopped"]
    if not started and not stopped:
        console.print(f"{name} has {answer['after']} already: nothing was changed", highlight=False)
        return
    seen = last_run.find(settings).seen
    ports = {status.name: status.ports for status in seen.components} if seen else {}
    faults = simulators(seen) if seen else {}
    console.print(f"{name}: {answer['before']} -> {answer['after']}", highlight=False)
    for one in started:
        console.print(f"  started {one}, which listens on {ranges(ports.get(one, ()))}", highlight=False)
        if one in faults:
            console.print(f"  its simulator takes faults at {HOST}:{faults[one]}", highlight=False)
    for one in stopped:
        console.print(f"  stopped {one}", highlight=False)


async def _asked(settings: StackSettings, console: Console, request: dict[str, object]) -> dict[str, Any]:
    """Return the supervisor's answer. Show components that start or stop, not those that already run."""
    asking = asyncio.create_task(control.ask(settings.control_socket, request))
    begin, before = time.monotonic(), _states(settings)
    while True:
        is_done = asking.done()
        now = _states(settings)
        for name, state in now.items():
            if before.get(name) is not state:
                console.print(f"{time.monotonic() - begin:6.1f} s  {name} {state.lower()}", highlight=False)
        before = now
        if is_done:
            break
        await asyncio.wait([asking], timeout=_POLL_S)
    return asking.result()


def _states(settings: StackSettings) -> dict[str, State]:
    seen = last_run.find(settings).seen
    return {status.name: status.state for status in seen.components} if seen else {}


def _prepare(settings: StackSettings, console: Console) -> bool:
    """Make room for a stack. Return whether one is to be started; False means one runs already."""
    while True:
        wanted = (settings.ports.base, settings.replicas, settings.data_plane, settings.parts)
        match decide(last_run.find(settings), *wanted):
            case Adopt():
                return False
            case Refuse(reason=reason):
                raise StackError(reason)
            case AwaitStop():
                time.sleep(_POLL_S)
            case CleanUp(leftovers=leftovers):
                console.print(f"an earlier run died and left {len(leftovers)} processes: ending them")
                for process in leftovers:
                    kill_group(process)
                while any(is_alive(process) for process in leftovers):
                    time.sleep(_POLL_S)
            case Replace(running=running):
                console.print(f"{', '.join(running)} runs; stopping it, to start {', '.join(settings.parts)}")
                down(settings, console)
            case Start():
                return True


def _start(settings: StackSettings, only: Sequence[str]) -> int:
    if busy := last_run.taken_ports(topology.chosen(settings, only)):
        raise StackError(explain_taken(busy, settings.ports.base, _free_base(settings)))
    pid = daemon.start_detached(settings, only=only)
    try:
        # Until it publishes its state, no other process could find or stop it.
        while not daemon.has_ended(pid) and last_run.find(settings).seen is None:
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGTERM)
        while not daemon.has_ended(pid):
            time.sleep(_POLL_S)
        raise
    return pid


def _free_base(settings: StackSettings) -> int | None:
    try:
        return free_base_port(range(settings.ports.base + 1000, 60_000, 1000 + BLOCK))
    except OSError:
        return None


def _follow(
    settings: StackSettings, progress: Progress, until: Callable[[Snapshot | None], bool], timeout_s: float
) -> Snapshot | None:
    """Show the snapshots until one satisfies `until` or the time is up; return the last one."""
    begin = time.monotonic()
    while True:
        seen = last_run.find(settings).seen
        elapsed_s = time.monotonic() - begin
        if seen is not None:
            progress.show(seen, elapsed_s)
        if until(seen) or elapsed_s > timeout_s:
            return seen
        time.sleep(_POLL_S)


def _is_settled(seen: Snapshot | None, pid: int | None) -> bool:
    """Whether there is nothing more to wait for: all is ready, or the supervisor is gone."""
    if pid is not None and daemon.has_ended(pid):
        return True
    if seen is None:
        return False
    if not is_alive(seen.supervisor):
        return pid is None
    return seen.phase is Phase.READY and all(status.state is State.READY for status in seen.components)


def _why(settings: StackSettings, seen: Snapshot | None) -> str:
    """Say why the stack is not ready, with the end of the log of each component that is to blame."""
    if seen is None:
        said = ["the supervisor did not start", *last_lines(daemon.supervisor_log(settings), 20)]
    else:
        said = [seen.reason or summary(seen)]
        for status in seen.components:
            if status.state is State.FAILED or (not seen.reason and status.state is not State.READY):
                said += _last_words(settings.logs / f"{status.name}.log", status)
    return "\n".join(said)


def _last_words(log: Path, status: ComponentStatus) -> list[str]:
    """Return the end of a component's log: that of the start that failed, of no earlier one."""
    lines = status.last_words if status.state is State.FAILED else last_lines(log, 12)
    if not lines:
        return [f"{status.name} wrote nothing into {log}"]
    return [f"last lines of {log}:", *(f"  {line[:_LINE_LENGTH]}" for line in lines)]

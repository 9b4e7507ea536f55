"""Keeps a Triton running as a child of this process, or watches an external one."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.loops import delay_s

from headrace_runtime.backends import keep_group
from headrace_runtime.backends.backend import BackendLost

log = structlog.get_logger()

# Bounds a start that hangs: it takes one CPU second, which may take minutes on a busy machine.
_START_TIMEOUT_S = 300.0
_STOP_GRACE_S = 8.0
_POLL_S = 0.1
# A Triton that lived this long did not die of its start: the next one is started at once.
_STEADY_S = 30.0
_MAX_BACKOFF_S = 15.0

Ready = Callable[[], Awaitable[bool]]


class Watcher(Protocol):
    """Hears when the backend comes and goes. Neither may raise or wait."""

    def backend_up(self) -> None:
        """The backend takes calls, and holds no version yet."""
        ...

    def backend_down(self, reason: str) -> None:
        """The backend is gone, and with it all that it had loaded. May be called twice."""
        ...


class TritonProcess:
    """A supervised child. The command becomes tritonserver and takes its options; it dies with us.

    ready: asks the child; raises BackendLost while it does not listen.
    """

    def __init__(self, command: Sequence[str], ready: Ready) -> None:
        self._command = tuple(command)
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None

    @property
    def group(self) -> int | None:
        """Return the process group of Triton and all that it started, None while there is none."""
        return None if self._process is None else self._process.pid

    def restart(self, reason: str) -> None:
        """Kill Triton at once, because it is stuck; `run` starts it again."""
        if self._process is not None:
            log.error("triton killed", reason=reason, pid=self._process.pid)
            _kill_group(self._process.pid)

    def end_model(self, name: str) -> bool:
        """Kill what runs one model at once; return whether there is such a process. The Python backend has some."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")
                if os.getpgid(int(process.name)) == self.group and any(_names(part, name) for part in command[1:]):
                    found.append(int(process.name))
            except OSError:  # it ended meanwhile
                continue
        for pid in found:
            log.error("model process killed", model=name, pid=pid)
            _kill(pid)
        return bool(found)

    async def run(self, watcher: Watcher) -> NoReturn:
        """Start Triton, start it again whenever it ends, and end it when cancelled; tell the watcher."""
        failures = 0
        while True:
            started = time.monotonic()
            reason = await self._run_once(watcher)
            failures = 1 if time.monotonic() - started > _STEADY_S else failures + 1
            pause = delay_s(failures - 1, every_s=0.1, max_backoff_s=_MAX_BACKOFF_S, jitter=0.1, draw=random.random())
            log.error("triton ended", reason=reason, restart_in_s=round(pause, 2))
            await asyncio.sleep(pause)

    async def _run_once(self, watcher: Watcher) -> str:
        """Run one child to its end; return why it ended."""
        # It makes a group of itself: the terminal's Ctrl-C is for us, and its stubs can be ended with it.
        wrapper = (sys.executable, "-I", "-S", keep_group.__file__, str(os.getpid()))
        process = await asyncio.create_subprocess_exec(*wrapper, *self._command)
        self._process = process
        exited = asyncio.create_task(process.wait(), name="triton exit")
        try:
            if not await self._came_up(exited):
                return "did not come up in time" if not exited.done() else f"exit code {exited.result()} at the start"
            log.info("triton up", pid=process.pid)
            watcher.backend_up()
            # Not awaited itself, which would cancel it with us: it is still needed for the stop.
            await asyncio.wait({exited})
            return f"exit code {exited.result()}"
        finally:
            self._process = None
            watcher.backend_down("Triton is not running")
            await _end(process, exited)

    async def _came_up(self, exited: asyncio.Task[int]) -> bool:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not exited.done() and time.monotonic() < deadline:
            try:
                if await self._ready():
                    return True
            except BackendLost:
                pass
            await asyncio.wait({exited}, timeout=_POLL_S)
        return False


async def watch_neighbour(
    ready: Ready, holds_all: Ready, watcher: Watcher, clock: Clock, *, name: str = "Triton"
) -> NoReturn:
    """Tell when a server that others run comes and goes; one that lost its versions was away between two looks."""
    up = False
    while True:
        try:
            now_up = await ready()
            # Asked of one that comes back too: what it lost must not be missed later, when it is there again.
            restarted = now_up and not await holds_all() and up
        except BackendLost:
            now_up = restarted = False
        if up and (restarted or not now_up):
            watcher.backend_down(f"{name} restarted" if restarted else f"{name} does not answer")
        if now_up and (restarted or not up):
            watcher.backend_up()
        up = now_up
        await clock.sleep(1.0)


async def _end(process: asyncio.subprocess.Process, exited: asyncio.Task[int]) -> None:
    """Stop a child and all that it started: asked first, then killed."""
    if not exited.done():
        process.send_signal(signal.SIGTERM)
        await asyncio.wait({exited}, timeout=_STOP_GRACE_S)
    _kill_group(process.pid)
    await exited


def _names(argument: bytes, model: str) -> bool:
    """Return whether an argument is a path into the folder of a model."""
    return f"/{model}/".encode() in argument


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended meanwhile


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it is gone with its last process

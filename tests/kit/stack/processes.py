"""The processes of a running stack, to be killed, stopped, frozen and thawed one part at a time.

A part is a component of the stack, or a process inside one: `triton` (of the first batcher), `envoy`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator

import psutil
from headrace_servicekit.testing import eventually
from headrace_stack.process import is_alive
from headrace_stack.snapshot import ProcessId, State

from tests.kit.stack.running import RunningStack

# Parts that live inside a component, by the word that their command line holds.
_INSIDE = {"triton": ("batcher-default", "tritonserver"), "envoy": ("front-door", "/envoy")}
# A batcher and its Triton are frozen apart, everything else with what it has started.
_ALONE = ("batcher-default",)


def component_of(part: str) -> str:
    """Return the component that a part belongs to."""
    return _INSIDE[part][0] if part in _INSIDE else part


def process_of(stack: RunningStack, part: str) -> psutil.Process:
    """Return the process of a part. AssertionError when it does not run."""
    recorded = stack.status(component_of(part)).process
    assert recorded is not None, f"{part} does not run"
    assert is_alive(recorded), f"{part} has ended"
    try:
        process = psutil.Process(recorded.pid)
    except psutil.NoSuchProcess:
        raise AssertionError(f"{part} has just ended") from None
    if part not in _INSIDE:
        return process
    found = [child for child in process.children(recursive=True) if _INSIDE[part][1] in _program(child)]
    assert found, f"no {part} runs below {process}"
    return found[0]


def identity_of(stack: RunningStack, part: str) -> ProcessId:
    """Return which process a part is now, to tell it from the next one."""
    process = process_of(stack, part)
    return ProcessId(process.pid, process.create_time())


def kill(stack: RunningStack, part: str) -> ProcessId:
    """End a part with SIGKILL and everything that belongs to it; return which process it was."""
    was = identity_of(stack, part)
    for process in _tree(stack, part):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return was


def terminate(stack: RunningStack, part: str) -> ProcessId:
    """Ask a part to stop, as a rolling restart does; return which process it was."""
    was = identity_of(stack, part)
    psutil.Process(was.pid).send_signal(signal.SIGTERM)
    return was


async def back(stack: RunningStack, part: str, was: ProcessId, *, within: float = 60.0) -> float:
    """Return how many seconds it takes from now until another process is the part and its component is ready."""
    began = time.monotonic()

    def is_back() -> bool:
        return identity_of(stack, part) != was and stack.status(component_of(part)).state is State.READY

    await eventually(is_back, within=within, every=0.05)
    return time.monotonic() - began


@contextlib.contextmanager
def frozen(stack: RunningStack, *parts: str) -> Iterator[None]:
    """Stop parts with SIGSTOP, whatever they are doing, and let them go on when the block ends."""
    processes = [process for part in parts for process in _tree(stack, part)]
    try:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):  # one of PostgreSQL's that has just ended
                process.suspend()
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


@contextlib.asynccontextmanager
async def gone(stack: RunningStack, *parts: str) -> AsyncIterator[None]:
    """Keep parts away until the block ends: they are killed, and so is whatever is started in their place."""

    async def keep_away(part: str) -> None:
        while True:
            with contextlib.suppress(AssertionError, psutil.NoSuchProcess):  # it has not been started again yet
                kill(stack, part)
            await asyncio.sleep(0.02)

    keeping = [asyncio.create_task(keep_away(part)) for part in parts]
    try:
        yield
        assert not any(task.done() for task in keeping), keeping
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.wait(keeping)


def _tree(stack: RunningStack, part: str) -> list[psutil.Process]:
    process = process_of(stack, part)
    alone = component_of(part) == part and part.startswith(_ALONE)
    return [process, *([] if alone else process.children(recursive=True))]


def _program(process: psutil.Process) -> str:
    try:
        return process.exe() or (process.cmdline() or [""])[0]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""

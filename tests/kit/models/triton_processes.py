"""The processes of Tritons and of their models, found by the model folder that their commands name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

SERVER, STUB = b"/tritonserver", b"triton_python_backend_stub"


def triton_pids(models: Path, program: bytes = b"") -> list[int]:
    """Return the processes whose command names something in this folder, and that program: Triton and its stubs."""
    folder = str(models).encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if folder in command and program in command:
            found.append(int(process.name))
    return found


@contextlib.asynccontextmanager
async def dying_whole(*folders: Path, model: str = "") -> AsyncIterator[list[int]]:
    """Let Triton die with any of its models, as it does where models run in its own process.

    folders: of the models of each Triton. model: the beginning of the folder of the only one that takes Triton with it.
    Yields the Tritons that ended so.
    """
    ended: list[int] = []

    async def kill_with_stubs(models: Path) -> None:
        seen: set[int] = set()
        while True:
            stubs = set(triton_pids(models / model, STUB))
            if seen - stubs:
                for pid in triton_pids(models, SERVER):
                    os.kill(pid, signal.SIGKILL)
                    ended.append(pid)
            seen = stubs
            await asyncio.sleep(0.02)

    killing = [asyncio.create_task(kill_with_stubs(models)) for models in folders]
    try:
        yield ended
        assert not any(task.done() for task in killing), killing
    finally:
        for task in killing:
            task.cancel()

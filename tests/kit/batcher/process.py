"""A batcher as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headrace_batcher.settings import BatcherSettings
from headrace_servicekit.settings import variable
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import BatcherRig


@asynccontextmanager
async def process_of(rig: BatcherRig, log: Path, **changes) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m headrace_batcher` with the rig's settings; it is killed if the test left it running."""
    chosen = {**rig.settings, **changes}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BATCHER_")},
        **{variable(BatcherSettings, field): str(value) for field, value in chosen.items()},
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "headrace_batcher", env=environment, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def processes_of(rig: BatcherRig, program: str = "") -> list[int]:
    """Return the processes whose command names the rig's state directory, and that program."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if str(rig.settings["state_dir"]) in command and program in command:
            found.append(int(process.name))
    return found


async def until_listening(port: int) -> None:
    """Return when a port of this machine takes connections."""

    async def listening() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(listening, within=30)

"""The toy service as a process of its own, with the log lines that it writes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from headrace_servicekit.testing import eventually

ROOT = Path(__file__).resolve().parents[3]


class ToyProcess:
    """A toy process and the log lines that it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.text.append(line.decode())

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines written so far."""
        return [json.loads(line) for line in self.text if line.startswith("{")]

    def events(self) -> list[str]:
        """Return the events of the lines written so far, in order."""
        return [line["event"] for line in self.lines()]

    async def line(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait for a line with this event and these fields, and return it."""

        def found() -> dict[str, Any] | None:
            matching = [line for line in self.lines() if line["event"] == event and fields.items() <= line.items()]
            return matching[0] if matching else None

        line = await eventually(found, within=30)
        assert line is not None
        return line

    async def exit_code(self) -> int:
        """Wait for the end."""
        code = await asyncio.wait_for(self.process.wait(), 30)
        await self._reading
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def end(self) -> None:
        """Kill it if it still runs."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await self._reading


@asynccontextmanager
async def toy_process(**settings: object) -> AsyncIterator[ToyProcess]:
    """Start the toy with settings, e.g. `toy_process(call_s=1)`; it is killed at the end if it still runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOY_")}
    environment |= {f"TOY_{name.upper()}": str(value) for name, value in settings.items()}
    environment |= {"PYTHONPATH": str(ROOT)}
    process = ToyProcess(
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.kit.servicekit.toy_main",
            cwd=ROOT,
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
    )
    try:
        yield process
    finally:
        await process.end()

"""A Valkey that a test starts, kills, freezes and starts again empty.

async with ValkeyProcess.running() as valkey:
    ... use valkey.url ...
    valkey.freeze()
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator
from typing import Any, Self

import redis.asyncio
from headrace_servicekit.testing import eventually, free_port
from headrace_stack.components import valkey


class ValkeyProcess:
    """One server on a port of its own; without a disk, so that it comes back empty. options: such as requirepass."""

    def __init__(self, folder: str, options: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder, self._options = folder, options
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, **options: str) -> AsyncIterator[Self]:
        """Run one until the block ends, in whatever state it is then."""
        with tempfile.TemporaryDirectory() as folder:
            process = cls(folder, options)
            await process.start()
            try:
                yield process
            finally:
                await process.kill()

    async def start(self) -> None:
        """Start it, again after `kill`, and return when it accepts connections."""
        settings = {"port": str(self.port), "bind": "127.0.0.1", "dir": self._folder, "save": "", **self._options}
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._process = await asyncio.create_subprocess_exec(
            str(valkey.binary()), *arguments, stdout=asyncio.subprocess.DEVNULL
        )
        await eventually(self._accepts, within=20)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it where it stands: it accepts connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        """Connect to it, as somebody else."""
        found = redis.asyncio.Redis(host="127.0.0.1", port=self.port, password=self._options.get("requirepass"))
        try:
            yield found
        finally:
            await found.aclose()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

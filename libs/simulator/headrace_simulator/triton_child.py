"""A Triton that the simulator starts, and that ends with it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence

import structlog

log = structlog.get_logger()

# Less than a batcher gives us.
_STOP_GRACE_S = 6.0


class TritonChild:
    """The process of a command that becomes tritonserver. It stays in our process group, and is ended with it."""

    def __init__(self, process: asyncio.subprocess.Process, target: str) -> None:
        self._process, self.target = process, target

    @classmethod
    async def start(cls, command: Sequence[str], host: str, port: int) -> TritonChild:
        """Start it beside an address that is ours: at the next socket, or a free port. Raises OSError."""
        host, port = (host, port + 1) if host.startswith("unix:") else ("127.0.0.1", _free_port())
        options = f"--grpc-address={host}", f"--grpc-port={port}"
        process = await asyncio.create_subprocess_exec(*command, *options)
        target = f"{host}:{port}"
        log.info("triton started", pid=process.pid, target=target)
        return cls(process, target)

    async def ended(self) -> int:
        """Return the exit code when it ends, as a shell tells it."""
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    async def stop(self) -> None:
        """End it: asked first, then killed."""
        if self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_GRACE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _free_port() -> int:
    """Return a free port. If another process takes it before Triton does, Triton and the simulator exit."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

"""A Ray cluster beside everything else, as `ray start` makes it: a head and machines, all of them on loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import psutil
from headrace_servicekit.testing import eventually, free_port

_RAY = Path(sys.executable).with_name("ray")
# As a scorer's own Ray; nobody is told of anything, and rows do not go through its memory.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_MEMORY_MONITOR": "1", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_MEMORY = str(80 << 20)


class RayCluster:
    """A cluster. nodes: the process of each machine, the head first."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.nodes: list[asyncio.subprocess.Process] = []

    @property
    def address(self) -> str:
        """Where its head is."""
        return f"127.0.0.1:{self._port}"

    async def head(self, cpus: int) -> None:
        """Start the head, with so many processors."""
        how = ("--head", f"--port={self._port}", "--include-dashboard=false", f"--temp-dir={self._folder}")
        await self._start(cpus, *how)

    async def machine(self, cpus: int) -> asyncio.subprocess.Process:
        """Add a machine, with so many processors."""
        return await self._start(cpus, f"--address={self.address}")

    def kill(self, node: asyncio.subprocess.Process) -> None:
        """End a machine with everything that runs on it."""
        with suppress(psutil.NoSuchProcess):
            tree = [*psutil.Process(node.pid).children(recursive=True), psutil.Process(node.pid)]
            for process in tree:
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    async def _start(self, cpus: int, *how: str) -> asyncio.subprocess.Process:
        command = (str(_RAY), "start", "--block", "--node-ip-address=127.0.0.1", f"--num-cpus={cpus}")
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **_QUIET}
        with (self._folder / f"node-{len(self.nodes)}.log").open("wb") as log:
            node = await asyncio.create_subprocess_exec(
                *command, f"--object-store-memory={_MEMORY}", *how, env=environment, stdout=log, stderr=log
            )
        self.nodes.append(node)

        def up() -> bool:
            assert node.returncode is None, Path(log.name).read_text()
            return "Ray runtime started" in Path(log.name).read_text()

        await eventually(up, within=90, every=0.2)
        return node

    async def end(self) -> None:
        """End every machine, the head last."""
        for node in reversed(self.nodes):
            if node.returncode is None:
                self.kill(node)
            await node.wait()


@asynccontextmanager
async def ray_cluster() -> AsyncIterator[RayCluster]:
    """Yield a cluster without machines; they end with the block."""
    # Short, for the paths of its sockets are limited.
    folder = Path(mkdtemp(prefix="hr-ray-", dir="/tmp"))
    cluster = RayCluster(folder)
    try:
        yield cluster
    finally:
        await cluster.end()
        shutil.rmtree(folder, ignore_errors=True)

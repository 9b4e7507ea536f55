"""A Ray cluster beside everything else, as `ray start` makes it: a head and machines, all of them on loopback."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import psutil
from headrace_servicekit.testing import eventually, free_port

_RAY = Path(sys.executable).with_name("ray")
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_MEMORY_MONITOR": "1"}
_MEMORY = str(80 << 20)


class RayCluster:
    """A cluster. nodes: the process of each machine, the head first. access: what its clients have to be told."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        # A cluster listens on every interface.
        self.access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.nodes: list[asyncio.subprocess.Process] = []

    @property
    def address(self) -> str:
        """Where its head is."""
        return f"127.0.0.1:{self._port}"

    async def head(self, cpus: int) -> None:
        """Start the head, with so many processors."""
        ports = (f"--port={self._port}", f"--ray-client-server-port={free_port()}")
        how = ("--head", *ports, "--include-dashboard=false", f"--temp-dir={self._folder}")
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
        # Those of workers are chosen freely: the range that Ray has for them may have what others were given.
        ports = ("--min-worker-port=0", "--max-worker-port=0", f"--dashboard-agent-listen-port={free_port()}")
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **_QUIET, **self.access}
        with (self._folder / f"node-{len(self.nodes)}.log").open("wb") as log:
            node = await asyncio.create_subprocess_exec(
                *command, *ports, f"--object-store-memory={_MEMORY}", *how, env=environment, stdout=log, stderr=log
            )
        self.nodes.append(node)

        def up() -> bool:
            told = Path(log.name).read_text()
            if node.returncode is not None:
                raise RuntimeError(told)
            return "Ray runtime started" in told

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

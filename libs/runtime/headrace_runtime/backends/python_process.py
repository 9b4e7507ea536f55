"""One process that runs the code of a Python version (`sandbox/worker.py`), and how it is talked to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from headrace_runtime import sandbox

_LENGTHS = struct.Struct("<IQ")
MAX_HEADER_BYTES = 1024 * 1024
MAX_ANSWER_BYTES = 256 * 1024 * 1024
# Users of versions: beyond those of systemd and of containers, below where the kernel has no more.
FIRST_USER, USERS = 1_900_000_000, 100_000_000
CONFINEMENTS = ("no network", "own root", "own user", "own files only")
"""What a process gives up where the kernel allows it (`sandbox/confinement.py`)."""
END_S = 10.0
"""How long a process that was killed may take to end: it may be giving back gigabytes."""
_LOOK_EVERY_S = 0.005
_WORKER = Path(sandbox.__file__).with_name("worker.py")


class WorkerEnded(Exception):
    """The process is gone, or said what none of ours says; the message says which."""


@dataclass(frozen=True, slots=True)
class CodeLimits:
    """What the process of a version may use: memory beyond that of an empty one, seconds of a processor to load."""

    memory_bytes: int = 1024**3
    load_cpu_s: float = 30.0


class Worker:
    """A process and the socket to it. One execution at a time."""

    def __init__(self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._process, self._reader, self._writer = process, reader, writer

    @classmethod
    async def start(
        cls, folder: Path, path: Sequence[Path], arguments: Mapping[str, str], limits: CodeLimits
    ) -> Worker:
        """Start a process in which `ready` is the first thing to ask. path: folders to import from.

        Raises OSError. Started by this thread, as the process ends with the one that starts it.
        """
        ours, theirs = socket.socketpair()
        imported = [*map(str, path), str(_numpy_alone(folder))]
        try:
            settings = {
                "socket": theirs.fileno(),
                "folder": str(folder),
                "path": imported,
                "readable": [str(folder), *imported, *_readable()],
                "root": str(_empty(folder.with_name("root"))),
                "user": user_of(folder.parent.name),
                "memory_bytes": limits.memory_bytes,
                "load_cpu_s": limits.load_cpu_s,
                "arguments": dict(arguments),
            }
            process = subprocess.Popen(  # noqa: ASYNC220 - a millisecond, and in no other thread
                (sys.executable, "-I", "-S", "-B", str(_WORKER), json.dumps(settings)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"},
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer)

    async def ready(self) -> Mapping[str, Any]:
        """Return what it says when it has loaded its code, {"ready": …} or {"failed": "why"}. Raises WorkerEnded."""
        header, _ = await self.receive()
        return header

    async def ask(self, header: Mapping[str, Any], parts: Sequence[bytes]) -> tuple[Mapping[str, Any], bytes]:
        """Have it answer one request. Raises WorkerEnded."""
        await self.send(header, parts)
        return await self.receive()

    async def send(self, header: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
        """Send a message: a request, or the cancellation of a streamed one. Raises WorkerEnded."""
        encoded = json.dumps(header).encode()
        self._writer.write(_LENGTHS.pack(len(encoded), sum(map(len, parts))))
        self._writer.write(encoded)
        self._writer.writelines(parts)
        try:
            await self._writer.drain()
        except ConnectionError:
            raise WorkerEnded(await self._why()) from None

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether it is there."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it at once: by its number, which is its own until we have seen its end. It can start no other."""
        with contextlib.suppress(PermissionError):  # it is then seen to stay
            self._process.kill()
        self._writer.close()

    async def gone(self) -> bool:
        """Return whether it is gone, which takes a killed process moments; False when it is there after END_S."""
        give_up = time.monotonic() + END_S
        while self.running:
            if time.monotonic() > give_up:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

    async def receive(self) -> tuple[Mapping[str, Any], bytes]:
        """Return its next message; what is not received yet it waits to send. Raises WorkerEnded."""
        try:
            header_bytes, body_bytes = _LENGTHS.unpack(await self._reader.readexactly(_LENGTHS.size))
            if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_ANSWER_BYTES:
                raise WorkerEnded(f"its answer has {header_bytes + body_bytes} bytes")
            header = json.loads(await self._reader.readexactly(header_bytes))
            body = await self._reader.readexactly(body_bytes)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerEnded(await self._why()) from None
        except (ValueError, RecursionError):
            raise WorkerEnded("its answer is not what was asked") from None
        if not isinstance(header, dict):
            raise WorkerEnded("its answer is not what was asked")
        return header, body

    async def _why(self) -> str:
        """Return how it ended; it closed its socket, so what is left of it is killed."""
        self.kill()
        if not await self.gone():
            return "it is silent, and does not end"
        code = self._process.returncode
        if code == -signal.SIGXCPU:
            return "it took more of a processor to load than it may"
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _numpy_alone(folder: Path) -> Path:
    """Return a folder from which numpy can be imported and nothing else of ours: for versions that do not name it."""
    alone = folder.with_name("numpy-alone")
    alone.mkdir(exist_ok=True)
    for name in ("numpy", "numpy.libs"):
        place = Path(numpy.__file__).parents[1] / name
        with contextlib.suppress(FileExistsError):
            if place.exists():
                (alone / name).symlink_to(place)
    return alone


def _readable() -> list[str]:
    """Return what an interpreter reads: its library, the system's, and facts of the machine."""
    numpy_root = Path(numpy.__file__).parents[1]
    paths = sysconfig.get_paths()
    found = (
        *(paths["stdlib"], paths["platstdlib"], sysconfig.get_config_var("LIBDIR") or "/usr/lib"),
        *(sysconfig.get_config_var("DESTSHARED") or paths["stdlib"], numpy_root / "numpy", numpy_root / "numpy.libs"),
        *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo"),
        *("/dev/null", "/dev/zero", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"),
    )
    return sorted({str(Path(one)) for one in found if Path(one).exists()})


def _empty(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def user_of(name: str) -> int:
    """Return the user who runs a version, and nothing else, where this process may choose one."""
    return FIRST_USER + int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % USERS

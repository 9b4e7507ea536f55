"""Freeze in a child process with limits: a file that crashes or hangs its reader costs one reference."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import structlog
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import Unavailable

from headrace_monitor.judge.references.columns import MonitoredColumn

log = structlog.get_logger()

# Address space: libraries take up to 1 GiB of it.
MEMORY_BYTES = 3 * 1024**3
# Limit beyond the libraries' memory: the widest column, 16 million numbers, took 500 MB with its copies. It fits into a
# container of 2 GiB together with the service.
DATA_BYTES = 1024**3
MAX_ANSWER_BYTES = 64 * 1024**2
_PROGRAM = "headrace_monitor.judge.references.reference_files"


class FreezingProcess:
    """Freezes files. timeout_s: longest time that one may take."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    async def __call__(
        self, file: Path, columns: Sequence[MonitoredColumn], contract: tensor_pb2.ServingContract
    ) -> bytes | str:
        """Return what was frozen as the program prints it, or why nothing was. Raises Unavailable."""
        listed = json.dumps([asdict(column) for column in columns], allow_nan=False)
        encoded = base64.b64encode(contract.SerializeToString()).decode()
        request = json.dumps({"columns": listed, "contract": encoded}).encode()
        arguments = ("-m", _PROGRAM, str(file), str(MEMORY_BYTES), str(DATA_BYTES), str(int(self._timeout_s) + 1))
        return await self._run(arguments, request)

    async def _run(self, arguments: Sequence[str], request: bytes) -> bytes | str:
        try:
            process = _start(arguments)
        except OSError as error:
            raise Unavailable(
                "references cannot be frozen now", reason="FREEZING_UNAVAILABLE", retry_after_s=1.0
            ) from error
        output = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.to_thread(_talk, process, request, output)
                code = await asyncio.to_thread(process.wait)
        except TimeoutError:
            return f"{_at(output)} could not be read within {self._timeout_s:g} s: write fewer rows, or fewer columns"
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)
            assert process.stdout is not None
            process.stdout.close()
        if len(output) > MAX_ANSWER_BYTES:
            return "the reference is too large to be stored: judge fewer columns, or narrower embeddings"
        answer = bytes(output[output.rfind(b"\n") + 1 :])
        if code != 0 or not answer:
            log.warning("freezing died", code=code)
            return f"{_at(output)} cannot be read as Parquet: its reader stopped"
        return answer


def _at(output: bytearray) -> str:
    """Return what the program was reading when it ended: it prints each column on a line before it reads it."""
    lines = output.splitlines()
    return f"column {json.loads(lines[-1])!r}" if lines and output.endswith(b"\n") else "the file"


def _talk(process: subprocess.Popen[bytes], request: bytes, output: bytearray) -> None:
    """Send the request to the program and collect its output, also if the caller waits no longer."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(request)
        process.stdin.close()
    except OSError:
        pass  # it has ended; its code says how
    while len(output) <= MAX_ANSWER_BYTES and (part := os.read(process.stdout.fileno(), 1 << 20)):
        output += part


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the program. Not by the event loop: uvloop forks, and gRPC's fork handlers may crash the child."""
    return subprocess.Popen(
        (sys.executable, "-I", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # No secrets of ours, and one thread: each takes address space, which is limited.
        env={
            "PATH": os.defpath,
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
        },
    )

"""The side of a process that wants model files of the process that fetches them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

import structlog

from headrace_runtime.artifacts.cache import ArtifactError
from headrace_runtime.artifacts.place import LINE_BYTES, Place, read_credentials

log = structlog.get_logger()

_FETCHER = "headrace_runtime.artifacts.fetcher"
_STOP_GRACE_S = 2.0


class Fetcher:
    """Artifacts that a process of its own fetches, which is started again when it ends.

    Fetching takes the interpreter for milliseconds at a time: no work for a process that answers callers. spare_s: what
    hashing a file that is there may take beside a download's own limit, and all of tidying; it is killed after that.
    """

    def __init__(self, place: Place, *, spare_s: float = 60.0) -> None:
        self._place = place
        self._spare_s = spare_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._place.credentials is not None:
            read_credentials(Path(self._place.credentials))  # what is wrong with it is said now, not at the first file
        await self._started()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        process, self._process = self._process, None
        if process is None or self._listening is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait({self._listening}, timeout=_STOP_GRACE_S)
        _kill(process)
        await self._listening

    async def fetch(self, sha256: str, *, gently: bool = False) -> Path:
        await self._ask({"fetch": sha256, "gently": gently}, self._place.fetch_timeout_s + self._spare_s)
        return Path(self._place.root) / sha256

    async def tidy(self, wanted: Collection[str]) -> None:
        await self._ask({"tidy": list(wanted)}, self._spare_s)

    async def _ask(self, order: dict[str, Any], timeout_s: float) -> None:
        """Have something done. Raises ArtifactError. A process that does not answer in time is killed."""
        process = await self._started()
        number = next(self._numbers)
        done = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await _send(process, {"id": number, **order})
            async with asyncio.timeout(timeout_s):
                error = await done
        except TimeoutError:
            _kill(process)
            raise ArtifactError(f"the process that fetches files did not answer within {timeout_s:g} s") from None
        except asyncio.CancelledError:
            with contextlib.suppress(ArtifactError):
                await _send(process, {"id": number, "cancel": True})
            raise
        finally:
            self._waiting.pop(number, None)
        if error:
            raise ArtifactError(error)

    async def _started(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None:
                try:
                    process = await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", _FETCHER, self._place.to_json()),
                        stdin=asyncio.subprocess.PIPE,
                        stdout=asyncio.subprocess.PIPE,
                        limit=LINE_BYTES,
                    )
                except OSError as error:
                    raise ArtifactError(f"no process to fetch files could be started: {error.strerror}") from None
                self._process = process
                self._listening = asyncio.create_task(self._listen(process), name="fetched files")
            return self._process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Take answers until the process ends; what it had not done has failed then."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            answer = json.loads(line)
            done = self._waiting.get(answer["id"])
            if done is not None and not done.done():
                done.set_result(answer.get("error", ""))
        code = await process.wait()
        if self._process is process:
            self._process = None
            log.error("process that fetches files ended", code=code)
        for done in self._waiting.values():
            if not done.done():
                done.set_result(f"the process that fetches files ended (exit code {code})")


async def _send(process: asyncio.subprocess.Process, order: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        await process.stdin.drain()
    except (ConnectionError, RuntimeError):  # of asyncio's loop, and of uvloop's
        raise ArtifactError("the process that fetches files ended") from None


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()

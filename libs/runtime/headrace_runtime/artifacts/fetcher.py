"""The process that fetches, hashes and removes the model files of another one, and steps back for its callers.

    python -m headrace_runtime.artifacts.fetcher '{"root": …}'

The argument is a `Place` as JSON. Each line of its input is something to do, as `Fetcher` (process.py) writes it; each
line of its output says how that ended. It ends with its input: with the process that started it, however that dies.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from headrace_runtime.artifacts.cache import ArtifactError, Artifacts, BlobCache, Blobs
from headrace_runtime.artifacts.place import LINE_BYTES, Place
from headrace_runtime.thread_priority import give_way


class Worker:
    """Runs downloads, several at once."""

    def __init__(self, artifacts: Artifacts, answer: Callable[[dict[str, Any]], None]) -> None:
        self._artifacts = artifacts
        self._answer = answer
        self._running: dict[int, asyncio.Task[None]] = {}

    async def run(self, commands: asyncio.StreamReader) -> None:
        """Run commands until their stream ends, then cancel unfinished ones."""
        async with asyncio.TaskGroup() as tasks:
            while line := await commands.readline():
                order = json.loads(line)
                number = order["id"]
                if "cancel" in order:
                    if number in self._running:
                        self._running[number].cancel()
                    continue
                task = self._running[number] = tasks.create_task(self._do(number, order))
                task.add_done_callback(lambda _task, number=number: self._running.pop(number, None))
            for task in self._running.values():
                task.cancel()

    async def _do(self, number: int, order: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": number}
        try:
            if "fetch" in order:
                await self._artifacts.fetch(order["fetch"], gently=order["gently"])
            else:
                await self._artifacts.tidy(order["tidy"])
        except ArtifactError as error:
            answer["error"] = str(error)
        self._answer(answer)


class LateBlobs:
    """The bucket, opened for the first file that is read from it.

    Its client takes tenths of a second of a core to import and to make. A start needs none when every file is here.
    """

    def __init__(self, place: Place, resources: AsyncExitStack) -> None:
        self._place, self._resources = place, resources
        self._opening = asyncio.Lock()
        self._blobs: Blobs | None = None

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        async with self._opening:
            blobs = self._blobs = self._blobs or await self._opened()
        async for chunk in blobs.read(sha256):
            yield chunk

    async def _opened(self) -> Blobs:
        from headrace_runtime.artifacts.s3 import s3_blobs

        place = self._place
        credentials = None if place.credentials is None else Path(place.credentials)
        return await self._resources.enter_async_context(
            s3_blobs(place.endpoint, place.bucket, place.region, credentials)
        )


async def main(place: Place) -> None:
    commands = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with AsyncExitStack() as resources:
        blobs = LateBlobs(place, resources)
        cache = BlobCache(Path(place.root), blobs, max_bytes=place.max_bytes, fetch_timeout_s=place.fetch_timeout_s)
        await Worker(cache, _answer).run(commands)


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    give_way()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the process that started this one
    asyncio.run(main(Place(**json.loads(sys.argv[1]))))

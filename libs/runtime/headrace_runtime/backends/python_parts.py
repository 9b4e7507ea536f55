"""The answers of a process to one request of a version that answers in parts, taken one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from headrace_runtime.backends.python_process import Worker


class WorkerParts:
    """The streamed answers of a process. over: whether the last answer was taken.

    Answers are received on demand; beyond the socket's buffers, the code blocks when it sends.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker, self.over = worker, False
        self._receiving: asyncio.Task[tuple[Mapping[str, Any], bytes]] | None = None

    async def next(self) -> tuple[Mapping[str, Any], bytes] | None:
        """Return the next answer, None when there is no other. Raises WorkerEnded."""
        if self.over:
            return None
        if self._receiving is None:
            self._receiving = asyncio.create_task(self.worker.receive(), name="part of an answer")
        # Read a message to its end even if the caller leaves: the next one follows it on the socket.
        header, body = await asyncio.shield(self._receiving)
        self._receiving = None
        self.over = not header.get("more")
        return (header, body) if "outputs" in header or "error" in header else None

    async def withdraw(self) -> None:
        """Have the code end; return when it did. Raises WorkerEnded."""
        await self.worker.send({"cancel": True})
        while not self.over:
            await self.next()

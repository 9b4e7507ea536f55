"""Responses to a work that is answered in parts, from the batcher to whoever takes them: as many as it was let send."""

from __future__ import annotations

import asyncio
import copy
from collections import deque

from headrace.batcher.v1 import batcher_pb2

# Responses that a batcher may send before any was taken; it bounds their bytes itself, and sends one whatever its size.
AT_ONCE = 16


class PartBuffer:
    """The responses that came and were not taken yet. came: how many came so far.

    answer: of the work, settled with the last response, or with an error.
    """

    __slots__ = ("_answer", "_arrived", "_waiting", "came")

    def __init__(self, answer: asyncio.Future[batcher_pb2.InferResponse]) -> None:
        self.came = 0
        self._arrived: deque[batcher_pb2.InferResponse] = deque()
        self._answer = answer
        self._waiting: asyncio.Future[None] | None = None
        answer.add_done_callback(self._wake)

    @property
    def is_full(self) -> bool:
        """Return whether the batcher has sent as many as it was let."""
        return len(self._arrived) >= AT_ONCE

    def put(self, response: batcher_pb2.InferResponse) -> None:
        """Add a response that came."""
        self.came += 1
        self._arrived.append(response)
        self._wake(None)

    async def take(self) -> batcher_pb2.InferResponse:
        """Return the next response; the one that has no `more` is the last. Raises ServiceError."""
        while not self._arrived:
            if self._answer.done():
                error = self._answer.exception()
                if error is None:
                    return self._answer.result()
                # Not the future's own: its traceback would hold this frame, which holds the future and so the error.
                raise copy.copy(error)
            self._waiting = self._answer.get_loop().create_future()
            await self._waiting
        return self._arrived.popleft()

    def _wake(self, _answer: object) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

"""BatcherService: one Exchange per stream."""

from __future__ import annotations

from headrace.batcher.v1 import batcher_pb2_grpc

from headrace_batcher.batching.bell import Bell
from headrace_batcher.frames import Exchange
from headrace_batcher.roster import Roster


class BatcherServicer(batcher_pb2_grpc.BatcherServiceServicer):
    """Serves streams of frames. `process` is the id of this process."""

    def __init__(self, roster: Roster, process: str, *, max_answer_bytes: int) -> None:
        self._roster = roster
        self._process = process
        self._max_answer_bytes = max_answer_bytes
        self._exchanges: set[Exchange] = set()
        self._finishing = False
        self._one_ended = Bell()

    async def Exchange(self, request_iterator, context):
        exchange = Exchange(self._roster, self._process, max_answer_bytes=self._max_answer_bytes)
        if self._finishing:
            exchange.finish()
        self._exchanges.add(exchange)
        try:
            await exchange.serve(request_iterator, context.write)
        finally:
            self._exchanges.discard(exchange)
            self._one_ended.ring()

    async def finish(self) -> None:
        """Answer what is open on every stream, refuse what still comes, and return when the streams have ended."""
        self._finishing = True
        for exchange in self._exchanges:
            exchange.finish()
        while self._exchanges:
            await self._one_ended.wait()

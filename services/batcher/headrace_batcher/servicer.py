"""BatcherService: one Exchange per stream. Frames come and go as bytes, because their checksum is that of the bytes."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import grpc
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.checksums import FrameReader, Garbled, encode
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Unavailable

from headrace_batcher.frames import Exchange
from headrace_batcher.roster import Roster

SERVICE = "headrace.batcher.v1.BatcherService"
# A data plane takes a batcher that says nothing for two seconds for one that hangs.
REPORT_WAITING_EVERY_S = 1.0
# Room for the frame around the largest answer.
_FRAME_BYTES = 64 * 1024


class BatcherServicer:
    """Serves streams of frames. `process` is the id of this process; `frames_garbled` counts frames that were changed
    on the way."""

    def __init__(self, roster: Roster, process: str, *, max_message_bytes: int) -> None:
        self._roster = roster
        self._process = process
        self._max_answer_bytes = max_message_bytes - _FRAME_BYTES
        self._exchanges: set[Exchange] = set()
        self._finishing = False
        self._one_ended = Wakeup()
        self.frames_garbled = 0

    def serve_on(self, server: Any) -> None:
        """Serve the service on a server."""
        handler = grpc.stream_stream_rpc_method_handler(self.Exchange, response_serializer=encode)
        server.add_registered_method_handlers(SERVICE, {"Exchange": handler})

    async def Exchange(self, request_iterator: AsyncIterable[bytes], context: Any) -> None:
        """Serve one stream. Raises Unavailable, which ends it, for a frame that was changed on the way."""
        exchange = Exchange(self._roster, self._process, max_answer_bytes=self._max_answer_bytes)
        if self._finishing:
            exchange.finish()
        self._exchanges.add(exchange)
        try:
            await exchange.serve(self._read(request_iterator), context.write)
        finally:
            self._exchanges.discard(exchange)
            self._one_ended.wake()

    async def _read(self, encoded: AsyncIterable[bytes]) -> AsyncIterator[batcher_pb2.ExchangeRequest]:
        frames = FrameReader(batcher_pb2.ExchangeRequest.FromString)
        async for one in encoded:
            try:
                frame = frames.read(one)
            except Garbled as error:
                self.frames_garbled += 1
                raise Unavailable(str(error), reason="GARBLED_FRAME") from None
            yield frame

    async def report_waiting(self) -> None:
        """Tell each peer whose requests all wait for versions that are not in memory that nothing hangs here."""
        for exchange in self._exchanges:
            exchange.report_waiting()

    async def finish(self) -> None:
        """Answer what is open on every stream, refuse what still comes, and return when the streams have ended."""
        self._finishing = True
        for exchange in self._exchanges:
            exchange.finish()
        while self._exchanges:
            await self._one_ended.wait()

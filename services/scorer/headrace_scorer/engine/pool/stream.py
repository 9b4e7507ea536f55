"""One stream of frames with one batcher: requests in, answers in any order."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.checksums import FrameReader, Garbled, encode

METHOD = "/headrace.batcher.v1.BatcherService/Exchange"
# A batcher sends its first frame at once.
FIRST_FRAME_S = 5.0
MAX_FRAME_BYTES = 1 << 20
_END_OF_STREAM: Any = getattr(grpc.aio, "EOF")  # noqa: B009 - missing in the type stubs


class StreamLost(Exception):
    """The stream ended before an answer came; another batcher may be asked."""


class Stream:
    """Requests to one batcher, until it goes or says that it is about to. For one event loop."""

    def __init__(self, address: str, channel: Any) -> None:
        self.address = address
        self.versions: dict[str, int] = {}
        """Handle by digest of what is ready."""
        self.draining = self.ended = False
        self.in_flight: dict[int, asyncio.Future[batcher_pb2.InferResponse]] = {}
        self._call = channel.stream_stream(METHOD, request_serializer=encode, response_deserializer=bytes)()
        self._outbox: list[batcher_pb2.InferRequest] = []
        self._cancelled: list[int] = []
        self._filled = asyncio.Event()
        self._next_id = 1
        self._first = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    def serves(self, digest: str) -> bool:
        """Return whether requests for a version may be sent."""
        return not self.draining and not self.ended and digest in self.versions

    async def opened(self) -> None:
        """Return when the batcher has said what it has. Raises StreamLost."""
        try:
            async with asyncio.timeout(FIRST_FRAME_S):
                await asyncio.shield(self._first)
        except TimeoutError:
            self.close()
            raise StreamLost(f"{self.address} says nothing") from None

    async def ask(self, digest: str, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
        """Return the answer to a request, whose id and version are filled in. Raises StreamLost."""
        if not self.serves(digest):
            raise StreamLost(f"{self.address} does not have the version any more")
        request.id, self._next_id = self._next_id, self._next_id + 1
        request.version = self.versions[digest]
        answer = self.in_flight[request.id] = asyncio.get_running_loop().create_future()
        self._outbox.append(request)
        self._filled.set()
        try:
            return await answer
        except asyncio.CancelledError:
            self.in_flight.pop(request.id, None)
            self._cancelled.append(request.id)
            self._filled.set()
            raise

    def close(self) -> None:
        """End the stream; what is in flight is lost."""
        self._end("it was closed")
        for task in self._tasks:
            task.cancel()

    async def _read(self) -> None:
        frames = FrameReader(batcher_pb2.ExchangeResponse.FromString)
        try:
            while (encoded := await self._call.read()) is not _END_OF_STREAM:
                self._hear(frames.read(encoded))
            self._end("the batcher ended the stream")
        except (grpc.aio.AioRpcError, Garbled) as error:
            message = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
            self._end(message or "the stream broke")

    def _hear(self, frame: batcher_pb2.ExchangeResponse) -> None:
        self.draining = self.draining or frame.draining
        for state in frame.versions:
            if state.ready:
                self.versions[state.digest] = state.handle
            elif self.versions.get(state.digest) == state.handle:
                del self.versions[state.digest]
        for response in frame.responses:
            waiting = self.in_flight.pop(response.id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(response)
        if not self._first.done():
            self._first.set_result(None)

    async def _write(self) -> None:
        """Send what there is in one frame, again and again."""
        try:
            while True:
                await self._filled.wait()
                size = count = 0
                for request in self._outbox:
                    if count and size + request.ByteSize() > MAX_FRAME_BYTES:
                        break
                    size, count = size + request.ByteSize(), count + 1
                frame = batcher_pb2.ExchangeRequest(requests=self._outbox[:count], cancelled=self._cancelled)
                del self._outbox[:count]
                self._cancelled = []
                if not self._outbox:
                    self._filled.clear()
                await self._call.write(frame)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            self._end("the stream broke")

    def _end(self, why: str) -> None:
        self.ended = True
        self._call.cancel()
        error = StreamLost(f"{self.address}: {why}")
        waiting, self.in_flight = self.in_flight, {}
        for one in (*waiting.values(), self._first):
            if not one.done():
                one.set_exception(error)
                one.exception()  # mark as retrieved, so that asyncio logs no warning if no task awaits it

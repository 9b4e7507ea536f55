"""One call being served: the handler's task, what the caller sends it, and how the call ends."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

import grpc
import grpc.aio
import structlog

from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.context import Context, Requests
from headrace_servicekit.http2.headers import Headers, Metadata, answer_block, ending_block
from headrace_servicekit.http2.stream import Stream, StreamConnection

log = structlog.get_logger()

Handler = Any
"""A grpc.RpcMethodHandler whose functions are coroutine functions or async generator functions."""

_ANSWER = answer_block()


class ServingConnection(StreamConnection, Protocol):
    """What a call that is served asks of the connection that it came on."""

    def answer(self, number: int, block: bytes, *, last: bool) -> None:
        """Send headers, or trailers, of a call."""
        ...

    def given_up(self) -> None:
        """Note that the peer gave a call up."""
        ...

    def let_end(self) -> None:
        """Note that a call has ended by itself."""
        ...


class Refusal(Exception):
    """A call is not begun; block: the headers that say why."""

    def __init__(self, block: bytes) -> None:
        super().__init__()
        self.block = block


class ServerStream(Stream):
    """One call. Messages of the caller wait here until the handler reads them."""

    __slots__ = ("_arrived", "_closed_by_peer", "_ends", "_waiting", "answered", "context", "task")

    connection: ServingConnection

    def __init__(
        self,
        connection: ServingConnection,
        number: int,
        handler: Handler,
        metadata: Metadata,
        timeout_s: float | None,
        most_bytes: int,
    ) -> None:
        super().__init__(connection, number, most_bytes)
        self.answered = False
        self.context = Context(self, metadata, None if timeout_s is None else connection.loop.time() + timeout_s)
        self._arrived: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._closed_by_peer = False
        self.task = connection.loop.create_task(self._run(handler))
        self.task.add_done_callback(self._end)
        self._ends = None if timeout_s is None else connection.loop.call_later(timeout_s, self._overdue)

    async def next_message(self) -> bytes | None:
        """Return the next message, or None when the caller sends no more."""
        while not self._arrived:
            if self._closed_by_peer:
                return None
            self._waiting = self.connection.loop.create_future()
            await self._waiting
        message = self._arrived.popleft()
        self.taken(len(message))
        return message

    async def write(self, data: bytes) -> None:
        """Send a message; return when there is room for more."""
        if not self.answered:
            self.answered = True
            self.connection.answer(self.number, _ANSWER, last=False)
        self.send(wire.message(data))
        if self.outgoing or self.connection.write_paused:
            await self.drained()

    def headers(self, headers: Headers, *, last: bool) -> None:
        if last:
            self._close_input()

    def data(self, messages: list[bytes], *, last: bool) -> None:
        if messages:
            self._arrived += messages
            self.held += sum(map(len, messages))
        if last:
            self._close_input()
        elif messages:
            self._wake_reader()

    def broken(self, error: wire.MessageError) -> None:
        too_large = isinstance(error, wire.MessageTooLarge)
        self.context.end(grpc.StatusCode.RESOURCE_EXHAUSTED if too_large else grpc.StatusCode.INTERNAL, str(error))
        self.task.cancel()

    def reset(self, code: int) -> None:
        self.task.cancel()
        self.connection.given_up()

    def gone(self, reason: str) -> None:
        self.task.cancel()

    def _close_input(self) -> None:
        self._closed_by_peer = True
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _overdue(self) -> None:
        self.context.end(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        self.task.cancel()

    async def _run(self, handler: Handler) -> None:
        context = self.context
        try:
            await self._handle(handler, context)
        except grpc.aio.AbortError:
            pass  # the context holds what is to be said
        except Exception:
            log.exception("handler failed")
            context.end(grpc.StatusCode.UNKNOWN, "the handler failed")

    async def _handle(self, handler: Handler, context: Context) -> None:
        """Run the handler's function on what the caller sends, and send what it returns or yields."""
        if handler.request_streaming:
            request: Any = Requests(self, handler.request_deserializer)
        else:
            message = await self.next_message()
            if message is None:
                context.end(grpc.StatusCode.INTERNAL, "the caller sent no message")
                return
            request = message if handler.request_deserializer is None else handler.request_deserializer(message)
        context.serialize = handler.response_serializer
        context.requests = request if handler.request_streaming else None
        if not handler.response_streaming:
            act = handler.stream_unary if handler.request_streaming else handler.unary_unary
            answer = await act(request, context)
            if not context.code():
                await context.write(answer)
            return
        produced = (handler.stream_stream if handler.request_streaming else handler.unary_stream)(request, context)
        if not hasattr(produced, "__aiter__"):
            await produced
            return
        async for message in produced:
            await context.write(message)

    def _end(self, task: asyncio.Task[None]) -> None:
        """Say how the call ended, behind all that was answered; also when it was stopped before it had begun."""
        connection, context = self.connection, self.context
        if self._ends is not None:
            self._ends.cancel()
        if connection.streams.get(self.number) is not self:
            return
        if task.cancelled() and not context.code():
            context.end(grpc.StatusCode.UNAVAILABLE, "the call was stopped")
        code: Any = context.code() or grpc.StatusCode.OK
        if not isinstance(code, grpc.StatusCode):
            code = next((one for one in grpc.StatusCode if one.value[0] == code), grpc.StatusCode.UNKNOWN)
        block = ending_block(code, context.details() or "", context.trailing_metadata(), alone=not self.answered)
        if self.outgoing:  # the peer takes no more for now: what waits is given up with the call
            connection.forget(self, reset=wire.CANCEL)
            return
        connection.answer(self.number, block, last=True)
        connection.let_end()
        connection.forget(self, reset=None if self._closed_by_peer else wire.NO_ERROR)

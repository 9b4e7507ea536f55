"""Frames to one batcher: a stream that carries whatever became ready in one turn of the loop, answers matched by id."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc.aio
import structlog
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.checksums import FrameReader, Garbled, encode

from headrace_router.data.batchers.decisions.balance import Endpoint, Latency, Window
from headrace_router.data.batchers.work import AT_ONCE, ONLINE, SHADOW, Attempt, Work

log = structlog.get_logger()

# A frame costs as much as ten requests in it, at either end. While this many requests are at the batcher, it is busy
# and a frame gains nothing by leaving at once, so it gathers for a millisecond. Measured with 256 in flight: 6 requests
# a frame instead of 1.1, and twice the throughput. With fewer in flight no frame waits, nor any longer once the others
# are answered.
GATHER_FROM = 4
GATHER_S = 0.001

# A batcher sends its first frame at once. The connection, which is opened within this time too, is pinged every two
# seconds; but who answers pings may still say nothing.
FIRST_FRAME_S = 5.0

METHOD = "/headrace.batcher.v1.BatcherService/Exchange"
END_OF_STREAM: Any = getattr(grpc.aio, "EOF")  # noqa: B009 - missing in the type stubs


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one stream. A frame holds at least one request, however large."""

    in_flight: int = 2048
    in_flight_bytes: int = 256 * 1024 * 1024
    frame_requests: int = 256
    frame_bytes: int = 1024 * 1024


class Owner(Protocol):
    """Who is called with what happens on a stream."""

    def answered(self, replica: Replica, attempt: Attempt, response: batcher_pb2.InferResponse) -> None:
        """Take the answer of an attempt that is no longer in flight on the replica."""
        ...

    def part(self, replica: Replica, attempt: Attempt, response: batcher_pb2.InferResponse) -> None:
        """Take one of several answers of an attempt, which continues."""
        ...

    def lost(self, replica: Replica, attempts: Sequence[Attempt]) -> None:
        """Take back attempts whose stream ended before they were answered."""
        ...

    def changed(self, replica: Replica) -> None:
        """Note that the replica may now serve other versions than before."""
        ...


class Replica:
    """One batcher process as seen from here: its stream, what is in flight on it, what it last said of itself."""

    def __init__(self, address: str, owner: Owner, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.address, self._owner, self._limits, self._loop = address, owner, limits, loop
        self.process = ""
        self.connected = False
        self.draining = False
        self.leaving = False
        self.versions: dict[str, int] = {}
        """Handle by digest of the versions that are ready."""
        self.endpoints: dict[str, Endpoint[Replica]] = {}
        """How its versions do, by digest, since the stream came to stand."""
        self.rows = 0
        self.predicted_wait_s = 0.0
        self.load_seen = 0.0
        self.rows_in_flight = self._shadows = 0
        self.sessions = 0
        """Streams that came to stand so far."""
        self.frames_garbled = 0
        self.frames_sent = 0
        self.requests_sent = 0
        self._in_flight: dict[int, Attempt] = {}
        self._window = Window(limits.in_flight, limits.in_flight_bytes)
        self._outbox: list[Attempt] = []
        self._cancelled: list[int] = []
        self._taken: Counter[int] = Counter()
        self._next_id = 1
        self._wake: asyncio.Future[None] | None = None
        self._gathered: asyncio.Future[None] | None = None

    @property
    def in_flight(self) -> int:
        """Return how many requests await their answer."""
        return len(self._in_flight)

    @property
    def gathers(self) -> bool:
        """Return whether a frame gains by waiting for others: copies for a slow shadow hold no request up."""
        return len(self._in_flight) - self._shadows - len(self._outbox) >= GATHER_FROM

    def attempts(self) -> Sequence[Attempt]:
        """Return the requests that await their answer, the oldest first."""
        return list(self._in_flight.values())

    def endpoint(self, digest: str, latency: Latency) -> Endpoint[Replica]:
        """Return how a version does here. latency: of its answers, by whomever."""
        found = self.endpoints.get(digest)
        if found is None:
            found = self.endpoints[digest] = Endpoint(self, latency)
        return found

    @property
    def ejected(self) -> bool:
        """Return whether it is left alone for some version."""
        return any(endpoint.until for endpoint in self.endpoints.values())

    def serves(self, digest: str) -> bool:
        """Return whether requests for a version may be sent now."""
        return self.connected and not self.draining and digest in self.versions

    def suspects(self, attempt: Attempt) -> bool:
        """Return whether the version has gone since an attempt was sent, which may be why: no other replica gets it.

        Also when the version is back, where the batcher tries alone what was executing then.
        """
        return attempt.endpoint is not self.endpoints.get(attempt.work.digest)

    def leave(self) -> None:
        """Send nothing more; what is in flight is still awaited."""
        self.leaving = self.draining = True
        self._owner.changed(self)

    def has_room(self, work: Work) -> bool:
        """Return whether the bounds, and what its client has of them already, allow one more request."""
        return self._window.has_room(work.client, work.size_bytes, online=work.priority <= ONLINE)

    def send(self, attempt: Attempt) -> None:
        """Put a request into the frame of this turn."""
        work = attempt.work
        attempt.id, self._next_id = self._next_id, self._next_id + 1
        attempt.replica = self
        self._in_flight[attempt.id] = attempt
        if work.priority == SHADOW:
            self._shadows += 1
        else:
            self.rows_in_flight += work.rows
        self._window.add(work.client, work.size_bytes, online=work.priority <= ONLINE)
        self._outbox.append(attempt)
        if work.trace is not None:
            work.trace.sent(work.pool, self.address, hedge=attempt.is_hedge)
        self._rouse()

    def withdraw(self, attempt: Attempt) -> None:
        """Forget a request whose caller left or ran out of time; the batcher hears of it in the next frame."""
        if self._in_flight.get(attempt.id) is not attempt:
            return
        self._take(attempt.id)
        if attempt not in self._outbox[-16:]:  # a longer search costs more than an id that the batcher does not know
            self._cancelled.append(attempt.id)
            self._rouse()

    def taken(self, attempt: Attempt) -> None:
        """Let the batcher send one more part of an answer; it hears of it in the next frame."""
        if self._in_flight.get(attempt.id) is attempt:
            self._taken[attempt.id] += 1
            self._rouse()

    async def exchange(self, channel: Any, heard: Callable[[], object] = lambda: None) -> None:
        """Hold one stream until it ends or the batcher says that it leaves and has answered all.

        heard: called at the first frame. Raises AioRpcError or ConnectionError when the stream breaks, or when a frame
        has changed on the way. Works in flight are given back to the owner.
        """
        call = channel.stream_stream(METHOD, request_serializer=encode, response_deserializer=bytes)()
        reading = asyncio.create_task(self._read(call, heard), name=f"frames from {self.address}")
        writing = asyncio.create_task(self._write(call), name=f"frames to {self.address}")
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = reading if reading.done() else writing
            reading.cancel()
            writing.cancel()
            call.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
            self._end()
        if ended.cancelled():  # grpc cancels who reads from a call that is gone
            raise ConnectionError("the stream was cancelled")
        ended.result()

    async def _read(self, call: Any, heard: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(FIRST_FRAME_S):
                encoded = await call.read()
        except TimeoutError:
            raise ConnectionError(f"the batcher said nothing within {FIRST_FRAME_S:g} s") from None
        heard()
        frames = FrameReader(batcher_pb2.ExchangeResponse.FromString)
        while encoded is not END_OF_STREAM:
            try:
                frame = frames.read(encoded)
            except Garbled as error:
                self.frames_garbled += 1
                raise ConnectionError(str(error)) from None
            self._hear(frame)
            take, answered = self._take, self._owner.answered
            for response in frame.responses:
                if response.more:
                    attempt = self._in_flight.get(response.id)
                    if attempt is not None:
                        self._owner.part(self, attempt, response)
                    continue
                attempt = take(response.id)
                if attempt is not None:  # else its caller had left
                    if attempt.work.trace is not None:
                        attempt.work.trace.answered(self.address, response)
                    answered(self, attempt, response)
            if self._gathered is not None and not self.gathers:
                self._end_gathering()
            if self.draining and not self._in_flight:
                return
            encoded = await call.read()
        raise ConnectionError("the batcher ended the stream")

    async def _write(self, call: Any) -> None:
        while True:
            if not self._outbox and not self._cancelled and not self._taken:
                self._wake = self._loop.create_future()
                await self._wake
                self._wake = None
            if self.gathers:
                await self._gather()
            frame = self._frame()
            if frame is not None:
                self.frames_sent += 1
                try:
                    await call.write(frame)
                except asyncio.InvalidStateError as error:  # the reader is about to learn why
                    raise ConnectionError("the stream has ended") from error

    async def _gather(self) -> None:
        """Wait for others, no longer than requests that were sent before await their answers."""
        self._gathered = self._loop.create_future()
        timer = self._loop.call_later(GATHER_S, self._end_gathering)
        try:
            await self._gathered
        finally:
            timer.cancel()
            self._gathered = None

    def _end_gathering(self) -> None:
        if self._gathered is not None and not self._gathered.done():
            self._gathered.set_result(None)

    def _frame(self) -> batcher_pb2.ExchangeRequest | None:
        """Return the next frame, or None when everything that waited was withdrawn."""
        frame = batcher_pb2.ExchangeRequest(cancelled=self._cancelled)
        self._cancelled = []
        if self._taken:
            for number, count in self._taken.items():
                frame.taken.add(id=number, count=count)
            self._taken = Counter()
        now, size, taken = self._loop.time(), 0, 0
        requests, in_flight, limits = frame.requests, self._in_flight, self._limits
        for attempt in self._outbox:
            work = attempt.work
            if taken and (len(requests) >= limits.frame_requests or size + work.size_bytes > limits.frame_bytes):
                break
            taken += 1
            handle = self.versions.get(work.digest)
            if in_flight.get(attempt.id) is not attempt:
                continue
            if handle is None:  # it stopped being ready within this turn
                self._take(attempt.id)
                self._owner.lost(self, (attempt,))
                continue
            size += work.size_bytes
            _fill(requests.add(), attempt.id, work, handle, now)
        del self._outbox[:taken]
        self.requests_sent += len(requests)
        return frame if requests or frame.cancelled or frame.taken else None

    def _hear(self, frame: batcher_pb2.ExchangeResponse) -> None:
        if frame.HasField("load"):
            self.rows, self.predicted_wait_s = frame.load.rows, frame.load.predicted_wait_us / 1e6
            self.load_seen = self._loop.time()
        if not self.connected:
            self.connected = True
            self.sessions += 1
            log.info("batcher connected", address=self.address, process=frame.process, versions=len(frame.versions))
            self.process = frame.process
        elif not (frame.versions or frame.draining):
            return
        for state in frame.versions:
            self.endpoints.pop(state.digest, None)  # it was loaded again, or is gone
            if state.ready:
                self.versions[state.digest] = state.handle
            elif self.versions.get(state.digest) == state.handle:
                del self.versions[state.digest]
        self.draining = self.draining or frame.draining
        self._owner.changed(self)

    def _take(self, number: int) -> Attempt | None:
        attempt = self._in_flight.pop(number, None)
        if attempt is not None:
            work = attempt.work
            if work.priority == SHADOW:
                self._shadows -= 1
            else:
                self.rows_in_flight -= work.rows
            self._window.remove(work.client, work.size_bytes, online=work.priority <= ONLINE)
        return attempt

    def _end(self) -> None:
        """Forget the stream and give back what was in flight on it."""
        attempts = list(self._in_flight.values())
        self._in_flight.clear()
        self._outbox.clear()
        self._cancelled.clear()
        self._taken.clear()
        self.versions.clear()
        self.endpoints.clear()
        self._window.clear()
        self.rows = self.rows_in_flight = self._shadows = 0
        self.predicted_wait_s = 0.0
        self.connected, self.draining = False, self.leaving
        for attempt in attempts:
            if attempt.work.trace is not None:
                attempt.work.trace.gone(self.address, "BATCHER_LOST")
        self._owner.changed(self)
        self._owner.lost(self, attempts)

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


def _fill(request: batcher_pb2.InferRequest, number: int, work: Work, handle: int, now: float) -> None:
    """Write a work into its place in a frame, field by field: keywords, and what is empty, take twice as long."""
    request.id, request.version, request.rows = number, handle, work.rows
    request.inputs.extend(work.inputs)
    request.deadline_us = max(1, int((work.deadline - now) * 1e6))
    request.priority = work.priority  # type: ignore[assignment]  # a number, as in the message
    request.client = work.client
    if work.absent:
        request.absent.extend(work.absent)
    if work.dims:
        request.dims.extend(work.dims)
    if work.outputs:
        request.outputs.extend(work.outputs)
    if work.max_wait_us is not None:
        request.max_wait_us_plus_one = work.max_wait_us + 1
    if work.parts is not None:
        request.parts_at_once = AT_ONCE
    if work.traceparent or work.request_id:
        request.traceparent, request.request_id = work.traceparent, work.request_id

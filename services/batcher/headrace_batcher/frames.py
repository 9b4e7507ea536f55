"""One stream of frames with one data plane: requests in, answers out in any order.

Answers that become ready in one turn of the event loop leave in one frame, because the writer wakes in the next turn;
what becomes ready while a frame is being written waits for the one after it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable

from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import compute_pb2
from headrace_runtime.shapes import FIXED, ShapeKey
from headrace_servicekit.calls import valid_traceparent
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Code, InvalidArgument

from headrace_batcher.decisions.answers import ANSWERS_IN_PARTS, NOT_LOADED, STOPPING, Answer, Failure
from headrace_batcher.decisions.compute import Way
from headrace_batcher.decisions.part_flow import PartFlow
from headrace_batcher.decisions.work import BATCH, DONE, ONLINE, SHADOW, Work
from headrace_batcher.roster import Announcement, Roster

# Bounds of one frame; a single answer may be larger.
MAX_FRAME_BYTES = 1024 * 1024
MAX_FRAME_ANSWERS = 1024
# Unsent answers above which no more requests are read from a peer that does not read.
MAX_UNSENT_BYTES = 8 * 1024 * 1024
# What an answer takes in a frame beside its outputs, about.
_ANSWER_OVERHEAD_BYTES = 64

_CLASS_OF = {
    batcher_pb2.InferRequest.PRIORITY_UNSPECIFIED: ONLINE,
    batcher_pb2.InferRequest.PRIORITY_ONLINE: ONLINE,
    batcher_pb2.InferRequest.PRIORITY_SHADOW: SHADOW,
    batcher_pb2.InferRequest.PRIORITY_BATCH: BATCH,
}

_WAYS = {
    Way.BACKEND: compute_pb2.COMPUTE_WAY_BACKEND,
    Way.THREAD: compute_pb2.COMPUTE_WAY_THREAD,
    Way.INLINE: compute_pb2.COMPUTE_WAY_INLINE,
}

Write = Callable[[batcher_pb2.ExchangeResponse], Awaitable[object]]


class Exchange:
    """One stream. `process` is the id of this process; `max_answer_bytes` the most that one answer may have."""

    def __init__(
        self,
        roster: Roster,
        process: str,
        *,
        max_answer_bytes: int = 15 * 1024 * 1024,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roster = roster
        self._max_answer_bytes = max_answer_bytes
        self._now = now
        self._open: dict[int, Work] = {}
        self._frames: deque[tuple[batcher_pb2.ExchangeResponse, int]] = deque()
        self._frame = batcher_pb2.ExchangeResponse(process=process)
        self._frame_bytes = 0
        self._frame_answers = 0
        self._unsent_bytes = 0
        self._something_to_send = Wakeup()
        self._room = Wakeup()
        self._finishing = False

    async def serve(self, frames: AsyncIterable[batcher_pb2.ExchangeRequest], write: Write) -> None:
        """Exchange frames until the peer closes the stream, which cancels its requests, or `finish` was called.

        Raises InvalidArgument when the peer breaks the protocol.
        """
        self._roster.join(self)
        for state in self._roster.states():
            self.announce(state)
        self._something_to_send.wake()
        reading = asyncio.create_task(self._read(frames), name="read frames")
        writing = asyncio.create_task(self._write(write), name="write frames")
        try:
            done, _ = await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._roster.leave(self)
            for work in tuple(self._open.values()):
                work.batcher.cancel(work)
            self._open.clear()
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    def announce(self, change: Announcement) -> None:
        """Tell the peer that a version changed its state."""
        self._frame.versions.add(handle=change.handle, digest=change.digest, ready=change.ready)
        self._something_to_send.wake()

    def drain(self) -> None:
        """Tell the peer to send nothing more; what comes nevertheless is still answered."""
        self._something_to_send.wake()

    def report_waiting(self) -> None:
        """Tell the load where all that is open waits for versions that are not in memory, or is answered in parts: such
        silence is no hang.

        Where anything else is open it should be answered, and if it is not the peer should know.
        """
        if self._open and all(work.batcher.sleeps or work.flow is not None for work in self._open.values()):
            self._something_to_send.wake()

    def finish(self) -> None:
        """Answer what is open, refuse what still comes, then end the stream."""
        self._finishing = True
        self._something_to_send.wake()

    def receive(self, frame: batcher_pb2.ExchangeRequest) -> None:
        """Submit the requests of a frame, and drop those that it cancels."""
        now = self._now()
        for request in frame.requests:
            batcher = self._roster.find(request.version)
            if batcher is None or self._finishing:
                self._add_failure(request.id, NOT_LOADED if batcher is None else STOPPING)
                continue
            dims, absent, wanted = request.dims, request.absent, request.outputs
            deadline_us, wait = request.deadline_us, request.max_wait_us_plus_one
            work = Work(
                self,
                request.id,
                batcher,
                request.rows,
                request.inputs[:],
                now,
                ShapeKey(tuple(absent), tuple(dims)) if dims or absent else FIXED,
                tuple(wanted) if wanted else (),
                _CLASS_OF.get(request.priority, ONLINE),
                request.client,
                now + deadline_us * 1e-6 if deadline_us else math.inf,
                (wait - 1) * 1e-6 if wait else None,
            )
            if request.request_id or request.traceparent:
                work.request_id = request.request_id
                work.traceparent = request.traceparent if valid_traceparent(request.traceparent) else ""
            if batcher.contract.decoupled:
                if not request.parts_at_once:
                    self._add_failure(request.id, ANSWERS_IN_PARTS)
                    continue
                work.flow = PartFlow(request.parts_at_once)
            if self._open.setdefault(work.id, work) is not work:
                raise InvalidArgument(f"request id {work.id} is in use on this stream", reason="DUPLICATE_ID")
            if work.wanted and max(work.wanted) >= len(batcher.contract.outputs):
                self.settle(work, Failure(Code.INVALID_ARGUMENT, "UNKNOWN_OUTPUT", "no such output"))
                continue
            batcher.submit(work)
        for taken in frame.taken:
            work = self._open.get(taken.id)
            if work is not None and work.flow is not None:
                work.flow.taken(taken.count)
        for cancelled in frame.cancelled:
            work = self._open.pop(cancelled, None)
            if work is not None:
                work.batcher.cancel(work)
        if self._finishing:
            self._something_to_send.wake()  # or what was cancelled last would be waited for

    def settle(self, work: Work, outcome: Answer | Failure) -> None:
        """Put the outcome of a request into the next frame."""
        if self._open.pop(work.id, None) is None:
            return
        if isinstance(outcome, Failure):
            self._add_failure(work.id, outcome)
            return
        if work.flow is not None:  # the parts were sent before
            self._respond(work, outcome, b"")
            return
        outputs = self._encoded(work, outcome)
        if outputs is not None:
            self._respond(work, outcome, outputs)

    def part(self, work: Work, part: Answer) -> int:
        """Put one of several answers to a request into the next frame."""
        outputs = self._encoded(work, part)
        if outputs is None:
            self._open.pop(work.id, None)
            work.batcher.counters.failed["ANSWER_TOO_LARGE"] += 1
            work.state = DONE
            return 0
        self._respond(work, part, outputs).more = True
        return len(outputs)

    def _encoded(self, work: Work, outcome: Answer) -> bytes | None:
        """Return the outputs of an answer; None, after failing the request, where they exceed the limits of a
        message."""
        outputs = work.batcher.encoder.encode(work.wanted, work.rows, outcome.row_shapes, outcome.values)
        size = len(outputs)
        if size > self._max_answer_bytes:
            message = f"the answer has {size} bytes, more than a message may have: ask for fewer rows or outputs"
            self._add_failure(work.id, Failure(Code.RESOURCE_EXHAUSTED, "ANSWER_TOO_LARGE", message))
            return None
        return outputs

    def _respond(self, work: Work, outcome: Answer, outputs: bytes) -> batcher_pb2.InferResponse:
        # Field by field: keywords take half as long again.
        response = self._next_frame(len(outputs)).responses.add()
        response.id, response.outputs = work.id, outputs
        response.batch_rows, response.batch_requests = outcome.batch_rows, outcome.batch_requests
        response.queue_us, response.compute_us = int(outcome.queue_s * 1e6), int(outcome.compute_s * 1e6)
        if outcome.invalid_rows:
            response.invalid_rows = outcome.invalid_rows
        if outcome.way is not None:
            response.compute_way = _WAYS[outcome.way]
        return response

    @property
    def open_requests(self) -> int:
        """Return how many requests have no answer yet."""
        return len(self._open)

    def _add_failure(self, request_id: int, failure: Failure) -> None:
        self._next_frame(len(failure.message)).responses.add(
            id=request_id,
            code=failure.code,
            message=failure.message,
            reason=failure.reason,
            blamed_input=0 if failure.blamed_input is None else failure.blamed_input + 1,
            retry_after_us=int(failure.retry_after_s * 1e6),
        )

    def _next_frame(self, size: int) -> batcher_pb2.ExchangeResponse:
        """Return the frame that an answer of about `size` bytes goes into."""
        size += _ANSWER_OVERHEAD_BYTES
        if self._frame_answers and (
            self._frame_bytes + size > MAX_FRAME_BYTES or self._frame_answers >= MAX_FRAME_ANSWERS
        ):
            self._close_frame()
        self._frame_bytes += size
        self._frame_answers += 1
        self._unsent_bytes += size
        self._something_to_send.wake()
        return self._frame

    def _close_frame(self) -> None:
        self._frames.append((self._frame, self._frame_bytes))
        self._frame, self._frame_bytes, self._frame_answers = batcher_pb2.ExchangeResponse(), 0, 0

    async def _read(self, frames: AsyncIterable[batcher_pb2.ExchangeRequest]) -> None:
        async for frame in frames:
            self.receive(frame)
            while self._unsent_bytes > MAX_UNSENT_BYTES:
                await self._room.wait()

    async def _write(self, write: Write) -> None:
        """Send what becomes ready, until `finish` was called and all is sent."""
        while True:
            await self._something_to_send.wait()
            self._close_frame()
            while self._frames:
                frame, size = self._frames.popleft()
                rows, wait_s = self._roster.load(self._now())
                frame.load.rows, frame.load.predicted_wait_us = rows, int(wait_s * 1e6)
                frame.draining = self._roster.draining
                await write(frame)
                self._unsent_bytes -= size
                self._room.wake()
            if self._finishing and not self._open and not self._frame_answers:
                return

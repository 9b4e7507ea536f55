"""Executing one request of a version that answers in parts: each is sent as it is there, no faster than it is taken."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from headrace_runtime import shapes
from headrace_runtime.contract import Contract
from headrace_runtime.shapes import OutputTensor
from headrace_servicekit.coordination.wakeup import Wakeup

from headrace_batcher.batching.value_checks import OutputChecks
from headrace_batcher.decisions.answers import ENDED_LATE, READER_TOO_SLOW, Answer, Failure
from headrace_batcher.decisions.work import DONE, Work

# A reader that takes no part for this long, while the model waits for it, loses its place to others.
TAKE_WITHIN_S = 20.0


class PartExecution:
    """One request, from its first part to its last.

    first_s: time to the first part, None before it. compute_s: time that the model has computed, without waits.
    waiting: whether the model waits for the reader. failure: why it ended early, else None.
    """

    def __init__(
        self,
        work: Work,
        contract: Contract,
        checks: OutputChecks,
        now: Callable[[], float],
    ) -> None:
        assert work.flow is not None
        self.first_s: float | None = None
        self.compute_s = self.waited_s = 0.0
        self.waiting = False
        self.failure: Failure | None = None
        self._work, self._flow = work, work.flow
        self._contract, self._checks, self._now = contract, checks, now
        self._room = Wakeup()

    async def run(
        self, parts: AsyncGenerator[list[OutputTensor], None], started: float, came: Callable[[], object]
    ) -> None:
        """Send all parts. came: called as each is there. Returns when the last was sent, when the deadline or a slow
        reader is the `failure`, and when the caller has left. Raises what the parts do, and WrongOutput."""
        task = asyncio.current_task()
        assert task is not None
        work, flow = self._work, self._flow
        flow.stop, flow.roused = task.cancel, self._room.wake
        left_s = None if work.deadline == math.inf else work.deadline - self._now()
        try:
            async with asyncio.timeout(left_s), aclosing(parts):
                while work.state is not DONE and (outputs := await self._next(parts)) is not None:
                    came()
                    self._send(outputs, started)
                    if work.state is not DONE and not await self._has_room():
                        self.failure = READER_TOO_SLOW
                        return
        except TimeoutError:
            self.failure = ENDED_LATE
        except asyncio.CancelledError:
            if not flow.abandoned or task.uncancel():
                raise
        finally:
            flow.stop, flow.roused = None, lambda: None

    async def _next(self, parts: AsyncGenerator[list[OutputTensor], None]) -> list[OutputTensor] | None:
        began = self._now()
        try:
            outputs = await anext(parts, None)
        finally:  # also when the wait for a part is cancelled
            self.compute_s += self._now() - began
        if self.first_s is None:
            self.first_s = self.compute_s
        return outputs

    def _send(self, outputs: list[OutputTensor], started: float) -> None:
        """Send one part, which has the rows of the request. Raises WrongOutput."""
        work = self._work
        ordered = shapes.outputs_in_order(self._contract, work.rows, outputs)
        values = [shapes.slice_output(output, [work.rows])[0] for output in ordered]
        row_shapes = tuple(output.shape[1:] for output in ordered)
        invalid = len(self._checks.invalid_rows(ordered, work.rows))
        queue_s = started - work.arrived
        answer = Answer(row_shapes, values, work.rows, 1, queue_s, self.compute_s, invalid)
        size_bytes = work.sink.part(work, answer)
        if work.state is not DONE:
            self._flow.sent(size_bytes)

    async def _has_room(self) -> bool:
        """Wait until another part may be sent; return False when the reader took none for too long."""
        flow, began = self._flow, self._now()
        self.waiting = True
        try:
            while not flow.has_room:
                left_s = began + TAKE_WITHIN_S - self._now()
                if left_s <= 0:
                    return False
                await self._room.wait(left_s)
        finally:
            self.waiting = False
            self.waited_s += self._now() - began
        return True

"""What is noted of one request: what was tried, where it is explained, and where its time went, where it is asked for.

All others have neither and pay for neither. What tries something notes it: the fallback chain which fallback it turns
to, a pool which batcher got the request and what came back. A trace outlives its request by what still runs then, such
as the slower one of two hedged requests; what is noted afterwards is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import compute_pb2

if TYPE_CHECKING:
    from headrace_router.data.answer.answer import Answer
    from headrace_router.data.tables.table import Table, Variant


PRIMARY = "primary"
# A request that goes from batcher to batcher for ever must not fill memory; eight fallbacks with two tries each fit,
# and a pipeline of a hundred steps.
MAX_ATTEMPTS = 256


@dataclass(slots=True)
class Attempt:
    """One thing that was tried. Times are of the trace's clock; ended: 0.0 while it lasts.

    step, version, pool, batcher, …: as in `ExplainResponse.Attempt`.
    """

    step: str
    version: str
    pool: str
    batcher: str
    began: float
    ended: float = 0.0
    queue_us: int = 0
    compute_us: int = 0
    batch_rows: int = 0
    batch_requests: int = 0
    compute_way: compute_pb2.ComputeWay = compute_pb2.COMPUTE_WAY_UNSPECIFIED
    reason: str = ""
    hedge: bool = False
    pipeline_step: str = ""


class Trace:
    """The notes of one request. now: a clock that does not stand still within a turn of the event loop.

    table, variant, routed, found: None until it is known. step, version: what is tried at present, for attempts that
    begin. parts, part_bytes: that the caller was given of an answer in parts. pipeline_step: of the attempts noted
    here; empty unless they are those of one step.
    """

    __slots__ = (
        "attempts", "found", "now", "part_bytes", "parts", "pipeline_step", "routed", "started", "step", "table",
        "variant", "version",
    )  # fmt: skip

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.started = now()
        self.table: Table | None = None
        self.variant: Variant | None = None
        self.routed: float | None = None
        self.found: Answer | None = None
        self.parts = self.part_bytes = 0
        self.step, self.version = PRIMARY, ""
        self.pipeline_step = ""
        self.attempts: list[Attempt] = []

    def of_step(self, name: str, version: str) -> Trace:
        """Return what notes the attempts of one step of a pipeline, among those of the request."""
        notes = Trace(self.now)
        notes.attempts, notes.started, notes.step = self.attempts, self.started, self.step
        notes.version, notes.pipeline_step = version, name
        return notes

    def turn_to(self, step: str, version: str) -> None:
        """Note what is tried from now on: `primary` or a fallback, and the version that is to compute, if one is."""
        self.step, self.version = step, version

    def passed_over(self, step: str, reason: str) -> None:
        """Note what was not even tried, and why, such as TIME_SHORT."""
        now = self.now()
        self._add(Attempt(step, "", "", "", now, now, reason=reason))

    def sent(self, pool: str, batcher: str, *, hedge: bool = False) -> None:
        """Note that a batcher got the request."""
        self._add(Attempt(self.step, self.version, pool, batcher, self.now(), hedge=hedge))

    def not_sent(self, pool: str, reason: str) -> None:
        """Note that a pool had no batcher for the request."""
        now = self.now()
        self._add(Attempt(self.step, self.version, pool, "", now, now, reason=reason))

    def answered(self, batcher: str, response: batcher_pb2.InferResponse) -> None:
        """Note what a batcher answered."""
        attempt = self._open(batcher)
        if attempt is not None:
            attempt.ended = self.now()
            attempt.queue_us, attempt.compute_us = response.queue_us, response.compute_us
            attempt.batch_rows, attempt.batch_requests = response.batch_rows, response.batch_requests
            attempt.compute_way = response.compute_way
            attempt.reason = response.reason if response.code else ""

    def gone(self, batcher: str, reason: str) -> None:
        """Note that nothing will come from a batcher, and why."""
        attempt = self._open(batcher)
        if attempt is not None:
            attempt.ended, attempt.reason = self.now(), reason

    def _add(self, attempt: Attempt) -> None:
        if len(self.attempts) < MAX_ATTEMPTS:
            attempt.pipeline_step = self.pipeline_step
            self.attempts.append(attempt)

    def _open(self, batcher: str) -> Attempt | None:
        """Return the latest attempt at a batcher that has not ended."""
        return next(
            (
                one
                for one in reversed(self.attempts)
                if one.batcher == batcher and one.pipeline_step == self.pipeline_step and not one.ended
            ),
            None,
        )


# Callers ask for the breakdown of their answer's time with the header `headrace-timing: 1`.
ASKING_HEADER = "headrace-timing"
# The standard header, which browsers show; over gRPC a trailer of that name.
TIMING_HEADER = "server-timing"


class Marks:
    """Moments of one request, on the clock of `now`, the counters'; 0.0 for those that it did not come to.

    received: when all of it was there, and read. routed: when table, version and contract were settled. lookup_ended:
    when it was known whether a stored answer can be given. ended: when it was answered. queue_us, compute_us: as the
    batcher said of the execution that answered it.
    """

    __slots__ = ("arrived", "compute_us", "ended", "lookup_ended", "now", "queue_us", "received", "routed")

    def __init__(self, now: Callable[[], float], arrived: float) -> None:
        self.now, self.arrived = now, arrived
        self.received = self.routed = self.lookup_ended = self.ended = 0.0
        self.queue_us = self.compute_us = 0

    def end_receive(self) -> None:
        """Note that the request was read."""
        self.received = self.now()

    def end_routing(self) -> None:
        """Note that it is known what answers, if the inputs are as they must be."""
        self.routed = self.now()

    def end_lookup(self) -> None:
        """Note the end of the first look-up; those of fallbacks come later."""
        if not self.lookup_ended:
            self.lookup_ended = self.now()

    def resume_lookup(self) -> None:
        """Note that the look-up continues: a batcher was asked beside it, in vain."""
        self.lookup_ended = 0.0

    def answered(self, ended: float, queue_us: int, compute_us: int) -> None:
        """Note the answer."""
        self.lookup_ended = self.lookup_ended or ended
        self.ended, self.queue_us, self.compute_us = ended, queue_us, compute_us

    def parts_us(self) -> dict[str, float]:
        """Return the parts in microseconds; all but `total` add up to it.

        receive: the token, the body, its form. route: table, version, contract. cache: the look-up. queue, compute: as
        the batcher says. transit: everything else, which is the way to the batcher and back.
        """
        receive = (self.received - self.arrived) * 1e6
        route = (self.routed - self.received) * 1e6
        cache = (self.lookup_ended - self.routed) * 1e6
        total = (self.ended - self.arrived) * 1e6
        known = receive + route + cache + self.queue_us + self.compute_us
        return {
            "receive": receive,
            "route": route,
            "cache": cache,
            "queue": self.queue_us,
            "compute": self.compute_us,
            "transit": max(0.0, total - known),
            "total": total,
        }


def server_timing(marks: Marks) -> str:
    """Return the breakdown as the Server-Timing header has it, in milliseconds; the parts add up to the total."""
    return ", ".join(f"{name};dur={microseconds / 1000:.3f}" for name, microseconds in marks.parts_us().items())


def timing_of(headers: Mapping[str, str], marks: Marks | None) -> tuple[tuple[str, str], ...]:
    """Return the header, or trailer, of an answer whose caller asked for it; of others nothing."""
    if marks is None or ASKING_HEADER not in headers:
        return ()
    return ((TIMING_HEADER, server_timing(marks)),)

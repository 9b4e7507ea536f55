"""When to cut a batch, which requests to admit, which request to suspect of a failure. Pure: time is an argument.

Times are seconds of one monotonic clock. What is made for each batch is not frozen, which takes five times as long;
it is never written to (decision 61).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from headrace_runtime.shapes import ShapeKey
from headrace_servicekit.errors import Code

from headrace_batcher.decisions.work import Work

# Timers of the event loop fire on whole milliseconds: what is due within half of one is due.
TIMER_GRAIN_S = 0.0005
# A request is sent this much before the last moment at which the measured service time would still meet its deadline.
DEADLINE_MARGIN_S = 0.002
# A batch is sent ahead so long before the backend should be free: what sending takes, and a share of an execution, for
# none ends when it should. Of short executions it is no more than a quarter.
SENDING_S, EARLY = 0.001, 0.1
# Who has to wait is let in when there is time for this much more than what it should take: for how far executions are
# from their estimate on average, several times, and at least this.
SPREADS, LEAST_SLACK = 3.0, 0.1
# Executions in a row that failed on a lone request before the model rather than the requests is blamed.
MAX_BLAMED_IN_A_ROW = 16
# The same of executions that failed for want of memory: a caller may ask for too much, and a full GPU fails everybody.
MAX_BLAMED_FOR_MEMORY = 1
MIN_RETRY_S = 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """How batches of one version may be formed.

    preferred_rows: rising. instances: copies that execute at once. max_queue_rows, max_queue_bytes: what may wait.
    alone: whether each request is executed by itself, because it is answered in parts.
    """

    max_rows: int = 32
    preferred_rows: tuple[int, ...] = (8, 16, 32)
    max_wait_s: float = 0.005
    instances: int = 1
    max_queue_rows: int = 4096
    max_queue_bytes: int = 256 * 1024 * 1024
    alone: bool = False

    @property
    def max_executing(self) -> int:
        """Return how many batches may be at the backend: one more than it executes, so that it never idles; none more
        for streamed answers, whose duration is unknown."""
        return self.instances + (not self.alone)


@dataclass(slots=True)
class Group:
    """Waiting requests that can share a batch, at one moment.

    rows: of the priority that the batch is for. first: the request that goes first whatever the order of the others;
    None leaves it to their order.
    """

    key: ShapeKey
    rows: int
    first: Work | None = None


@dataclass(slots=True)
class Waiting:
    """A queue at one moment. A group is None when there is no such group.

    urgent: holds the request whose turn it is. overdue: the same, when the wait of any request is used up. full: has
    the rows of a whole batch. patient: that request's own wait is not used up. next_act_by: when the next wait is used
    up. online: whether this is about ONLINE requests, or what goes although they come; else it may have to step back.
    """

    urgent: Group | None
    overdue: Group | None
    full: Group | None
    patient: bool = True
    next_act_by: float = math.inf
    online: bool = True


@dataclass(slots=True)
class Cut:
    """Make a batch of at most `rows` of a group now."""

    group: Group
    rows: int
    why: str


@dataclass(slots=True)
class Wait:
    """Nothing to do before `until`, unless something arrives or an execution ends."""

    until: float
    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request may not wait. `retry_after_s` is 0 when trying again is of no use."""

    code: Code
    reason: str
    message: str
    retry_after_s: float = 0.0


def next_step(waiting: Waiting, executing: int, limits: Limits, ahead_at: float, now: float) -> Cut | Wait:
    """Return whether to cut a batch now, and which.

    While an instance of the backend is idle, whatever waits goes at once. While all are busy, one batch may be sent
    ahead, so that the backend finds it when it is done: a full one, or one whose oldest member has waited long enough.
    The second not before `ahead_at`: it would not begin sooner, and who is in it is decided with what comes meanwhile.
    """
    if waiting.urgent is None:
        return Wait(math.inf, "nothing waits")
    if executing < limits.instances:
        rows = batch_rows(waiting.urgent.rows, limits, patient=waiting.patient)
        return Cut(waiting.urgent, rows, "an instance is idle")
    if executing >= limits.max_executing:
        return Wait(math.inf, "the backend has enough to do")
    if waiting.overdue is not None:
        if now + TIMER_GRAIN_S < ahead_at:
            return Wait(ahead_at, "it would not begin sooner")
        return Cut(waiting.overdue, min(waiting.overdue.rows, limits.max_rows), "a member has waited long enough")
    if waiting.full is not None:
        return Cut(waiting.full, limits.max_rows, "the batch is full")
    return Wait(waiting.next_act_by, "more may come")


def ahead_at(finishes: Sequence[float], batch_s: float) -> float:
    """Return the time from which a batch whose oldest request waited long enough is sent ahead: just before the backend
    is free. finishes: when each execution at the backend should end. batch_s: service time of a full batch.
    """
    early_s = min(SENDING_S, batch_s / 4) + EARLY * batch_s
    return min(finishes, default=-math.inf) - early_s


def batch_rows(rows: int, limits: Limits, *, patient: bool) -> int:
    """Return how many of `rows` waiting rows to execute together.

    A batch that is a little over a preferred size is cut at it, if the rest is patient: backends are often as slow for
    17 rows as for 32. One that is well over it goes whole, since two executions would cost more than one.
    """
    if rows >= limits.max_rows:
        return limits.max_rows
    if patient:
        below = max((size for size in limits.preferred_rows if size <= rows), default=0)
        if below and rows - below <= below // 4:
            return below
    return rows


def act_by(arrived: float, max_wait_s: float, deadline: float, service_s: float) -> float:
    """Return until when a request may wait for batch-mates: its wait is used up, or its deadline would be missed."""
    return max(arrived, min(arrived + max_wait_s, deadline - service_s - DEADLINE_MARGIN_S))


def predicted_wait_s(finishes: Sequence[float], queued_rows: int, batch_s: float, limits: Limits, now: float) -> float:
    """Return how long a new request would wait before its execution begins.

    finishes: when each execution at the backend should end, in any order. batch_s: service time of a full batch.
    """
    ahead = len(finishes) - limits.instances
    if ahead < 0 and queued_rows == 0:
        return 0.0
    until_free = max(0.0, min(finishes) - now) if ahead >= 0 and finishes else 0.0
    batches = max(0, ahead) + queued_rows // limits.max_rows
    return until_free + batches * batch_s / limits.instances


def next_end(finishes: Collection[float], batch_s: float, limits: Limits, now: float) -> float:
    """Return when a batch that is sent ahead now would end: a request with an earlier deadline would be late in it.

    batch_s: service time of that batch. While an instance is idle or none is sent ahead, only `now` is too late: what
    could be in time was let in, and what waits is not executed yet.
    """
    if not limits.instances <= len(finishes) < limits.max_executing:
        return now
    return max(now, min(finishes)) + batch_s


def too_many_rows(rows: int, limits: Limits, *, online: bool) -> Refusal | None:
    """Return why a request is refused whatever its content and the queue, or None. Costs nothing, so it comes first."""
    most = most_rows(limits, online=online)
    if limits.alone:
        most = min(most, limits.max_rows)
    if rows <= most:
        return None
    message = f"{rows} rows in one request; at most {most} can wait"
    return Refusal(Code.RESOURCE_EXHAUSTED, "TOO_MANY_ROWS", message)


def slack(spread: float) -> float:
    """Return by how much more than its estimate there must be time for an answer, as a share of it.

    spread: how far executions are from their estimate on average.
    """
    return max(LEAST_SLACK, SPREADS * spread)


def admit(
    *, deadline: float, service_s: float, wait_s: float, batch_s: float, spread: float, fits: bool, now: float
) -> Refusal | None:
    """Return why a request is refused on admission, or None.

    service_s: the least that its execution takes alone, 0 when unknown. wait_s: predicted wait before it begins.
    batch_s: what the execution takes that it will be part of. spread: how far executions are from that on average.
    fits: whether there is room for it, or can be made. Who need not wait is let in without slack: nothing is lost when
    it is late, and what it took is learnt.
    """
    if deadline <= now:
        return Refusal(Code.DEADLINE_EXCEEDED, "DEADLINE_PASSED", "the deadline has passed")
    if not fits:
        return queue_full(wait_s)
    left = deadline - now
    if service_s > left:
        return Refusal(
            Code.DEADLINE_EXCEEDED,
            "DEADLINE_UNREACHABLE",
            f"an execution takes about {service_s * 1000:.0f} ms, {left * 1000:.0f} ms are left",
        )
    answer_s = (wait_s + batch_s) * (1.0 + slack(spread)) if wait_s else batch_s
    if answer_s > left:
        return Refusal(
            Code.RESOURCE_EXHAUSTED,
            "OVERLOADED",
            f"an answer takes up to {answer_s * 1000:.0f} ms now, {left * 1000:.0f} ms are left",
            max(answer_s - left, MIN_RETRY_S),
        )
    return None


def queue_full(wait_s: float) -> Refusal:
    """Return why a request is refused that there is no room for, or that has to make room for another."""
    return Refusal(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", "the queue of this version is full", max(wait_s, MIN_RETRY_S))


def most_rows(limits: Limits, *, online: bool) -> int:
    """Return how many rows of a priority may wait.

    The priorities below ONLINE share half of the queue, so that they never keep out callers who wait.
    """
    return limits.max_queue_rows if online else limits.max_queue_rows // 2


def room_rows(queued_rows: int, online_rows: int, limits: Limits, *, online: bool) -> int:
    """Return how many rows of a priority may still queue."""
    room = limits.max_queue_rows - queued_rows
    return room if online else min(room, most_rows(limits, online=False) - (queued_rows - online_rows))


def lone_failure_blames_input(failures_in_a_row: int, *, for_memory: bool = False) -> bool:
    """Return whether a request that failed alone is at fault, rather than a model that fails on everything.

    failures_in_a_row: executions that failed since the version last answered, this one included. for_memory: whether
    it failed for want of that.
    """
    return failures_in_a_row <= (MAX_BLAMED_FOR_MEMORY if for_memory else MAX_BLAMED_IN_A_ROW)

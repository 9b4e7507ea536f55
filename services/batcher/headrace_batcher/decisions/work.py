"""One request on its way through the batcher, and its priority."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headrace_runtime.shapes import FIXED, ShapeKey

from headrace_batcher.decisions.answers import Answer, Failure
from headrace_batcher.decisions.part_flow import PartFlow
from headrace_batcher.encoder import Encoder
from headrace_batcher.metrics import BatchCounters

# The most urgent first.
ONLINE, SHADOW, BATCH = range(3)
PRIORITIES = (ONLINE, SHADOW, BATCH)


class State(enum.Enum):
    """Where a request is. TAKEN is out of the queue and not settled yet; only who settles or cancels makes it DONE."""

    NEW = enum.auto()
    QUEUED = enum.auto()
    TAKEN = enum.auto()
    DONE = enum.auto()


QUEUED, TAKEN, DONE = State.QUEUED, State.TAKEN, State.DONE


class Sink(Protocol):
    """Takes what becomes of a request. Called exactly once for each, unless it was cancelled."""

    def settle(self, work: Work, outcome: Answer | Failure) -> None:
        """Take the outcome. Must not raise."""
        ...

    def part(self, work: Work, part: Answer) -> int:
        """Take one of several answers, before the outcome, and return its bytes. The request is DONE where it cannot be
        sent. Must not raise."""
        ...


class Owner(Protocol):
    """The batcher that a request was sent to."""

    @property
    def encoder(self) -> Encoder: ...

    @property
    def counters(self) -> BatchCounters: ...

    @property
    def sleeps(self) -> bool: ...

    def cancel(self, work: Work) -> None:
        """Drop a request whose caller left."""
        ...

    def discard(self, work: Work) -> None:
        """Forget a request, wherever it is."""
        ...


@dataclass(slots=True, eq=False)
class Work:
    """One request, or one piece of a split one, on its way.

    inputs: present ones, in the order of the contract. wanted: positions of outputs, empty for all. arrived, deadline,
    act_by: monotonic seconds; no deadline is infinity. pieces: of a request too large for one batch; is_piece: whether
    this is one of those. failed: whether an execution with it did. traceparent, request_id: of a request whose caller
    is followed, else empty. number, holder: its place in the queue, set there. cut: sizes of its answer, padded and
    as they should be. flow: of the parts of its answer, None where it has one.
    """

    sink: Sink
    id: int
    batcher: Owner
    rows: int
    inputs: Sequence[bytes]
    arrived: float
    key: ShapeKey = FIXED
    wanted: tuple[int, ...] = ()
    priority: int = ONLINE
    client: str = ""
    deadline: float = math.inf
    max_wait_s: float | None = None
    act_by: float = 0.0
    size_bytes: int = 0
    state: State = State.NEW
    pieces: Sequence[Work] = field(default=())
    is_piece: bool = False
    failed: bool = False
    traceparent: str = ""
    request_id: str = ""
    number: int = 0
    holder: Client | None = None
    cut: tuple[tuple[int, int], ...] = ()
    flow: PartFlow | None = None


class Client:
    """What one client has waiting at one priority. tag: where its turn is, in rows; waiting: by number."""

    __slots__ = ("has_turn", "name", "rows", "size_bytes", "tag", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.tag = 0
        self.rows = 0
        self.size_bytes = 0
        self.waiting: dict[int, Work] = {}
        self.has_turn = False

    def oldest(self) -> Work:
        """Return the request that came first; there must be one."""
        return next(iter(self.waiting.values()))

    def newest_first(self) -> Iterator[Work]:
        """Return all requests, the last one first."""
        return reversed(self.waiting.values())


def settle(works: Iterable[Work], outcome: Failure) -> None:
    """Give the same outcome to several requests; those that are done already keep theirs."""
    for work in works:
        if work.state is not DONE:
            work.state = DONE
            work.sink.settle(work, outcome)

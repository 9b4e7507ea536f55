"""One request on its way through the batcher, and the class that it is of."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace_batcher.batching.answers import Failure, Sink
from headrace_batcher.batching.shapes import FIXED, ShapeKey

if TYPE_CHECKING:
    from headrace_batcher.batching.batcher import Batcher
    from headrace_batcher.queueing.clients import Client

# The most urgent first.
ONLINE, SHADOW, BATCH = range(3)
CLASSES = (ONLINE, SHADOW, BATCH)


class State(enum.Enum):
    """Where a request is. TAKEN is out of the queue and not settled yet; only who settles or cancels makes it DONE."""

    NEW = enum.auto()
    QUEUED = enum.auto()
    TAKEN = enum.auto()
    DONE = enum.auto()


QUEUED, TAKEN, DONE = State.QUEUED, State.TAKEN, State.DONE


@dataclass(slots=True, eq=False)
class Work:
    """One request, or one piece of a split one, on its way.

    inputs: present ones, in the order of the contract. wanted: positions of outputs, empty for all. arrived, deadline,
    act_by: monotonic seconds; no deadline is infinity. pieces: of a request too large for one batch; is_piece: whether
    this is one of those. failed: whether an execution with it did. traceparent, request_id: of a request whose caller
    is followed, else empty. number, holder: its place in the queue, set there.
    """

    sink: Sink
    id: int
    batcher: Batcher
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


def settle(works: Iterable[Work], outcome: Failure) -> None:
    """Give the same outcome to several requests; those that are done already keep theirs."""
    for work in works:
        if work.state is not DONE:
            work.state = DONE
            work.sink.settle(work, outcome)

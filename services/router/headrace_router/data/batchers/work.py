"""One request on its way through a batcher, and who computes answers. Knows no transport."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol

from headrace.batcher.v1 import batcher_pb2

if TYPE_CHECKING:
    from headrace_router.data.batchers.decisions.outliers import Endpoint
    from headrace_router.data.outputs import KnownForms
    from headrace_router.data.routes.decisions.fallback_steps import Hedge
    from headrace_router.data.trace import Trace

# Classes are numbers as in `InferRequest`; 0 is what did not say, and is read as this.
ONLINE = batcher_pb2.InferRequest.PRIORITY_ONLINE


class Online(Protocol):
    """What computes answers."""

    @property
    def in_flight(self) -> int:
        """Return how many works are at batchers."""
        ...

    def submit(self, works: Iterable[Work]) -> None:
        """Settle the `answer` of each work, sooner or later."""
        ...

    def withdraw(self, work: Work) -> None:
        """Stop caring about a work."""
        ...


class Holder(Protocol):
    """Who has a work in flight."""

    def withdraw(self, work: Work) -> None:
        """Forget a work."""
        ...

    def suspects(self, work: Work) -> bool:
        """Return whether a work is not for anybody else, because it may be why its version has gone."""
        ...


class Work:
    """One request on its way through a batcher.

    inputs, absent, dims, outputs: as in `InferRequest`. deadline: on the loop's clock. answer: settled with the
    `InferResponse` or with an error; whoever awaits it withdraws the work when it no longer wants the answer.
    priority: class as in `InferRequest`. queue_timeout_s: how long it may wait for a batcher that is away for a moment;
    the pools have a bound of their own, and whoever has something else to try says 0. traceparent, request_id: of a
    request that is recorded or logged, else empty. answers: which of them keep the contract; None takes any. trace: of
    one that is explained. again: whether a batcher was asked for an answer before. hedged: how its route hedges it, if
    it does.

    replica, standing, sent: who has it in flight (None: nobody), how that one does, and since when. twin: the same
    request at a second replica; whichever answers first settles `answer`, which both share. first: of a twin, the one
    that it is the twin of. probes: whether it tries a replica that was ejected.
    """

    __slots__ = (
        "absent",
        "again",
        "answer",
        "answers",
        "attempts",
        "client",
        "deadline",
        "digest",
        "dims",
        "endpoint",
        "first",
        "hedge_tick",
        "hedged",
        "id",
        "inputs",
        "max_wait_us",
        "outputs",
        "pool",
        "priority",
        "probes",
        "queue_timeout_s",
        "replica",
        "request_id",
        "rows",
        "sent",
        "size_bytes",
        "tick",
        "trace",
        "traceparent",
        "twin",
    )  # fmt: skip

    def __init__(
        self,
        answer: asyncio.Future[batcher_pb2.InferResponse],
        pool: str,
        digest: str,
        rows: int,
        inputs: Sequence[bytes],
        deadline: float,
        *,
        absent: Sequence[int] = (),
        dims: Sequence[int] = (),
        outputs: tuple[int, ...] = (),
        max_wait_us: int | None = None,
        client: str = "",
        priority: int = ONLINE,
        queue_timeout_s: float = math.inf,
        traceparent: str = "",
        request_id: str = "",
        trace: Trace | None = None,
        again: bool = False,
        hedged: Hedge | None = None,
    ) -> None:
        self.answer, self.pool, self.digest, self.rows, self.inputs = answer, pool, digest, rows, inputs
        self.deadline, self.absent, self.dims, self.outputs = deadline, absent, dims, outputs
        self.max_wait_us, self.client, self.traceparent = max_wait_us, client, traceparent
        self.request_id, self.priority, self.trace, self.again = request_id, priority, trace, again
        self.queue_timeout_s, self.hedged = queue_timeout_s, hedged
        self.size_bytes = sum(map(len, inputs))
        self.attempts = self.tick = self.hedge_tick = self.id = 0
        self.sent = 0.0
        self.probes = False
        self.answers: KnownForms | None = None
        self.replica: Holder | None = None
        self.endpoint: Endpoint[Any] | None = None
        self.twin: Work | None = None
        self.first: Work | None = None

    def doubled(self) -> Work:
        """Return the twin of this work, not yet sent."""
        twin = copy(self)
        twin.first, self.twin = self, twin
        twin.replica = twin.endpoint = None
        twin.probes = False
        return twin

    def beside(self) -> Work | None:
        """Return the other one of two twins if it is in flight."""
        other = self.twin if self.first is None else self.first
        return other if other is not None and other.replica is not None else None

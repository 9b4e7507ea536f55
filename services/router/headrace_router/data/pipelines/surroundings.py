"""What a run of a pipeline needs of those around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from headrace.batcher.v1 import batcher_pb2

from headrace_router.data.batchers.decisions.balance import RetryBudget
from headrace_router.data.batchers.work import Online, PipelineWork, Work
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.served import PlannedStep, RecordedStep

# The outcome of a step whose outputs were kept.
CACHED = "CACHED"


class StepExecution(NamedTuple):
    """What a member computed. inputs: those present, laid out as `layout` says. took_s: with the wait."""

    layout: Layout
    inputs: Sequence[bytes]
    response: batcher_pb2.InferResponse
    took_s: float


RecordStep = Callable[[RecordedStep, ResolvedRequest, StepExecution], object]


class Prospects(Protocol):
    """What is known of those who run steps."""

    def needs_s(self, pool: str, digest: str) -> float:
        """Return how long an answer probably takes, infinite when no batcher can give one."""
        ...

    def renews(self, pool: str, digest: str) -> bool:
        """Return whether one request may measure again how long an answer takes."""
        ...


class StepCache(Protocol):
    """What members computed, for steps that declare it. Nothing here waits or raises."""

    def key(self, step: PlannedStep, work: PipelineWork, layout: Layout, inputs: Sequence[bytes]) -> bytes | None:
        """Return under what the outputs of a step are kept for a request; None where they are not."""
        ...

    def get(self, key: bytes, step: PlannedStep, work: PipelineWork) -> bytes | None:
        """Return outputs that are young enough, encoded as a batcher does."""
        ...

    def keep(self, key: bytes, outputs: bytes) -> None:
        """Keep what was computed just now."""
        ...


class Surroundings(Protocol):
    """Who runs steps, how long they take, and who hears of it."""

    online: Online
    prospects: Prospects
    budget: RetryBudget
    loop: asyncio.AbstractEventLoop
    max_rows: int
    queue_timeout_s: float
    cache: StepCache | None

    def miss(self, pool: str) -> float | None:
        """Note that a pool has no batcher for a step; return after how long one that is being started answers."""
        ...

    def ended(self, work: Work) -> None:
        """Forget the run of a work."""
        ...

    def record(self, step: RecordedStep, asked: ResolvedRequest, executed: StepExecution) -> None:
        """Note for the prediction log what a member computed for a request."""
        ...

    def count(self, step: PlannedStep, work: Work, outcome: str, took_s: float) -> None:
        """Count the execution of a step. outcome: the name of a gRPC code, WITHDRAWN or CACHED."""
        ...

"""One request that keeps its contract, on its way to an answer; and an answer that was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace_router.data.layouts import Layout
from headrace_router.data.messages import Call, Request, ServedFrom, Tensors
from headrace_router.data.routes.table import Table, Variant
from headrace_router.data.served import ServedVersion

if TYPE_CHECKING:
    from headrace_router.data.explain.trace import Trace


@dataclass(slots=True)
class ResolvedRequest:
    """What an answer is wanted to.

    table: that the request was admitted under; its settings hold to the end. variant: of the request's variant. layout,
    inputs: the inputs present, in the order of the contract. outputs: positions in the contract of those wanted; empty
    means all. trace: of a request that is explained. again: whether a batcher was asked for an answer before.
    queue_timeout_s: how long to wait at most for a batcher that is away for a moment. last: whether nothing else can
    answer, so that an answer past its time may stand in for an error where the route allows it.
    """

    table: Table
    variant: Variant
    request: Request
    call: Call
    tensors: Tensors
    layout: Layout
    inputs: Sequence[bytes]
    outputs: tuple[int, ...]
    trace: Trace | None = None
    again: bool = False
    queue_timeout_s: float = math.inf
    last: bool = True


@dataclass(slots=True)
class LookupResult:
    """Encoded outputs, where they come from, and what it took to compute them (0 when nothing was computed).

    served: the version that computed them; None for values that the route gives. layer: that had a stored answer,
    `memory` or `valkey`. fallback_step, degraded_reason: as in PredictResponse. lookup_outcome: why nothing kept could
    be given, for an answer that was computed (as in ExplainResponse). shared_execution: whether it was computed for
    another request with the same key, which this one waited for. batch_requests: requests of the execution that
    computed it, 0 when nothing was.
    """

    outputs: bytes
    served_from: ServedFrom
    served: ServedVersion | None
    age_ms: int = 0
    layer: str = ""
    queue_us: int = 0
    compute_us: int = 0
    fallback_step: str = ""
    degraded_reason: str = ""
    lookup_outcome: str = ""
    shared_execution: bool = False
    batch_requests: int = 0

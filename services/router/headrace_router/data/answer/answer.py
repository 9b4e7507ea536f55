"""An answer, as what finds it gives it and codecs render it.

It is made for each request, and not frozen, which takes five times as long; it is never written to (decision 61).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code

from headrace_router.data.tables.contract import Contract
from headrace_router.data.tables.served import ServedVersion

NO_CONTRACT = Contract((), ())


class ServedFrom(enum.IntEnum):
    """Where an answer comes from, with the numbers of `PredictResponse.ServedFrom`."""

    ONLINE = 1
    CACHE = 2
    PRECOMPUTED = 3
    STALE = 4
    FALLBACK = 5


class Rest(Protocol):
    """What follows the first part of an answer. empty: whether there was none. compute_us: of all, at the end."""

    empty: bool
    compute_us: int

    async def next(self) -> batcher_pb2.InferResponse | None:
        """Return the next part, None behind the last. Raises ServiceError."""
        ...

    def sent(self, size_bytes: int) -> None:
        """Note that a part was given to the caller."""
        ...

    def close(self, code: Code | None = None) -> None:
        """End it, wherever it is. code: by which it is counted; None where that is known by what came."""
        ...


@dataclass(slots=True)
class Answer:
    """An answer: what was found, and what its caller gets besides.

    The look-up says: outputs: as the encoded fields 5 and 6 of PredictResponse. served: the version that computed them;
    None for values that the route gives. layer: that had a stored answer, `memory` or `valkey`. queue_us, compute_us,
    batch_requests: what it took to compute them, 0 when nothing was computed. fallback_step, degraded_reason: the
    fallback that answered and why, if any. lookup_outcome: why nothing kept could be given, for an answer that was
    computed (as in ExplainResponse). shared_execution: whether it was computed for another request with the same key,
    which this one waited for. invalid: computed, with a value that the contract excludes. missing_steps: of a pipeline,
    those that the answer does without. rest: of an answer in parts, of which this is the first; None for one that has
    none.

    The predictor adds, and it alone: model, contract: whose outputs these are. version: id of the one that computed
    them; empty for values that the route gives. variant: empty for a pinned version. rule: that chose the variant, if
    any. took_s: since the call arrived. part: position among the parts.
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
    invalid: bool = False
    missing_steps: tuple[str, ...] = ()
    rest: Rest | None = None

    model: str = ""
    contract: Contract = NO_CONTRACT
    version: str = ""
    variant: str = ""
    rule: str = ""
    generation: int = 0
    request_id: str = ""
    prediction_id: str = ""
    took_s: float = 0.0
    part: int = 0

"""What was found, as the path of a prediction hands it on; and which errors a kept answer may stand in for."""

from __future__ import annotations

from headrace_servicekit.errors import Code, ServiceError

from headrace_router.data.lookup.freshness import Kept
from headrace_router.data.messages import ServedFrom
from headrace_router.data.question import Found
from headrace_router.data.routes.table import Arm

# What says nothing against the request: another answer may stand in.
_STANDS_IN = frozenset(
    (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS)
)


def given(arm: Arm, answer: Kept, *, stale: bool = False, degraded_reason: str = "") -> Found:
    """Return a kept answer as found."""
    source = ServedFrom.STALE if stale else ServedFrom.PRECOMPUTED if answer.precomputed else ServedFrom.CACHE
    return Found(
        answer.outputs,
        source,
        arm.served,
        int(answer.age_s * 1000),
        answer.layer,
        degraded_reason=degraded_reason,
    )


def stands_in(error: ServiceError) -> bool:
    """Return whether an older answer is better than this error."""
    return error.code in _STANDS_IN

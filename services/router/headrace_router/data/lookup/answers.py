"""What was found, as the path of a prediction hands it on; and which errors a stored answer may stand in for."""

from __future__ import annotations

from headrace_servicekit.errors import Code, ServiceError

from headrace_router.data.lookup.freshness import StoredAnswer
from headrace_router.data.messages import ServedFrom
from headrace_router.data.resolved_request import LookupResult
from headrace_router.data.routes.table import Variant

# What says nothing against the request: another answer may stand in.
_STANDS_IN = frozenset(
    (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS)
)


def given(variant: Variant, answer: StoredAnswer, *, stale: bool = False, degraded_reason: str = "") -> LookupResult:
    """Return a stored answer as found."""
    source = ServedFrom.STALE if stale else ServedFrom.PRECOMPUTED if answer.precomputed else ServedFrom.CACHE
    return LookupResult(
        answer.outputs,
        source,
        variant.served,
        int(answer.age_s * 1000),
        answer.layer,
        degraded_reason=degraded_reason,
    )


def stands_in(error: ServiceError) -> bool:
    """Return whether an older answer is better than this error."""
    return error.code in _STANDS_IN

"""Which errors a fallback may answer in place of, and which one the caller gets when none does. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from headrace_servicekit.errors import Code, InvalidArgument, ServiceError

from headrace_router.data.answer.refusals import deadline_exceeded
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.decisions.fallback_steps import Backup, FallbackStep

# What another version, pool or source may do better.
_ELSEWHERE = frozenset(
    (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS)
)
# Reasons that are about the request although their code is RESOURCE_EXHAUSTED.
_TOO_LARGE = frozenset(("ANSWER_TOO_LARGE", "TOO_MANY_ROWS"))
_NOT_PRECOMPUTED = "NOT_PRECOMPUTED"


def falls_back(error: ServiceError) -> bool:
    """Return whether an error of the request's own version is one that a fallback may answer in its place."""
    if error.code in _ELSEWHERE:
        return error.reason not in _TOO_LARGE
    return error.reason == _NOT_PRECOMPUTED


def blames_the_caller(error: ServiceError, resolved: ResolvedRequest, step: FallbackStep) -> bool:
    """Return whether a fallback found what the request's own version would have found wrong with it too."""
    if not (isinstance(error, InvalidArgument) and error.violations and isinstance(step, Backup)):
        return False
    return step.served is None or step.served.contract == resolved.variant.served.contract


def error_to_return(errors: Sequence[ServiceError], *, in_time: bool) -> ServiceError:
    """Return the error for the caller: the first one, and DEADLINE_EXCEEDED only when the deadline has passed."""
    if not errors:
        return deadline_exceeded()
    if in_time:
        return next((one for one in errors if one.code is not Code.DEADLINE_EXCEEDED), errors[0])
    return errors[0]

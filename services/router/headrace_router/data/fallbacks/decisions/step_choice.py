"""Which step of a fallback chain is tried next, and until when: a decision over plain times.

A fallback chain's steps are the request's own version and then the fallbacks of its route. A step that takes as long as
it probably takes must leave time for a later one to answer, should it fail; a step that would not is passed over.
Seconds throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from headrace_servicekit.errors import Code, InvalidArgument, ServiceError

from headrace_router.data.answer.refusals import deadline_exceeded
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.decisions.fallback_steps import Backup, FallbackStep

# Each step that hands over costs at least so much: deadlines are up to a tick of 4 ms late. So does the way to the
# caller, whose clock began to run before ours did: with a longer timeout the answer comes earlier, by a share of it.
HAND_OVER_S, LONGEST_HAND_OVER_S, HAND_OVER_SHARE = 0.006, 0.05, 0.05
CANNOT = math.inf
AT_HAND = 0.0


class Choice(NamedTuple):
    """A step, and how long it may take."""

    step: int
    within_s: float


def choose(left_s: float, needs_s: Sequence[float], start: int = 0) -> Choice | None:
    """Return the first step from `start` on that can answer in time; None when none of them can answer at all.

    left_s: until the caller's deadline. needs_s: how long each step probably takes; CANNOT for one that cannot answer,
    AT_HAND for one whose answer is there already. When each would take too long, the first one gets all the time: a
    guess may be wrong, an error is certain.
    """
    pending = rooms_s(left_s, needs_s)
    for step in range(start, len(needs_s)):
        own_s = needs_s[step]
        if own_s > left_s:
            continue
        if own_s == AT_HAND:
            return Choice(step, left_s)
        alone = True
        for room_s in pending[step + 1 :]:
            if own_s + room_s <= left_s:
                return Choice(step, left_s - room_s)
            alone = alone and room_s == CANNOT
        if alone:
            return Choice(step, left_s)
    for step in range(start, len(needs_s)):
        if needs_s[step] < CANNOT:
            return Choice(step, left_s)
    return None


def hand_over_s(left_s: float) -> float:
    """Return what a step that hands over costs. left_s: until the caller's deadline."""
    return max(HAND_OVER_S, min(LONGEST_HAND_OVER_S, HAND_OVER_SHARE * left_s))


def rooms_s(left_s: float, needs_s: Sequence[float]) -> list[float]:
    """Return how much time each step wants to be left with: for itself, and for the quickest one after it.

    CANNOT for one that cannot answer within the time that is left now.
    """
    pending, quickest_s, cost_s = [], CANNOT, hand_over_s(left_s)
    for own_s in reversed(needs_s):
        room_s = CANNOT
        if own_s <= left_s:
            after_s = quickest_s if own_s > AT_HAND and quickest_s < CANNOT else 0.0
            room_s = own_s + cost_s + after_s
        pending.append(room_s)
        quickest_s = min(quickest_s, room_s)
    return pending[::-1]


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

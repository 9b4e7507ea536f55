"""Which step of a fallback chain is tried next, and until when: a decision over plain times.

A fallback chain's steps are the request's own version and then the fallbacks of its route. A step that takes as long as
it probably takes must leave time for a later one to answer, should it fail; a step that would not is passed over.
Seconds throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

# Each step that hands over costs at least so much: deadlines are up to a tick of 4 ms late. So does the way to the
# caller, whose clock began to run before ours did: who allows more time is told sooner, by a share of it.
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

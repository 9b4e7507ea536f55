"""A token bucket as a function of time. One number says all of it: when it is full again, if nothing more is taken.

`lua/take.lua` is the same in Valkey, for all data planes together.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# What is short of a whole token by so little is one: times are rounded.
_ROUNDING = 1e-6


class Rate(NamedTuple):
    """per_s: tokens that come in a second. burst: how many the bucket holds, 1 or more."""

    per_s: float
    burst: float


class Taken(NamedTuple):
    """tokens: how many there were, of those wanted. next_s: until there is one again, 0 where there is."""

    tokens: int
    next_s: float
    full_at: float


def take(rate: Rate, full_at: float, wanted: int, now: float) -> Taken:
    """Return what a bucket gives. full_at: as it was after the time before; of a new one any time that has passed."""
    # Under a clock that was put back a bucket is empty, and fills as any other.
    begins = min(max(full_at, now), now + rate.burst / rate.per_s)
    there = math.floor(rate.burst - (begins - now) * rate.per_s + _ROUNDING)
    tokens = max(0, min(wanted, there))
    full_at = begins + tokens / rate.per_s
    return Taken(tokens, max(0.0, full_at - now - (rate.burst - 1) / rate.per_s), full_at)

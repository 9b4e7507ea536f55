"""What stood idle, and how many replicas would have been enough. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from headrace_servicekit.times import HOUR

HOUR_S = HOUR.total_seconds()
# Batchers report every so many seconds: the first report of an hour is of the one before, too.
REPORTED_S = 5.0


class Presence(NamedTuple):
    """An hour of a pool. present_s, busy_s: of all its batchers together."""

    hour: datetime
    pool: str
    present_s: float
    busy_s: float


class Enough(NamedTuple):
    """Replicas that would have held the busiest hour at the target, and the hours that they would have spared."""

    replicas: int
    spared_hours: float


@dataclass(frozen=True, slots=True)
class IdlePool:
    """What a pool was used for. busiest: replicas that were busy in its busiest hour. lasted_hours: of its hours."""

    pool: str
    present_hours: float
    busy_hours: float
    busiest: float
    lasted_hours: float

    @property
    def replicas(self) -> float:
        """Return how many there were on average."""
        return self.present_hours / self.lasted_hours

    def enough(self, target: float, left: float = 1.0) -> Enough:
        """Return how many would have been enough. left: share of what executed that is still to execute."""
        replicas = math.ceil(self.busiest * left / target - 1e-9) if self.busiest else 0
        return Enough(replicas, max(0.0, self.present_hours - replicas * self.lasted_hours))

    @property
    def idle_hours(self) -> float:
        """Return how long its batchers were there and did nothing."""
        return self.present_hours - self.busy_hours

    def advice(self, target: float, price_per_hour: float) -> str:
        """Return a sentence for who pays."""
        share = self.busy_hours / self.present_hours if self.present_hours else 0.0
        seen = f"{self.replicas:.3g} replicas on average were busy {share:.0%} of their time"
        if not self.busy_hours:
            return f"{seen}: nothing executed, so that the pool may go, or scale to zero"
        enough, spared_hours = self.enough(target)
        if spared_hours < 1:
            return f"{seen}: as many as the busiest hour needs at {target:.0%}"
        saved = f", {spared_hours * price_per_hour:,.2f} saved" if price_per_hour else ""
        kept = f"{enough} would have held the busiest hour at {target:.0%}"
        return f"{seen}: {kept}, {spared_hours:,.0f} hours less{saved}"


def idle_pool(hours: Sequence[Presence], now: datetime) -> IdlePool:
    """Return what one pool was used for, from its hours."""
    present_s, busy_s = sum(one.present_s for one in hours), sum(one.busy_s for one in hours)
    # Of the present hour only a part has passed.
    passed_s = {one: min(HOUR_S, max(0.0, (now - one.hour).total_seconds()) + REPORTED_S) for one in hours}
    busiest = max((one.busy_s / passed_s[one] for one in hours), default=0.0)
    return IdlePool(hours[0].pool, present_s / HOUR_S, busy_s / HOUR_S, busiest, sum(passed_s.values()) / HOUR_S)

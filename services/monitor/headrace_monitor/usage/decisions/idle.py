"""What stood idle, and how many replicas would have been enough. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from headrace_monitor.times import HOUR

HOUR_S = HOUR.total_seconds()
# Batchers report every so many seconds: the first report of an hour is of the one before, too.
REPORTED_S = 5.0


class Presence(NamedTuple):
    """An hour of a pool. present_s, busy_s: of all its batchers together."""

    hour: datetime
    pool: str
    present_s: float
    busy_s: float


@dataclass(frozen=True, slots=True)
class IdlePool:
    """What a pool was used for. enough: replicas that would have kept its busiest hour at the target."""

    pool: str
    present_hours: float
    busy_hours: float
    replicas: float
    enough: int
    spared_hours: float

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
        if self.spared_hours < 1:
            return f"{seen}: as many as the busiest hour needs at {target:.0%}"
        saved = f", {self.spared_hours * price_per_hour:,.2f} saved" if price_per_hour else ""
        enough = f"{self.enough} would have kept the busiest hour at {target:.0%}"
        return f"{seen}: {enough}, {self.spared_hours:,.0f} hours less{saved}"


def idle_pool(hours: Sequence[Presence], target: float, now: datetime) -> IdlePool:
    """Return what one pool was used for, from its hours. target: share of its time that a replica should be busy."""
    present_s, busy_s = sum(one.present_s for one in hours), sum(one.busy_s for one in hours)
    # Of the hour that goes on only a part has passed.
    passed_s = {one: min(HOUR_S, max(0.0, (now - one.hour).total_seconds()) + REPORTED_S) for one in hours}
    busiest = max((one.busy_s / passed_s[one] for one in hours), default=0.0)
    enough = math.ceil(busiest / target - 1e-9) if busiest else 0
    lasted_s = sum(passed_s.values())
    return IdlePool(
        hours[0].pool,
        present_s / HOUR_S,
        busy_s / HOUR_S,
        present_s / lasted_s,
        enough,
        max(0.0, present_s - enough * lasted_s) / HOUR_S,
    )

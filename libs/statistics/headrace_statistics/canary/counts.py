"""What both arms of a rollout answered in a tick, as the judgement takes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """What an answer may be counted as. ERRORS: also answers of the version's fallback. SLO, SLOWER_P90, SLOWER_MEDIAN:
    beyond what is slow in the tail, and for a tenth and a half of the baseline's answers.
    """

    ERRORS = "errors"
    TIMEOUTS = "timeouts"
    SLO = "slo"
    INVALID_OUTPUTS = "invalid_outputs"
    SLOWER_P90 = "slower_p90"
    SLOWER_MEDIAN = "slower_median"


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """Counts of one arm. Only requests that its version was asked to compute count: an answer from a cache says
    nothing about a version, and arms have different shares of them.

    requests: ONLINE answers and faults. slow, slower_p90, slower_median: as the metrics. invalid_outputs: NaN, or out
    of the contract's range. For sticky assignment, erring_units: units with a fault or an invalid output that had none
    before in either arm. units: of the arm so far.
    """

    requests: int
    errors: int = 0
    timeouts: int = 0
    slow: int = 0
    invalid_outputs: int = 0
    erring_units: int = 0
    slower_p90: int = 0
    slower_median: int = 0
    units: int = 0

    def of(self, metric: Metric) -> int:
        """Return how many of the requests count for a metric."""
        return self.slow if metric is Metric.SLO else getattr(self, metric)

    @property
    def failed(self) -> int:
        """How many of the requests make a unit one that erred, each time that it does."""
        return min(self.requests, self.errors + self.timeouts + self.invalid_outputs)

    def plus(self, other: ArmCounts) -> ArmCounts:
        """Return the sum; of what is counted so far, the latest."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in self.__slots__}
        return ArmCounts(**{**sums, "units": max(self.units, other.units)})

    @property
    def possible(self) -> bool:
        """Whether the counts can be true: none is below 0, or above the requests. Units are an estimate."""
        parts = [self.of(metric) for metric in Metric]
        return min(*parts, self.erring_units) >= 0 and max(parts) <= self.requests


@dataclass(frozen=True, slots=True)
class Tick:
    """New counts since the tick before, usually of a second.

    time: its end, in seconds since 1970. duration_s: its length. baseline: None where no other version serves any
    more. unit_share: of the units that are assigned, the canary's. complete: whether every data plane has reported.
    burdened: whether the canary computes clearly more than was ever computed in the past that it is held against: then
    slow answers may be of that.
    """

    time: float
    duration_s: float
    canary: ArmCounts
    baseline: ArmCounts | None
    complete: bool = True
    burdened: bool = False
    unit_share: float = 0.0

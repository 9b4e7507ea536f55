"""What both arms of a rollout answered in a tick, as the judgement takes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """What an answer may be counted as. ERRORS: also answers of a fallback that stands in for the version."""

    ERRORS = "errors"
    TIMEOUTS = "timeouts"
    SLO = "slo"
    INVALID_OUTPUTS = "invalid_outputs"


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """Counts of one arm. Only requests that its version was asked to compute count: an answer from a cache says
    nothing about a version, and arms have different shares of them.

    requests: ONLINE answers and faults. slow: beyond the SLO. invalid_outputs: NaN, or out of the contract's range.
    erring_units: units with a fault or an invalid output that had none before, for sticky assignment.
    """

    requests: int
    errors: int = 0
    timeouts: int = 0
    slow: int = 0
    invalid_outputs: int = 0
    erring_units: int = 0

    def of(self, metric: Metric) -> int:
        """Return how many of the requests count for a metric."""
        match metric:
            case Metric.ERRORS:
                return self.errors
            case Metric.TIMEOUTS:
                return self.timeouts
            case Metric.SLO:
                return self.slow
            case Metric.INVALID_OUTPUTS:
                return self.invalid_outputs

    def plus(self, other: ArmCounts) -> ArmCounts:
        """Return the sum."""
        return ArmCounts(
            self.requests + other.requests,
            self.errors + other.errors,
            self.timeouts + other.timeouts,
            self.slow + other.slow,
            self.invalid_outputs + other.invalid_outputs,
            self.erring_units + other.erring_units,
        )

    @property
    def possible(self) -> bool:
        """Whether the counts can be true: none is below 0, or above the requests. Units are an estimate."""
        parts = (self.errors, self.timeouts, self.slow, self.invalid_outputs)
        return min(*parts, self.erring_units) >= 0 and max(parts) <= self.requests


@dataclass(frozen=True, slots=True)
class Tick:
    """New counts since the tick before, usually of a second.

    time: its end, in seconds since 1970. duration_s: its length. baseline: None where no other version serves any
    more, as in the last step. complete: whether every data plane has reported. burdened: whether the canary computes
    clearly more than was ever computed in the past that it is held against: then slow answers may be of that.
    """

    time: float
    duration_s: float
    canary: ArmCounts
    baseline: ArmCounts | None
    complete: bool = True
    burdened: bool = False

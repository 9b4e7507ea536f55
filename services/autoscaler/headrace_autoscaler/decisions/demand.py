"""Demand by the minute, as history keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace_scaling.decisions.observations import Observation
from headrace_scaling.decisions.policies import PoolPolicy

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class MinuteOfDemand:
    """What was seen of one metric in one minute. start_s: when it begins. total, ready_total: sums over the samples."""

    metric: str
    start_s: float
    peak: float
    total: float
    ready_total: float
    samples: int

    @property
    def start(self) -> datetime:
        """When it begins."""
        return datetime.fromtimestamp(self.start_s, UTC)

    def with_sample(self, value: float, ready: int) -> MinuteOfDemand:
        """Return it with one more sample."""
        return MinuteOfDemand(
            self.metric,
            self.start_s,
            max(self.peak, value),
            self.total + value,
            self.ready_total + ready,
            self.samples + 1,
        )


Minutes = Mapping[str, MinuteOfDemand]
"""The current minute, by metric."""


def usable(policy: PoolPolicy, observation: Observation) -> dict[str, float]:
    """Return the values of the policy's targets that history keeps: totals, the first one for the seasonal floor."""
    values = {}
    for target in policy.targets:
        signal = observation.signal(target.metric)
        if target.is_total and signal.value is not None and signal.problem(policy.max_age_s) is None:
            values[target.metric.value] = signal.value
    return values


def add(
    minutes: Minutes, values: Mapping[str, float], ready: int, now_s: float
) -> tuple[Minutes, list[MinuteOfDemand]]:
    """Return the minutes with samples of now, and those that are over."""
    start_s = now_s // MINUTE_S * MINUTE_S
    going = {metric: minute for metric, minute in minutes.items() if minute.start_s == start_s}
    over = [minute for minute in minutes.values() if minute.start_s != start_s]
    for metric, value in values.items():
        minute = going.get(metric, MinuteOfDemand(metric, start_s, 0.0, 0.0, 0.0, 0))
        going[metric] = minute.with_sample(value, ready)
    return going, over

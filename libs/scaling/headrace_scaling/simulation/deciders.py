"""Who decides in a simulation: a policy, by the code that runs for real, or a rule to compare it with."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.dips import start_s
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.decisions.observations import Metric, Observation
from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.decisions.seasons import HOURS
from headrace_scaling.history import DemandHistory


class Decider(Protocol):
    """Decides every `interval_s` from what is seen then; `recall` gives it the days before the simulation."""

    @property
    def interval_s(self) -> float: ...

    def recall(self, now: float, demand: float) -> None: ...

    def decide(self, observation: Observation) -> int: ...


class PolicyDecider:
    """Runs a policy with its memory and its history, as the service does."""

    def __init__(self, policy: PoolPolicy) -> None:
        self.policy = policy
        self.memory: Memory | None = None
        self._history = DemandHistory(policy.season.days) if policy.season else None

    @property
    def interval_s(self) -> float:
        """Return how often it decides."""
        return self.policy.interval_s

    def recall(self, now: float, demand: float) -> None:
        """Take the demand of an earlier day."""
        if self._history is not None:
            self._history.record(now, demand)

    def decide(self, observation: Observation) -> int:
        """Return what the policy decides."""
        if self._history is not None:
            demand = observation.signal(self.policy.demand.metric).value
            self._history.record(observation.now, math.nan if demand is None else demand)
            ahead_s = start_s(self.policy, observation.load_time_s) + self.policy.interval_s
            observation = replace(
                observation,
                seasonal_peaks=self._history.peaks(observation.now, ahead_s),
                earlier_hours=self._history.earlier_hours(observation.now, ahead_s, HOURS),
            )
        decision, self.memory = decide(self.policy, self.memory, observation)
        return decision.desired


class FixedDecider:
    """Keeps a number of replicas."""

    interval_s = 60.0

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas

    def recall(self, now: float, demand: float) -> None:
        """Forget it."""

    def decide(self, observation: Observation) -> int:
        """Return the number."""
        return self._replicas


class ThresholdDecider:
    """The threshold rule of many first autoscalers: a quarter more above one limit, one less below three others.

    It is what the specification of this platform proposed: up at 500 requests/s for a replica, at 80 % utilisation or
    at a queue of 1,000, with 60 s of cooldown; down below 150, 40 % and no queue, with 300 s. It trusts its own count.
    """

    interval_s = 15.0

    def __init__(self, per_replica: float = 500.0, most: int = 20) -> None:
        self._per_replica, self._most = per_replica, most
        self._count: int | None = None
        self._up_at = self._down_at = -math.inf

    def recall(self, now: float, demand: float) -> None:
        """Forget it."""

    def decide(self, observation: Observation) -> int:
        """Return what the rule asks for."""
        count = observation.replicas.asked_for if self._count is None else self._count
        ready, now = max(1, observation.replicas.ready), observation.now
        rate = (observation.signal(Metric.REQUESTS_PER_S).value or 0.0) / max(1, count)
        utilisation = (observation.signal(Metric.GPU_UTILISATION).value or 0.0) / ready
        queue = observation.signal(Metric.QUEUED_ROWS).value or 0.0
        if utilisation > 0.8 or rate > self._per_replica or queue > 2 * self._per_replica:
            if now - self._up_at > 60.0 and count < self._most:
                count, self._up_at = min(count + max(1, count // 4), self._most), now
        elif (
            utilisation < 0.4
            and rate < 0.3 * self._per_replica
            and queue == 0.0
            and now - self._down_at > 300.0
            and count > 1
        ):
            count, self._down_at = count - 1, now
        self._count = count
        return count

"""How a pool is to be scaled: declared by people, stored with a version, given to `decide`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo

from headrace_scaling.decisions.observations import Metric


class TargetKind(StrEnum):
    """How a signal becomes a number of replicas (Kubernetes: AverageValue, Resource or Pods, Object or External)."""

    # A total is shared by replicas: ceil(total / target).
    TOTAL = "total"
    # The mean over replicas: ceil(ready * mean / target). Who does not report is assumed busy on the way down.
    REPLICA_MEAN = "replica_mean"
    # One value for the pool, assumed proportional to 1 / replicas: ceil(ready * value / target).
    POOL_VALUE = "pool_value"


KINDS = {
    Metric.GPU_UTILISATION: TargetKind.REPLICA_MEAN,
    Metric.GPU_MEMORY: TargetKind.REPLICA_MEAN,
    Metric.PREDICTED_WAIT_S: TargetKind.POOL_VALUE,
}


@dataclass(frozen=True, slots=True)
class Target:
    """What one replica should be asked for. Any target scales up; all must agree before the pool is scaled down.

    up_only: the signal tells of trouble and says nothing when it is low (a queue, a wait, shed requests).
    missing_as: what a replica that does not report is assumed at before scaling down; None means the target itself.
    """

    metric: Metric
    value: float
    kind: TargetKind | None = None
    up_only: bool = False
    missing_as: float | None = None

    @property
    def how(self) -> TargetKind:
        """Return how the signal becomes a number of replicas."""
        return self.kind or KINDS.get(self.metric, TargetKind.TOTAL)

    @property
    def is_total(self) -> bool:
        """Return whether the signal says how much is asked of the pool."""
        return self.how is TargetKind.TOTAL

    @property
    def is_mean(self) -> bool:
        """Return whether the signal is summed over replicas that report, and meant as their mean."""
        return self.how is TargetKind.REPLICA_MEAN


@dataclass(frozen=True, slots=True)
class Panic:
    """Knative's panic mode: when the short window wants `threshold` times what is ready, nothing is scaled down."""

    window_s: float = 6.0
    threshold: float = 2.0


@dataclass(frozen=True, slots=True)
class Growth:
    """Knative's rates: one decision multiplies ready replicas by at most `up`, and divides them by at most `down`."""

    up: float = 1000.0
    down: float | None = 2.0


@dataclass(frozen=True, slots=True)
class StepLimit:
    """Kubernetes' scaling policies: by how much replicas may change within a period. The larger of the two counts."""

    replicas: int = 0
    share: float = 0.0
    period_s: float = 60.0


@dataclass(frozen=True, slots=True)
class LookAhead:
    """Demand that rises throughout a window is extrapolated over the time that a replica takes to load.

    default_s: the load time until one was measured. most: the extrapolation's greatest ratio to demand now.
    """

    default_s: float = 60.0
    window_s: float = 60.0
    most: float = 2.0


@dataclass(frozen=True, slots=True)
class Season:
    """The floor that a pool's own history sets: a quantile of earlier days' peaks at this time.

    Where days of the week clearly differ, only the same day of earlier weeks counts. Until min_days are known, surges
    at the same minute of the last three hours count.
    value: demand per replica at those peaks; None means the first target's.
    """

    quantile: float = 0.9
    days: int = 14
    min_days: int = 3
    value: float | None = None


@dataclass(frozen=True, slots=True)
class ScaleToZero:
    """The pool may have no replica once nothing was asked of it for a while."""

    after_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Overflow:
    """What the pool cannot serve at its target goes to a pool of CPU replicas.

    per_replica: the first target of a replica there. while_loading: also what replicas that still load will serve.
    """

    pool: str
    per_replica: float
    max_replicas: int
    while_loading: bool = False
    hold_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Other bounds at certain times of the week. Minutes count from midnight; days from Monday, 0.

    A span whose end is not after its start goes over midnight and belongs to the day on which it starts.
    """

    name: str
    days: tuple[int, ...]
    start_minute: int
    end_minute: int
    min_replicas: int | None = None
    max_replicas: int | None = None
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a pool may use in a UTC day, in replica-hours or in money. warn_at: the used share from which it warns."""

    replica_hours: float | None = None
    money: float | None = None
    price_per_replica_hour: float | None = None
    warn_at: float = 0.8

    @property
    def hours(self) -> float | None:
        """Return the replica-hours that both allow."""
        bought = None
        if self.money is not None and self.price_per_replica_hour:
            bought = self.money / self.price_per_replica_hour
        given = [hours for hours in (self.replica_hours, bought) if hours is not None]
        return min(given) if given else None


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """How one pool is scaled.

    stable_window_s: what signals are averaged over; 0 takes the newest alone. scale_down_window_s: the pool is scaled
    down to the highest count that was wanted within it. bridged_starts: demand that falls and comes back within so many
    times what a start takes makes the window as long as that took. cooldown_up_s: how long after any change nothing is
    added; cooldown_down_s: how long after any change nothing is removed. max_age_s: older signals are stale.
    max_gap_s: a longer pause between two decisions is a restart, after which the scale is kept for a window.
    activation_replicas: the fewest while anything is asked of the pool. burst_reserve: concurrency that should be
    free beyond what is asked for; capacity: what one replica can take at most, in the first target's unit.
    """

    targets: tuple[Target, ...]
    min_replicas: int = 1
    max_replicas: int = 20
    interval_s: float = 5.0
    max_age_s: float = 15.0
    max_gap_s: float = 120.0
    stable_window_s: float = 60.0
    tolerance: float = 0.1
    scale_down_window_s: float = 300.0
    bridged_starts: float = 0.0
    cooldown_up_s: float = 0.0
    cooldown_down_s: float = 60.0
    activation_replicas: int = 1
    panic: Panic | None = None
    growth: Growth | None = None
    step_up: StepLimit | None = None
    step_down: StepLimit | None = None
    look_ahead: LookAhead | None = None
    season: Season | None = None
    scale_to_zero: ScaleToZero | None = None
    overflow: Overflow | None = None
    schedules: tuple[Schedule, ...] = ()
    budget: Budget | None = None
    burst_reserve: float | None = None
    capacity: float | None = None

    @property
    def demand(self) -> Target:
        """Return the target that demand is counted in: history, overflow and capacity have its unit."""
        return self.targets[0]

    @property
    def remembers_s(self) -> float:
        """Return how far back samples are needed."""
        ahead = self.look_ahead.window_s if self.look_ahead else 0.0
        return max(self.stable_window_s, self.panic.window_s if self.panic else 0.0, ahead)


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a policy, and what would be right."""

    field: str
    message: str


def violations(policy: PoolPolicy) -> tuple[Violation, ...]:
    """Return everything that makes a policy impossible to follow; empty for a good one."""
    return tuple(_violations(policy))


def _violations(policy: PoolPolicy) -> Iterator[Violation]:
    if not policy.targets:
        yield Violation("targets", "must name at least one target")
    for index, target in enumerate(policy.targets):
        if not 0 < target.value < float("inf"):
            yield Violation(f"targets[{index}].value", "must be a positive number")
    if policy.targets and policy.targets[0].how is not TargetKind.TOTAL:
        yield Violation(
            "targets[0]", "must be a total (requests_per_s, concurrency, busy_replicas): demand is counted in it"
        )
    if policy.min_replicas < 0:
        yield Violation("min_replicas", "must not be negative")
    if policy.max_replicas < max(1, policy.min_replicas):
        yield Violation("max_replicas", "must be at least 1 and at least min_replicas")
    if policy.scale_to_zero is None and policy.min_replicas == 0:
        yield Violation("min_replicas", "must be at least 1 without scale_to_zero")
    for name in ("interval_s", "max_age_s"):
        if not 0 < getattr(policy, name) < float("inf"):
            yield Violation(name, "must be a positive number of seconds")
    for name in ("stable_window_s", "scale_down_window_s", "cooldown_up_s", "cooldown_down_s"):
        if not 0 <= getattr(policy, name) <= 86_400:
            yield Violation(name, "must be between 0 and 86400 seconds")
    if not 0 <= policy.tolerance < 1:
        yield Violation("tolerance", "must be at least 0 and below 1")
    yield from _odd_numbers(policy, "")
    yield from _violations_of_parts(policy)


def _odd_numbers(value: object, path: str) -> Iterator[Violation]:
    """Yield a violation for each number, wherever it stands, that is below 0 or not finite."""
    if isinstance(value, float) and not 0 <= value < math.inf:
        yield Violation(path, "must be a number from 0 up")
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from _odd_numbers(each, f"{path}[{index}]")
    elif is_dataclass(value):
        for one in fields(value):
            yield from _odd_numbers(getattr(value, one.name), f"{path}.{one.name}".lstrip("."))


def _violations_of_parts(policy: PoolPolicy) -> Iterator[Violation]:
    if policy.panic and not (policy.panic.threshold >= 1 and 0 < policy.panic.window_s <= policy.stable_window_s):
        yield Violation("panic", "needs a threshold of at least 1 and a window no longer than stable_window_s")
    if policy.growth and not (policy.growth.up > 1 and (policy.growth.down is None or policy.growth.down > 1)):
        yield Violation("growth", "must multiply and divide by more than 1")
    for name in ("step_up", "step_down"):
        step: StepLimit | None = getattr(policy, name)
        if step and (step.replicas < 0 or step.share < 0 or step.replicas + step.share == 0 or step.period_s <= 0):
            yield Violation(name, "must allow some replicas or a share of them within a positive period")
    if policy.look_ahead and not (policy.look_ahead.window_s >= 1 and policy.look_ahead.most >= 1):
        yield Violation("look_ahead", "needs a window_s of at least 1 s and a `most` of at least 1")
    if policy.season and policy.season.value == 0:
        yield Violation("season.value", "must be positive")
    if policy.season and not (0 < policy.season.quantile <= 1 and 1 <= policy.season.min_days <= policy.season.days):
        yield Violation("season", "needs a quantile in (0, 1] and min_days between 1 and days")
    if policy.overflow and not (policy.overflow.per_replica > 0 and policy.overflow.max_replicas > 0):
        yield Violation("overflow", "needs a positive per_replica and max_replicas")
    if policy.budget and not ((hours := policy.budget.hours) is not None and hours > 0):
        yield Violation("budget", "needs replica_hours, or money with price_per_replica_hour")
    for index, schedule in enumerate(policy.schedules):
        if not schedule.days or not set(schedule.days) <= set(range(7)):
            yield Violation(f"schedules[{index}].days", "must be days from 0, Monday, to 6, Sunday")
        if not (0 <= schedule.start_minute < 1440 and 0 < schedule.end_minute <= 1440):
            yield Violation(f"schedules[{index}]", "must start and end at minutes of a day")
        if not _is_zone(schedule.time_zone):
            yield Violation(f"schedules[{index}].time_zone", "must be a zone of the IANA database")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True

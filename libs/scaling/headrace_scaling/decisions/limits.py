"""What a decision may not do: change too much, too soon, too often, beyond bounds, beyond the budget."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from headrace_scaling.decisions.decision import Clamp, Limit
from headrace_scaling.decisions.memory import DAY_S, Memory
from headrace_scaling.decisions.observations import Observation
from headrace_scaling.decisions.policies import Growth, PoolPolicy, Schedule, StepLimit


def grown(growth: Growth, ready: int, wanted: int) -> int:
    """Return what Knative's rates allow: they count from ready replicas, of which there is always one."""
    counted = max(1, ready)
    least = 0 if growth.down is None else math.floor(counted / growth.down)
    return min(max(wanted, least), math.ceil(counted * growth.up))


def within_window(memory: Memory, window_s: float, asked_for: int, wanted: int) -> int:
    """Return the highest count wanted within the scale-down window, where fewer are wanted now than are asked for."""
    if wanted >= asked_for:
        return wanted
    oldest = memory.now - window_s
    return min(asked_for, max((count for at, count in memory.wanted if at > oldest), default=wanted))


def cooldown_left_s(memory: Memory, policy: PoolPolicy, asked_for: int, desired: int) -> float:
    """Return for how long the count may not change in this direction."""
    if desired == asked_for or not memory.changes:
        return 0.0
    cooldown = policy.cooldown_up_s if desired > asked_for else policy.cooldown_down_s
    return max(0.0, memory.changes[-1][0] + cooldown - memory.now)


def most(step: StepLimit, memory: Memory, asked_for: int) -> int:
    """Return how many replicas a period allows, counted from how many there were when it began."""
    before = asked_for - _changed(memory, step.period_s)
    return before + max(step.replicas, math.ceil(before * step.share - 1e-9))


def fewest(step: StepLimit, memory: Memory, asked_for: int) -> int:
    """Return how few replicas a period allows, counted from how many there were when it began."""
    before = asked_for - _changed(memory, step.period_s)
    return max(0, before - max(step.replicas, math.floor(before * step.share + 1e-9)))


def _changed(memory: Memory, period_s: float) -> int:
    return sum(count for at, count in memory.changes if at > memory.now - period_s)


def budget_cap(policy: PoolPolicy, memory: Memory) -> tuple[int, float] | None:
    """Return how many replicas the rest of the day's budget pays for, and the replica-hours left in it.

    The minimum is set aside until midnight; what is left beside it may be used up within an hour.
    """
    if policy.budget is None or (hours := policy.budget.hours) is None:
        return None
    left = hours - memory.used_replica_s / 3600.0
    until_midnight = ((memory.budget_day + 1) * DAY_S - memory.now) / 3600.0
    until_midnight = min(24.0, max(0.0, until_midnight))
    beside = left - policy.min_replicas * until_midnight
    soon = min(1.0, max(until_midnight, 1.0 / 60.0))
    return policy.min_replicas + max(0, math.floor(beside / soon)), left


def budget_runs_out(policy: PoolPolicy, memory: Memory, desired: int) -> bool:
    """Return whether the budget is nearly used, or will be before midnight at this rate."""
    budget = policy.budget
    if budget is None or (hours := budget.hours) is None:
        return False
    used = memory.used_replica_s / 3600.0
    until_midnight = min(24.0, max(0.0, ((memory.budget_day + 1) * DAY_S - memory.now) / 3600.0))
    return used >= budget.warn_at * hours or used + desired * until_midnight > hours


def bounds(policy: PoolPolicy, now: float) -> tuple[int, int, str]:
    """Return the least and the greatest count at a time, and the name of the schedule that sets them.

    Of schedules that overlap, the last counts.
    """
    least, greatest, name = policy.min_replicas, policy.max_replicas, ""
    for schedule in policy.schedules:
        if in_force(schedule, now):
            least = least if schedule.min_replicas is None else schedule.min_replicas
            greatest = greatest if schedule.max_replicas is None else schedule.max_replicas
            name = schedule.name
    return least, max(least, greatest), name


def in_force(schedule: Schedule, now: float) -> bool:
    """Return whether a schedule holds at a time, on its own wall clock."""
    local = datetime.fromtimestamp(now, UTC).astimezone(_zone(schedule.time_zone))
    minute = local.hour * 60 + local.minute
    if schedule.start_minute < schedule.end_minute:
        return local.weekday() in schedule.days and schedule.start_minute <= minute < schedule.end_minute
    if minute >= schedule.start_minute:
        return local.weekday() in schedule.days
    return minute < schedule.end_minute and (local - timedelta(days=1)).weekday() in schedule.days


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def bounded(policy: PoolPolicy, memory: Memory, observation: Observation, wanted: int) -> tuple[int, tuple[Clamp, ...]]:
    """Return the count after every limit that comes after the rules and the windows, and those that changed it."""
    asked_for, desired = observation.replicas.asked_for, wanted
    clamps: list[Clamp] = []

    def clamp(limit: Limit, allowed: int, detail: str = "") -> None:
        nonlocal desired
        if allowed != desired:
            clamps.append(Clamp(limit, desired, allowed, detail))
            desired = allowed

    if desired == 0 and asked_for > 0 and policy.scale_to_zero is not None:
        idle = memory.idle_since is not None and memory.now - memory.idle_since >= policy.scale_to_zero.after_s
        clamp(Limit.IDLE_TIME, 0 if idle else 1)
    if desired != asked_for:
        left_s = cooldown_left_s(memory, policy, asked_for, desired)
        clamp(Limit.COOLDOWN, asked_for if left_s > 0.0 else desired, f"{left_s:.0f}")
    if desired > asked_for and policy.step_up is not None:
        clamp(Limit.STEP_UP, min(desired, max(asked_for, most(policy.step_up, memory, asked_for))))
    if desired < asked_for and policy.step_down is not None:
        clamp(Limit.STEP_DOWN, max(desired, min(asked_for, fewest(policy.step_down, memory, asked_for))))
    if (capped := budget_cap(policy, memory)) is not None:
        clamp(Limit.BUDGET, min(desired, capped[0]), f"{capped[1]:.1f}")
    least, greatest, name = bounds(policy, observation.now)
    detail = f" of schedule {name}" if name else ""
    clamp(Limit.MIN_REPLICAS, max(desired, least), detail)
    clamp(Limit.MAX_REPLICAS, min(desired, greatest), detail)
    return desired, tuple(clamps)

"""State of a pool's decisions; persisted, so that a restart or a new leader continues from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace_scaling.decisions.observations import Metric, Observation
from headrace_scaling.decisions.policies import PoolPolicy

DAY_S = 86_400.0
Stamped = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Dip:
    """A fall in demand. since: when it began. top: what was needed until then; low: the fewest needed since."""

    since: float
    top: int
    low: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The past that counts. All times are those of observations.

    samples: usable values of each metric. wanted: what was asked for, for the scale-down window.
    dip: the fall in demand that may still come back. dips: those that did, when they ended and how long they lasted.
    changes: by how much the acknowledged count changed, and when it was seen. asked_for: that count when last seen.
    idle_since: since when nothing was asked of the pool. overflow: shares that went to another pool.
    overflow_replicas: how many that needs there, as last counted.
    """

    now: float
    asked_for: int
    samples: Mapping[Metric, tuple[Stamped, ...]] = field(default_factory=dict)
    wanted: tuple[tuple[float, int], ...] = ()
    dip: Dip | None = None
    dips: tuple[Stamped, ...] = ()
    changes: tuple[tuple[float, int], ...] = ()
    panic_since: float | None = None
    panic_peak: int = 0
    idle_since: float | None = None
    overflow: tuple[Stamped, ...] = ()
    overflow_replicas: int = 0
    budget_day: int = 0
    used_replica_s: float = 0.0


def begin(policy: PoolPolicy, observation: Observation) -> Memory:
    """Return the memory of a pool of which nothing is remembered: its scale is kept until a window has been seen."""
    now, replicas = observation.now, observation.replicas
    kept = replicas.ready > 1 and policy.panic is not None
    return Memory(
        now=now,
        asked_for=replicas.asked_for,
        wanted=((now, replicas.asked_for),) if policy.scale_down_window_s else (),
        panic_since=now if kept else None,
        panic_peak=replicas.ready if kept else 0,
        budget_day=int(now // DAY_S),
    )


def recall(policy: PoolPolicy, memory: Memory | None, observation: Observation) -> Memory:
    """Return the memory at the time of an observation, with its usable values and with changes that were seen.

    A clock that was set back moves the past with it. A long pause, or a clock that was set forward, is a restart.
    """
    now = observation.now
    if memory is None:
        memory = begin(policy, observation)
    passed = now - memory.now
    if passed < 0.0:
        memory = _moved(memory, passed)
    elif passed > policy.max_gap_s:
        fresh = begin(policy, observation)
        memory = replace(
            fresh,
            asked_for=memory.asked_for,
            changes=memory.changes,
            overflow_replicas=memory.overflow_replicas,
            budget_day=memory.budget_day,
            used_replica_s=memory.used_replica_s,
        )
    changed = observation.replicas.asked_for - memory.asked_for
    changes = (*memory.changes, (now, changed)) if changed else memory.changes
    day, used = _used(memory, observation, max(0.0, passed))
    return replace(
        memory,
        now=now,
        asked_for=observation.replicas.asked_for,
        samples=_sampled(policy, memory, observation),
        changes=_pruned(policy, changes, now),
        idle_since=_idle_since(policy, memory, observation),
        budget_day=day,
        used_replica_s=used,
    )


def _sampled(
    policy: PoolPolicy, memory: Memory, observation: Observation
) -> Mapping[Metric, tuple[tuple[float, float], ...]]:
    oldest = observation.now - policy.remembers_s
    samples: dict[Metric, tuple[Stamped, ...]] = {}
    for target in policy.targets:
        signal = observation.signal(target.metric)
        past = memory.samples.get(target.metric, ())
        if signal.value is None or signal.problem(policy.max_age_s) is not None:
            samples[target.metric] = tuple(sample for sample in past if sample[0] > oldest)
            continue
        value = signal.value
        if target.is_mean:
            reporting = observation.replicas.ready if signal.replicas is None else signal.replicas
            value = value / reporting if reporting else 0.0
        recent = [sample for sample in past if sample[0] > oldest]
        recent.append((observation.now, value))
        samples[target.metric] = tuple(recent)
    return samples


def _idle_since(policy: PoolPolicy, memory: Memory, observation: Observation) -> float | None:
    if policy.scale_to_zero is None:
        return None
    for target in policy.targets:
        if target.is_total:
            signal = observation.signal(target.metric)
            if signal.problem(policy.max_age_s) is not None or signal.value:
                return None
    return observation.now if memory.idle_since is None else memory.idle_since


def _used(memory: Memory, observation: Observation, passed: float) -> tuple[int, float]:
    """Return the day and the replica-seconds used in it. A clock set back over midnight does not give the day back."""
    day = int(observation.now // DAY_S)
    spent = observation.replicas.paid_for * passed
    if day > memory.budget_day:
        return day, min(spent, observation.replicas.paid_for * (observation.now - day * DAY_S))
    return memory.budget_day, memory.used_replica_s + spent


def _pruned(policy: PoolPolicy, changes: tuple[tuple[float, int], ...], now: float) -> tuple[tuple[float, int], ...]:
    """Return the changes that a limit may still ask for."""
    periods = [step.period_s for step in (policy.step_up, policy.step_down) if step is not None]
    needed = max(policy.cooldown_up_s, policy.cooldown_down_s, *periods, 0.0)
    if not changes or changes[0][0] >= now - needed:
        return changes
    return tuple(change for change in changes if change[0] >= now - needed)


def _moved(memory: Memory, by: float) -> Memory:
    def moved(time: float | None) -> float | None:
        return None if time is None else time + by

    return replace(
        memory,
        now=memory.now + by,
        samples={metric: tuple((at + by, value) for at, value in past) for metric, past in memory.samples.items()},
        wanted=tuple((at + by, count) for at, count in memory.wanted),
        dip=None if memory.dip is None else replace(memory.dip, since=memory.dip.since + by),
        dips=tuple((at + by, lasted) for at, lasted in memory.dips),
        changes=tuple((at + by, count) for at, count in memory.changes),
        panic_since=moved(memory.panic_since),
        idle_since=moved(memory.idle_since),
        overflow=tuple((at + by, share) for at, share in memory.overflow),
    )

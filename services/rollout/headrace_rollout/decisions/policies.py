"""How a version is rolled out: the policy, its defaults, and what is wrong with one. Pure functions."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

from headrace_servicekit.errors import FieldViolation

MAX_STEPS = 50
MAX_TIME = timedelta(days=30)
MIN_NO_DATA = timedelta(seconds=5)
# A pool whose batchers execute in parallel is busy for more than all of the time.
MAX_UTILISATION = 100.0
# Share of the traffic that stays with the baseline until the last step of a canary is over: without it a fault that
# affects both versions looks like a fault of the new one.
BASELINE_SHARE = 0.05
LIMIT = timedelta(days=1)
# Of a route's million buckets.
MIN_SHARE = 1e-6
MAX_PAIRS = 1_000_000_000


class Strategy(enum.StrEnum):
    """In which way traffic moves."""

    CANARY = "canary"
    BLUE_GREEN = "blue_green"
    ROLLING = "rolling"
    BIG_BANG = "big_bang"
    SHADOW = "shadow"

    @property
    def judged(self) -> bool:
        """Whether evidence decides; readiness always does."""
        return self in (Strategy.CANARY, Strategy.BLUE_GREEN, Strategy.SHADOW)

    @property
    def whole(self) -> bool:
        """Whether all of the traffic moves at once, and never a part of it."""
        return self in (Strategy.BLUE_GREEN, Strategy.BIG_BANG)


class OnDrift(enum.StrEnum):
    """What a drift of the model does; rollout.proto says what each means."""

    HOLD = "hold"
    ASK = "ask"
    ROLLBACK = "rollback"


class OnLimit(enum.StrEnum):
    """What follows where a step has lasted for its limit without evidence; rollout.proto says what each means."""

    ROLLBACK = "rollback"
    GO_ON = "go_on"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Step:
    """share: of the variant's traffic, above 0 and at most 1. dwell: shortest time there. limit: time after which
    `on_limit` says what a lack of evidence leads to; None for never.
    """

    share: float
    dwell: timedelta
    limit: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Shadow:
    """The shadow stage before the steps: the version gets copies of requests, and its answers are discarded.

    share: of the computed requests that are copied. dwell, limit: as for a step. min_pairs: answer pairs to compare.
    max_flips, max_slice_flips: bound of the share of labels that differ, overall and in any slice. warms: the answers
    fill the version's cache, and nothing is judged.
    """

    share: float = 1.0
    dwell: timedelta = timedelta(minutes=10)
    limit: timedelta | None = None
    min_pairs: int = 1000
    max_flips: float = 0.005
    max_slice_flips: float = 0.02
    warms: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with every default filled in; rollout.proto says what each means. steps: none where nothing follows a
    shadow. shadow: of that strategy, or what fills the cache before the steps of another one.
    """

    strategy: Strategy
    steps: tuple[Step, ...]
    sticky: bool = False
    tolerated_ratio: float = 1.5
    false_rollback_rate: float = 0.001
    no_data_timeout: timedelta = timedelta(seconds=60)
    manual_rollback: bool = False
    ignore_alerts: bool = False
    ready_timeout: timedelta = timedelta(minutes=10)
    margin: float = 0.005
    slow_after: timedelta | None = None
    shadow: Shadow | None = None
    max_utilisation: float = 0.8
    on_drift: OnDrift = OnDrift.HOLD
    on_limit: OnLimit = OnLimit.HOLD  # of policies that were stored before they could say

    @property
    def shortest(self) -> timedelta:
        """How long all of it takes when nothing keeps it anywhere."""
        first = self.shadow.dwell if self.shadow is not None else timedelta()
        return sum((step.dwell for step in self.steps), first)


_MINUTE = timedelta(minutes=1)
DEFAULT_STEPS = {
    Strategy.CANARY: tuple(Step(share, 5 * _MINUTE) for share in (0.05, 0.25, 0.5, 1.0)),
    Strategy.BLUE_GREEN: (Step(1.0, 5 * _MINUTE),),
    Strategy.ROLLING: tuple(Step(share, timedelta(seconds=30)) for share in (0.25, 0.5, 0.75, 1.0)),
    Strategy.BIG_BANG: (Step(1.0, timedelta()),),
}
DEFAULT_STEPS[Strategy.SHADOW] = DEFAULT_STEPS[Strategy.CANARY]
DEFAULT = Policy(Strategy.CANARY, DEFAULT_STEPS[Strategy.CANARY], on_limit=OnLimit.ROLLBACK)
# By the batchers that load the version, before it serves anybody.
_LOADED = ("latency_p50_ms", "latency_p99_ms", "parity_max_abs_diff")
# By the monitor, of a shadow.
_SHADOWED = "shadow_*"


def percent(share: float) -> float:
    """Return a share in percent without rounding noise: 0.07 is 7, not 7.000000000000001."""
    return float(f"{share * 100:.12g}")


def completed(policy: Policy) -> Policy:
    """Return a policy as it is run: its steps end, and the last one of a canary has a version to be compared with."""
    if not policy.strategy.judged or not policy.steps:
        return policy
    limits = [step.limit or min(max(LIMIT, 2 * step.dwell), MAX_TIME) for step in policy.steps]
    steps = [replace(step, limit=limit) for step, limit in zip(policy.steps, limits, strict=True)]
    if not policy.strategy.whole:
        before = steps[-2].share if len(steps) > 1 else 0.0
        most = max(1 - BASELINE_SHARE, (1 + before) / 2)
        steps[-1] = replace(steps[-1], share=min(steps[-1].share, most))
    return replace(policy, steps=tuple(steps))


def violations(policy: Policy, field: str = "policy") -> Iterator[FieldViolation]:
    """Yield what is wrong with a policy, by field."""
    if policy.shadow is not None:
        yield from _shadow_violations(policy.shadow, f"{field}.{'warm' if policy.shadow.warms else 'shadow'}")
    if policy.steps:
        yield from _step_violations(policy, f"{field}.steps")
    if not 1 < policy.tolerated_ratio <= 1000:
        yield FieldViolation(
            f"{field}.tolerated_ratio", f"{policy.tolerated_ratio!r} must be above 1 and at most 1000, such as 1.5"
        )
    if not 1e-6 <= policy.false_rollback_rate <= 0.1:
        message = f"{policy.false_rollback_rate!r} must be between 0.000001 and 0.1"
        yield FieldViolation(f"{field}.false_rollback_rate", message)
    if not 0 < policy.margin <= 1:
        yield FieldViolation(f"{field}.margin_percent", f"{policy.margin * 100:g} must be above 0 and at most 100")
    if not 0 < policy.max_utilisation <= MAX_UTILISATION:
        message = f"{policy.max_utilisation * 100:g} must be above 0 and at most {MAX_UTILISATION * 100:g}"
        yield FieldViolation(f"{field}.max_utilisation_percent", message)
    if policy.slow_after is not None:
        yield from _time_violations(policy.slow_after, timedelta(milliseconds=1), f"{field}.slow_after")
    for name, least in (("no_data_timeout", MIN_NO_DATA), ("ready_timeout", timedelta(seconds=1))):
        yield from _time_violations(getattr(policy, name), least, f"{field}.{name}")


def _step_violations(policy: Policy, field: str) -> Iterator[FieldViolation]:
    steps, last = policy.steps, replace(policy.steps[-1], share=1.0)
    if len(steps) > MAX_STEPS:
        yield FieldViolation(field, f"{len(steps)} steps; at most {MAX_STEPS} are allowed")
        return
    for position, step in enumerate(steps):
        at = f"{field}[{position}]"
        yield from _stage_violations(step, at)
    for position, (before, after) in enumerate(pairwise(steps), 1):
        if not after.share > before.share:
            message = f"{after.share * 100:g} must be above {before.share * 100:g}, the share of the step before"
            yield FieldViolation(f"{field}[{position}].percent", message)
    whole = completed(replace(policy, steps=(*steps[:-1], last))).steps[-1].share
    if steps[-1].share not in (1, whole):  # the latter in a policy that was completed
        yield FieldViolation(f"{field}[{len(steps) - 1}].percent", "the last step must have 100")
    if policy.strategy.whole and len(steps) > 1:
        yield FieldViolation(field, f"{policy.strategy.replace('_', '-')} has one step, of 100 percent")


def _shadow_violations(shadow: Shadow, field: str) -> Iterator[FieldViolation]:
    if shadow.warms:
        yield from _time_violations(shadow.dwell, timedelta(seconds=1), field)
        return
    yield from _stage_violations(shadow, field)
    if not 1 <= shadow.min_pairs <= MAX_PAIRS:
        yield FieldViolation(f"{field}.min_pairs", f"{shadow.min_pairs} must be between 1 and {MAX_PAIRS}")
    for name in ("max_flips", "max_slice_flips"):
        share = getattr(shadow, name)
        if not 0 <= share <= 1:
            yield FieldViolation(f"{field}.{name}_percent", f"{share * 100:g} must be between 0 and 100")


def _stage_violations(stage: Step | Shadow, field: str) -> Iterator[FieldViolation]:
    if not (math.isfinite(stage.share) and MIN_SHARE <= stage.share <= 1):
        yield FieldViolation(f"{field}.percent", f"{stage.share * 100:g} must be between 0.0001 and 100")
    yield from _time_violations(stage.dwell, timedelta(), f"{field}.dwell")
    if stage.limit is not None:
        yield from _time_violations(stage.limit, stage.dwell, f"{field}.limit")


def measured_later(policy: Policy) -> tuple[str, ...]:
    """Return patterns (`*` matches any characters) of the metrics that may be missing before the first step and are
    measured by the last one. Gates on other metrics are checked before the first step.
    """
    shadowed = policy.shadow is not None and not policy.shadow.warms
    return (*_LOADED, _SHADOWED) if shadowed else _LOADED


def _time_violations(value: timedelta, least: timedelta, field: str) -> Iterator[FieldViolation]:
    if not least <= value <= MAX_TIME:
        message = f"{value.total_seconds():g} s must be between {least.total_seconds():g} s and {MAX_TIME.days} days"
        yield FieldViolation(field, message)

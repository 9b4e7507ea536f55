"""A decision: how many replicas, by which rule, after which limits, and the same in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from headrace_scaling.decisions.observations import Metric, SignalProblem


class Rule(StrEnum):
    """What asked for the number of replicas, before limits."""

    TARGET = "target"
    WITHIN_TOLERANCE = "within_tolerance"
    NO_DATA = "no_data"
    PANIC = "panic"
    LOOK_AHEAD = "look_ahead"
    BACKLOG = "backlog"
    SEASON = "season"
    WEEK = "week"
    HOUR = "hour"
    ACTIVATION = "activation"


class Limit(StrEnum):
    """What changed the number that the rule asked for. They apply in this order."""

    GROWTH = "growth"
    SCALE_DOWN_WINDOW = "scale_down_window"
    IDLE_TIME = "idle_time"
    COOLDOWN = "cooldown"
    STEP_UP = "step_up"
    STEP_DOWN = "step_down"
    BUDGET = "budget"
    MIN_REPLICAS = "min_replicas"
    MAX_REPLICAS = "max_replicas"


class Concern(StrEnum):
    """Conditions for which the service raises an alert."""

    SIGNAL_UNUSABLE = "signal_unusable"
    BUDGET_NEARLY_USED = "budget_nearly_used"
    BUDGET_LIMITS = "budget_limits"
    AT_MAX_REPLICAS = "at_max_replicas"
    REPLICAS_FAILED = "replicas_failed"


@dataclass(frozen=True, slots=True)
class Clamp:
    """One limit that changed the number. detail: seconds left, replica-hours left or the name of a schedule."""

    limit: Limit
    before: int
    after: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What one target asks for. value: the average that it was computed from; burst: the short window's."""

    metric: Metric
    target: float
    replicas: int
    burst_replicas: int
    value: float | None
    burst: float | None
    problem: SignalProblem | None = None


@dataclass(frozen=True, slots=True)
class OverflowDecision:
    """Which share of the demand goes to another pool, and how many replicas that needs there."""

    pool: str
    share: float
    replicas: int


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas a pool is to have, and everything that led to it.

    before: what the actuator was last asked for. wanted: what the rule asked for, before the clamps.
    demand: demand that the rule counted with where it is not a target's average (look-ahead, backlog, season, week).
    excess_burst_capacity: free capacity beyond the policy's reserve, as Knative counts it; None without a reserve.
    """

    pool: str
    time: float
    before: int
    ready: int
    loading: int
    wanted: int
    desired: int
    rule: Rule
    metric: Metric | None
    recommendations: tuple[Recommendation, ...]
    clamps: tuple[Clamp, ...] = ()
    concerns: tuple[Concern, ...] = ()
    driver: str | None = None
    driver_share: float | None = None
    demand: float | None = None
    panic: bool = False
    overflow: OverflowDecision | None = None
    excess_burst_capacity: float | None = None
    used_budget: float | None = None

    @property
    def change(self) -> int:
        """Return how many replicas are added; negative where they are removed."""
        return self.desired - self.before

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return the decision as people read it."""
        return tuple(_sentences(self))


def _sentences(decision: Decision) -> Iterator[str]:
    what = f"add {decision.change}: {decision.before} →" if decision.change > 0 else "keep"
    if decision.change < 0:
        what = f"remove {-decision.change}: {decision.before} →"
    loading = f", {decision.loading} loading" if decision.loading else ""
    yield f"Pool {decision.pool}: {what} {_replicas(decision.desired)} ({decision.ready} ready{loading})."
    yield _reason(decision)
    if decision.driver is not None and decision.driver_share is not None:
        yield f"Model {decision.driver} asks for {decision.driver_share:.0%} of it."
    for clamp in decision.clamps:
        yield f"{_LIMITS[clamp.limit].format(detail=clamp.detail)}: {clamp.before} became {clamp.after}."
    for one in decision.recommendations:
        if one.problem is not None:
            yield f"{one.metric} is {one.problem}: the pool is not scaled down until it is back."
    if decision.overflow is not None and decision.overflow.share > 0:
        there = decision.overflow
        yield f"{there.share:.0%} of the demand goes to pool {there.pool}, which needs {_replicas(there.replicas)}."
    for concern in decision.concerns:
        if concern in _CONCERNS:
            yield _CONCERNS[concern]


def _reason(decision: Decision) -> str:
    at = next((one for one in decision.recommendations if one.metric is decision.metric), None)
    wanted = _replicas(decision.wanted)
    match decision.rule:
        case Rule.NO_DATA:
            return f"No usable value asks for a change, and one is missing: {wanted} stay."
        case Rule.WITHIN_TOLERANCE:
            return "Every target is met within its tolerance."
        case Rule.SEASON:
            return f"At this time earlier days peaked at {decision.demand:,.6g}, for which {wanted} are needed."
        case Rule.WEEK:
            return f"At this time earlier weeks peaked at {decision.demand:,.6g}, for which {wanted} are needed."
        case Rule.HOUR:
            return f"At this minute earlier hours peaked at {decision.demand:,.6g}, for which {wanted} are needed."
        case Rule.LOOK_AHEAD:
            return f"Demand rises to {decision.demand:,.6g} while a replica loads, for which {wanted} are needed."
        case Rule.BACKLOG:
            return f"Serving what comes and what waits takes {decision.demand:,.6g} requests/s, so {wanted}."
        case Rule.ACTIVATION:
            return f"Something is asked of the pool, for which it has at least {wanted}."
        case Rule.PANIC if at is not None and at.burst is not None:
            return (
                f"A burst: {at.metric} of {at.burst:,.6g} in the short window; until it is over at least {wanted} stay."
            )
        case _ if at is not None and at.value is not None:
            return f"{at.metric} of {at.value:,.6g} at {at.target:,.6g} for each replica needs {wanted}."
    return f"{wanted} are needed."


def _replicas(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"


_LIMITS = {
    Limit.GROWTH: "One decision changes ready replicas by a bounded factor",
    Limit.SCALE_DOWN_WINDOW: "More were wanted within the scale-down window{detail}",
    Limit.IDLE_TIME: "The pool has not been idle for long enough",
    Limit.COOLDOWN: "The last change was too recent, {detail} s of cooldown are left",
    Limit.STEP_UP: "No more may be added within the period",
    Limit.STEP_DOWN: "No more may be removed within the period",
    Limit.BUDGET: "The day's budget has {detail} replica-hours left",
    Limit.MIN_REPLICAS: "The policy's minimum{detail}",
    Limit.MAX_REPLICAS: "The policy's maximum{detail}",
}
_CONCERNS = {
    Concern.BUDGET_NEARLY_USED: "At this rate the day's budget will not last.",
    Concern.BUDGET_LIMITS: "The day's budget limits the pool.",
    Concern.AT_MAX_REPLICAS: "The pool needs more replicas than it may have.",
    Concern.REPLICAS_FAILED: "Replicas failed; they are not counted.",
}

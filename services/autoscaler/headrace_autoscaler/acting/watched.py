"""The leader's state of one pool, and one decision on it: from the observation to the actuator request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.decision import Decision
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.decisions.observations import EarlierHours, Observation, Replicas
from headrace_scaling.documents import to_json

from headrace_autoscaler.decisions import actuation as steps
from headrace_autoscaler.decisions import demand, measures
from headrace_autoscaler.decisions.actuation import Acting, Ask, Stage
from headrace_autoscaler.decisions.demand import MinuteOfDemand
from headrace_autoscaler.decisions.problems import Problem, problems, sentences
from headrace_autoscaler.decisions.replica_counts import Counts
from headrace_autoscaler.metrics import ShownPool
from headrace_autoscaler.policies.declared import DeclaredPolicy
from headrace_autoscaler.signals.observer import PoolView
from headrace_autoscaler.storage.values import DecisionRow, Outcome, OutcomeUpdate, Round


@dataclass(slots=True)
class Watched:
    """A pool that is scaled. decided: what was observed for the last decision; decided_s: when that was, by the
    monotonic clock. desired: what it wanted, or the overflow of other pools, whichever is more.

    peaks, earlier_hours: of the pool's history, until peaks_until_s. starts: how long the last ones took; measured:
    processes whose start is over. asked_s: when the actuator was asked last, and short_since_s: since when fewer are
    in sight than it keeps, both by the monotonic clock.
    """

    pool: str
    revision: int
    declared: DeclaredPolicy
    memory: Memory | None
    acting: Acting
    desired: int | None = None
    decided: Observation | None = None
    decided_s: float = -math.inf
    peaks: tuple[float, ...] = ()
    earlier_hours: EarlierHours | None = None
    peaks_until_s: float = -math.inf
    starts: list[float] = field(default_factory=list)
    minutes: Mapping[str, MinuteOfDemand] = field(default_factory=dict)
    measured: set[str] = field(default_factory=set)
    asked_s: float | None = None
    short_since_s: float | None = None
    problems: Sequence[tuple[Problem, str]] = ()

    def overflows_by(self, pool: str) -> int:
        """Return the replicas that this pool's overflow needs in another one, by its latest decision."""
        there = self.declared.policy.overflow
        return self.memory.overflow_replicas if self.memory and there is not None and there.pool == pool else 0

    def is_due(self, now_s: float) -> bool:
        """Return whether it is time for the next decision."""
        return now_s - self.decided_s >= self.declared.policy.interval_s


@dataclass(frozen=True, slots=True)
class Situation:
    """The input of one decision, besides the pool's policy state.

    now: by the database's clock. target: replica count that the actuator maintains; None if unknown. held: why
    decisions are not acted on; empty if they are. in_flight: whether a call to the actuator is in flight. floor:
    minimum replica count, independent of measurements. awaited: whether requests wait for the first replica.
    """

    now: datetime
    view: PoolView
    counts: Counts
    target: int | None
    load_time_s: float | None
    deadline_s: float
    floor: int = 0
    awaited: bool = False
    held: str = ""
    in_flight: bool = False
    actuator_problem: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one decision. ask: request to the actuator, sent once the result is stored. kept: to store."""

    observation: Observation
    decision: Decision
    memory: Memory
    ask: Ask | None
    kept: Round
    outcomes: tuple[OutcomeUpdate, ...]
    minutes: demand.Minutes
    over: tuple[MinuteOfDemand, ...]
    problems: tuple[tuple[Problem, str], ...]


def decide_on(pool: Watched, situation: Situation) -> Result:
    """Return the decision and the actuator call it needs. Pure: `adopt` applies the result once it is stored."""
    now_s, seen = situation.now.timestamp(), situation.counts.seen(situation.target)
    observation = observed(pool, situation)
    decision, memory = decide(pool.declared.policy, pool.memory, observation)
    wanted = max(decision.desired, situation.floor)
    acting, outcomes = _went(pool.acting, situation, wanted)
    # Without measurements no replica is removed, not even while some replicas do not report.
    blind = any(one.problem is not None for one in decision.recommendations)
    ask = None
    if not situation.held and not situation.in_flight and not (blind and wanted < (situation.target or 0)):
        ask = steps.next_step(acting, wanted, seen, now_s)
    whom = _whom(decision, wanted, situation)
    outcome, detail = _outcome(decision, wanted, situation, acting, ask, whom)
    if ask is not None:
        if acting.decision is not None and acting.stage in (Stage.ASKED, Stage.ACKNOWLEDGED):
            detail_of_old = "Another decision took its place."
            outcomes = [OutcomeUpdate(acting.decision, Outcome.SUPERSEDED, detail_of_old)]
        acting = steps.asked(acting, None, ask, now_s, whom)
    found = tuple(
        problems(
            decision,
            acting,
            situation.counts.missing,
            situation.actuator_problem,
            now_s=now_s,
            deadline_s=situation.deadline_s,
        )
    )
    row = DecisionRow(
        pool=pool.pool,
        create_time=situation.now,
        revision=pool.revision,
        desired=wanted,
        changed=pool.desired != wanted or ask is not None,
        memory=None if pool.memory is None else to_json(pool.memory),
        observation=to_json(observation),
        decision=to_json(decision),
        outcome=outcome,
        detail=detail,
        outcome_time=situation.now,
    )
    minutes, over = demand.add(
        pool.minutes, demand.usable(pool.declared.policy, observation), situation.counts.ready, now_s
    )
    record = Round(row, to_json(memory), acting, ask is not None, sentences(found))
    return Result(observation, decision, memory, ask, record, tuple(outcomes), minutes, tuple(over), found)


def adopt(pool: Watched, result: Result, number: int) -> None:
    """Apply a stored result to the pool's state. number: of the stored decision."""
    pool.memory, pool.desired, pool.decided = result.memory, result.kept.decision.desired, result.observation
    pool.acting = result.kept.acting_as(number)
    pool.minutes, pool.problems = result.minutes, result.problems


def observed(pool: Watched, situation: Situation) -> Observation:
    """Return the observation. What the actuator keeps counts only as far as replicas are there, or still to come."""
    counts = situation.counts
    there = counts.ready + counts.coming
    requested = None if situation.target is None else min(situation.target, there)
    return Observation(
        pool=pool.pool,
        now=situation.now.timestamp(),
        replicas=Replicas(counts.ready, counts.coming, counts.missing, counts.draining, requested),
        signals=situation.view.signals,
        models=situation.view.models,
        load_time_s=situation.load_time_s,
        variation=measures.variation(situation.view.members),
        seasonal_peaks=pool.peaks,
        earlier_hours=pool.earlier_hours,
    )


def _went(before: Acting, situation: Situation, wanted: int) -> tuple[Acting, list[OutcomeUpdate]]:
    """Return how far the last request to the actuator is, and what the decision behind it has become."""
    now_s, seen = situation.now.timestamp(), situation.counts.seen(situation.target)
    acting = before if situation.in_flight else steps.resumed(before, situation.target, now_s)
    acting = steps.judged(acting, seen, now_s, situation.deadline_s)
    outcomes = [_became(acting)] if acting.stage is not before.stage and acting.decision is not None else []
    dropped = acting if situation.in_flight else steps.dropped(acting, wanted, seen, now_s)
    if dropped is not acting and acting.stage is Stage.ASKED and acting.decision is not None:
        outcomes = [OutcomeUpdate(acting.decision, Outcome.SUPERSEDED, "It was wanted no more.")]
    return dropped, outcomes


def _whom(decision: Decision, wanted: int, situation: Situation) -> str:
    """Return what the replicas beyond the pool's own demand are for, as a clause; empty if there are none."""
    if wanted == decision.desired:
        return ""
    whom = "requests that wait" if situation.awaited and not decision.before else "other pools"
    return f", {wanted - decision.desired} of them for {whom}" if decision.desired else f", for {whom}"


def _outcome(
    decision: Decision, wanted: int, situation: Situation, acting: Acting, ask: Ask | None, whom: str
) -> tuple[Outcome, str]:
    if ask is not None:
        if ask.late is not None:
            return Outcome.ASKED, f"The replica at {ask.late} was not ready in time: it is replaced."
        return Outcome.ASKED, f"The actuator is asked for {ask.target}{whom}."
    if situation.held and wanted != decision.before:
        return Outcome.NOT_ACTED, situation.held
    if situation.in_flight:
        return Outcome.NOTHING_TO_DO, f"The actuator is being asked for {acting.target}."
    if acting.stage is Stage.FAILED and wanted != situation.counts.ready:
        return Outcome.NOTHING_TO_DO, f"{acting.problem}; it is asked again later."
    if situation.counts.coming:
        return Outcome.NOTHING_TO_DO, f"{situation.counts.coming} still load."
    return Outcome.NOTHING_TO_DO, ""


def _became(acting: Acting) -> OutcomeUpdate:
    assert acting.decision is not None
    if acting.stage is Stage.DONE:
        seen = "1 was seen" if acting.target == 1 else f"{acting.target} were seen"
        return OutcomeUpdate(acting.decision, Outcome.DONE, f"{seen} ready{acting.whom}.")
    if acting.stage is Stage.ACKNOWLEDGED:
        detail = f"The actuator keeps the pool at {acting.target}{acting.whom}."
        return OutcomeUpdate(acting.decision, Outcome.ACKNOWLEDGED, detail)
    return OutcomeUpdate(acting.decision, Outcome.FAILED, f"{acting.problem}{acting.whom}.")


def shown(pools: Iterable[Watched]) -> Iterator[ShownPool]:
    """Yield pools that were decided as metrics show them."""
    for pool in pools:
        if (decided := pool.decided) is not None:
            replicas = decided.replicas
            yield ShownPool(
                pool=pool.pool,
                desired=pool.desired or 0,
                replicas={
                    "ready": replicas.ready,
                    "loading": replicas.loading,
                    "failed": replicas.failed,
                    "draining": replicas.draining,
                },
                problems=frozenset(kind for kind, _ in pool.problems),
                signals={
                    metric.value: signal.value for metric, signal in decided.signals.items() if signal.value is not None
                },
            )

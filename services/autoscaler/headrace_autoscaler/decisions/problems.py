"""What is wrong with a pool, in sentences, for those who look at it and for alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from headrace_scaling.decisions.decision import Concern, Decision

from headrace_autoscaler.decisions.actuation import Acting, Stage


class Problem(StrEnum):
    """Kinds of problems: the label of the metric that alerts watch."""

    SIGNALS = "signals"
    BUDGET = "budget"
    AT_MAX = "at_max"
    REPLICAS = "replicas"
    ACTUATOR = "actuator"


_CONCERNS = {
    Concern.SIGNAL_UNUSABLE: Problem.SIGNALS,
    Concern.BUDGET_NEARLY_USED: Problem.BUDGET,
    Concern.BUDGET_LIMITS: Problem.BUDGET,
    Concern.AT_MAX_REPLICAS: Problem.AT_MAX,
    Concern.REPLICAS_FAILED: Problem.REPLICAS,
}
_SENTENCES = {
    Concern.BUDGET_NEARLY_USED: "The day's budget will not last at this rate.",
    Concern.BUDGET_LIMITS: "The day's budget limits the pool.",
    Concern.AT_MAX_REPLICAS: "The pool needs more replicas than it may have.",
}


BLIND = (Problem.SIGNALS, "The control plane does not answer which batchers there are: the pool is not scaled.")


def problems(
    decision: Decision, acting: Acting, missing: int, actuator_problem: str, *, now_s: float, deadline_s: float
) -> Iterator[tuple[Problem, str]]:
    """Yield what is wrong. actuator_problem: why the actuator could not say what it keeps; empty when it could.

    deadline_s: how long a replica may take to be ready; an actuator that takes longer to answer hangs.
    """
    for one in decision.recommendations:
        if one.problem is not None:
            yield Problem.SIGNALS, f"{one.metric} is {one.problem}: the pool is not scaled down."
    for concern in decision.concerns:
        if concern in _SENTENCES:
            yield _CONCERNS[concern], _SENTENCES[concern]
    if missing:
        yield Problem.REPLICAS, f"{missing} of the replicas failed or did not appear in time; they are not counted."
    if actuator_problem:
        yield Problem.ACTUATOR, actuator_problem
    elif acting.failures:
        yield Problem.ACTUATOR, f"{acting.problem} (attempt {acting.failures})."
    elif acting.stage is Stage.ASKED and now_s - acting.since_s > deadline_s:
        yield Problem.ACTUATOR, f"The actuator was asked for {acting.target} and does not answer."


def sentences(found: Sequence[tuple[Problem, str]]) -> tuple[str, ...]:
    """Return the sentences alone."""
    return tuple(sentence for _, sentence in found)

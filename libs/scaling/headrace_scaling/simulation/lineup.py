"""Policies beside each other on one trace: ours, Kubernetes', Knative's, a threshold rule, a fixed number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from headrace_scaling.decisions import presets
from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.simulation.deciders import Decider, FixedDecider, PolicyDecider, ThresholdDecider
from headrace_scaling.simulation.run import Outcome, Progress, simulate
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import Trace

# Of what a replica can serve: how much a policy aims at. Ours leaves less room: it sees surges come.
TARGET_SHARES = {"headrace": 0.84, "kubernetes": 0.7, "knative": 0.7, "knative-delayed": 0.7, "threshold": 1.0}
NAMES = tuple(TARGET_SHARES)


def named(name: str, setup: Setup, *, most: int = 20, target: float | None = None) -> Decider:
    """Return a policy by its name, `fixed-N` included. Raises ValueError for a name that there is not.

    target: requests/s of a replica that it aims at; None for its usual share of what a replica can serve in time.
    """
    kind, _, count = name.partition("-")
    if kind == "fixed" and count.isdecimal() and count.isascii():
        return FixedDecider(int(count))
    if name not in TARGET_SHARES:
        raise ValueError(f"there is no policy {name!r}; there is {', '.join(NAMES)} and fixed-N")
    _, capacity = setup.curve.best(setup.slo_s)
    aim = TARGET_SHARES[name] * capacity if target is None else target
    if name == "threshold":
        return ThresholdDecider(aim, most)
    return PolicyDecider(policy_named(name, aim, most))


def policy_named(name: str, per_replica: float, most: int) -> PoolPolicy:
    """Return the policy of a name, which aims at a rate for each replica."""
    if name == "headrace":
        return presets.headrace(per_replica, most=most)
    if name == "kubernetes":
        return presets.kubernetes(per_replica, most=most)
    # A simulation without a front door cannot wake a pool from zero: one replica always stays.
    knative = presets.knative(per_replica, most=most, delay_s=300.0 if name == "knative-delayed" else 0.0)
    return replace(knative, min_replicas=1, scale_to_zero=None)


def compare(
    trace: Trace,
    setup: Setup,
    deciders: Mapping[str, Callable[[], Decider]],
    *,
    skip_s: int = 0,
    step_s: int | None = None,
    progress: Progress | None = None,
) -> tuple[Outcome, ...]:
    """Return what each policy makes of a trace, in their order. Each has the same starts, failures and arrivals."""
    outcomes: list[Outcome] = []
    for index, (name, make) in enumerate(deciders.items()):

        def report(done: int, total: int, index: int = index) -> None:
            if progress is not None:
                progress(index * total + done, len(deciders) * total)

        outcomes.append(simulate(name, trace, make(), setup, skip_s=skip_s, step_s=step_s, progress=report))
    return tuple(outcomes)

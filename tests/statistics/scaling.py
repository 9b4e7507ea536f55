"""Replica counts on traces: what breaks the objective and what it costs, beside Knative's and a threshold rule."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.simulation import lineup, traces
from headrace_scaling.simulation.deciders import Decider, PolicyDecider, ThresholdDecider
from headrace_scaling.simulation.run import Outcome, simulate
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import Trace

from tests.statistics.figures import NOTHING, Figure, Table

# A replica serves 500 requests/s within 100 ms, and takes 45 s to load.
SETUP = Setup()
# Requests/s of a replica that Knative's rules aim at: from far too much room to hardly any.
KNATIVE_TARGETS = (150.0, 200.0, 250.0, 300.0, 350.0, 420.0, 480.0)
OURS = 420.0


def on_surges(rng: np.random.Generator, days: int = 16) -> Table:
    """Two days of surges with the days before them as history: ours against the frontier of Knative's targets."""
    trace = traces.generated(
        "surges", seconds=days * traces.DAY_S, low=1000.0, high=8000.0, seed=int(rng.integers(1 << 30))
    )
    skip_s = max(0, days - 2) * traces.DAY_S if days > 4 else (days - 1) * traces.DAY_S
    targets = KNATIVE_TARGETS if days > 4 else (200.0, 350.0)

    def run(make: Callable[[], Decider]) -> Outcome:
        return simulate("", trace, make(), SETUP, skip_s=skip_s)

    frontier = [run(lambda target=target: _decider("knative", target)) for target in targets]
    threshold = run(lambda: ThresholdDecider(500.0))
    figures = [_on_first_days(rng)] if days > 4 else []
    for target in (350.0, OURS, 480.0) if days > 4 else (OURS,):
        ours = run(lambda target=target: _decider("headrace", target))
        best = _at(frontier, ours.replica_hours)
        figures.append(
            Figure(
                f"aim of {target:.0f}/s, {days} days",
                _shown(ours),
                f"≤ {best:.2%}",
                ours.violations <= best,
                _shown(threshold),
                f"{best:.2%} at as many",
            )
        )
        bar = 700 * (days - skip_s // traces.DAY_S)
        figures.append(Figure("… changes of the scale", f"{ours.changes:,}", f"≤ {bar:,}", ours.changes <= bar))
        back = _turns_back(ours)
        figures.append(Figure("… turns back down within a cooldown", f"{back}", "≤ 1", back <= 1))
    return Table("Surges at the same minutes of every hour: late or shed; replica-hours", tuple(figures))


def _on_first_days(rng: np.random.Generator) -> Figure:
    """Two days without any before them: what is learned comes from their first hours."""
    trace = traces.generated(
        "surges", seconds=2 * traces.DAY_S, low=1000.0, high=8000.0, seed=int(rng.integers(1 << 30))
    )
    ours, threshold, *frontier = (
        simulate("", trace, decider, SETUP)
        for decider in (
            *(_decider("headrace", OURS), ThresholdDecider(500.0)),
            *(_decider("knative", target) for target in KNATIVE_TARGETS),
        )
    )
    best = _at(frontier, ours.replica_hours)
    return Figure(
        "aim of 420/s, the first 2 days",
        _shown(ours),
        f"≤ {best:.2%}",
        ours.violations <= best,
        _shown(threshold),
        f"{best:.2%} at as many",
    )


def on_shapes(rng: np.random.Generator) -> Table:
    """An hour of a step, a ramp and spikes, and a step whose callers wait: ours against Knative's rules with 70 %."""
    seed = int(rng.integers(1 << 30))
    figures: list[Figure] = []
    patient = replace(SETUP, deadline_s=3_600.0)
    for shape, most_broken, most_hours, setup in (
        ("step", 0.065, 10.5, SETUP),
        ("step", None, 10.5, patient),
        ("ramp", 0.0014, 11.8, SETUP),
        ("spikes", None, 8.4, SETUP),
    ):
        trace = traces.generated(shape, seed=seed)
        ours, knative, threshold = (
            simulate("", trace, decider, setup)
            for decider in (_decider("headrace", OURS), _decider("knative", 350.0), ThresholdDecider(500.0))
        )
        broken = knative.violations if most_broken is None else min(most_broken, max(knative.violations, 1e-6))
        figures.append(
            Figure(
                shape if setup is SETUP else f"{shape} without shedding",
                _shown(ours),
                f"≤ {broken:.2%}; ≤ {most_hours} h",
                ours.violations <= broken and ours.replica_hours <= most_hours,
                _shown(threshold),
                _shown(knative),
            )
        )
        if shape == "step" and setup is SETUP:
            needed = int(np.ceil(trace.requests[-600:].mean() / OURS))
            over = ours.most_replicas - needed
            figures.append(Figure("… replicas beyond what is needed", f"{over}", "≤ 1", over <= 1))
    return Table("500 to 6,000 requests/s within an hour: late or shed; replica-hours", tuple(figures))


def on_warm_pools(rng: np.random.Generator) -> Table:
    """Spikes of 90 s, shorter than what a cold start leaves of them: what replicas that are kept warm buy."""
    trace = traces.generated("spikes", seed=int(rng.integers(1 << 30)))
    figures: list[Figure] = []
    for warm in (1, 4, 8, 12, 15):
        policy = replace(presets.headrace(OURS), min_replicas=warm)
        figures.append(Figure(f"at least {warm}", _shown(_run(trace, policy, SETUP)), NOTHING))
    return Table("Spikes of 90 s by the size of the warm pool: late or shed; replica-hours", tuple(figures))


def on_spikes(rng: np.random.Generator, days: int = 5) -> Table:
    """Spikes of 90 s beside the frontier of Knative's targets: as never before, and as on the days before."""
    seed = int(rng.integers(1 << 30))
    hour = traces.generated("spikes", seed=seed)
    again = traces.generated("spikes", seconds=days * traces.DAY_S, seed=seed)
    frontier = [simulate("", hour, _decider("knative", target), SETUP) for target in KNATIVE_TARGETS]
    quick = replace(presets.headrace(OURS), scale_down_window_s=15.0, bridged_starts=0.0)
    figures: list[Figure] = []
    for case, ours, hours in (
        ("never before", _run(hour, presets.headrace(OURS), SETUP), 1.0),
        ("never before, and 15 s before scaling down", _run(hour, quick, SETUP), 1.0),
        (
            f"at the same minutes of {days - 1} days before",
            simulate("", again, _decider("headrace", OURS), SETUP, skip_s=(days - 1) * traces.DAY_S),
            24.0,
        ),
    ):
        best = _at(frontier, ours.replica_hours / hours)
        shown = f"{ours.violations:.2%}; {ours.replica_hours / hours:.1f}"
        # Half of a spike is over before a replica that is started for it has loaded: the first row is told, not held.
        told = "" if case == "never before" else f"≤ {best:.2%}"
        held = not told or ours.violations <= best
        figures.append(Figure(case, shown, told or NOTHING, held, NOTHING, f"{best:.2%} at as many"))
    title = "Spikes of 90 s every ten minutes, an hour beside Knative's targets: late or shed; replica-hours"
    return Table(title, tuple(figures))


def _run(trace: Trace, policy: PoolPolicy, setup: Setup) -> Outcome:
    return simulate("", trace, PolicyDecider(policy), setup)


def _decider(name: str, target: float) -> Decider:
    return lineup.named(name, SETUP, target=target)


def _at(frontier: list[Outcome], replica_hours: float) -> float:
    """Return what Knative's rules break at as many replica-hours, between the two targets around them."""
    points = sorted((one.replica_hours, one.violations) for one in frontier)
    return float(np.interp(replica_hours, [hours for hours, _ in points], [broken for _, broken in points]))


def _turns_back(outcome: Outcome) -> int:
    """Return the most turns from scaling up to scaling down within a minute: every other turn is one."""
    return -(-outcome.most_turns // 2)


def _shown(outcome: Outcome) -> str:
    return f"{outcome.violations:.2%}; {outcome.replica_hours:.1f}"

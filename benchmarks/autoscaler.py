"""One round over 1,000 pools (bar: 1 s), and 14 days by the second (bar: 60 s): `python -m benchmarks.autoscaler`."""

import statistics
import sys
import time
from dataclasses import replace

import numpy as np
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.decisions.observations import Metric, ModelLoad, Observation, Replicas, Signal
from headrace_scaling.decisions.policies import Budget, Overflow, PoolPolicy, ScaleToZero, Target
from headrace_scaling.history import DemandHistory
from headrace_scaling.simulation import traces
from headrace_scaling.simulation.deciders import PolicyDecider
from headrace_scaling.simulation.run import simulate
from headrace_scaling.simulation.setup import Setup

POOLS, ROUNDS = 1_000, 20
ROUND_BAR_S, TRACE_BAR_S = 1.0, 60.0
NOW = traces.MONDAY + 20 * traces.DAY_S


def everything() -> PoolPolicy:
    """Return a policy that uses all there is."""
    ours = presets.headrace(420.0)
    return replace(
        ours,
        targets=(
            *ours.targets,
            Target(Metric.GPU_UTILISATION, 0.8),
            Target(Metric.PREDICTED_WAIT_S, 0.05, up_only=True),
        ),
        scale_to_zero=ScaleToZero(),
        overflow=Overflow("cpu", 20.0, 40),
        budget=Budget(replica_hours=400.0),
    )


def rounds() -> list[float]:
    """Return how long each round over all pools took, once windows are full; histories of 14 days included."""
    rng = np.random.default_rng(1)
    policy = everything()
    memories: list[Memory | None] = [None] * POOLS
    histories = [DemandHistory() for _ in range(POOLS)]
    for history in histories:
        for at in range(0, 14 * traces.DAY_S, 6 * 3_600):
            history.record(NOW - 14 * traces.DAY_S + at, 900.0)
    took: list[float] = []
    for tick in range(ROUNDS):
        now = NOW + tick * policy.interval_s
        loads = rng.poisson(1_500.0, (POOLS, 3))
        began = time.process_time()
        for pool in range(POOLS):
            models = tuple(
                ModelLoad(f"model{i}", {Metric.REQUESTS_PER_S: Signal(float(load), 1.0)})
                for i, load in enumerate(loads[pool])
            )
            history = histories[pool]
            history.record(now, float(loads[pool].sum()))
            signals = {Metric.GPU_UTILISATION: Signal(7.5, 2.0, 10), Metric.PREDICTED_WAIT_S: Signal(0.01, 1.0)}
            seen = Observation(
                f"pool{pool}", now, Replicas(10, 1, requested=11), signals, models, 45.0, history.peaks(now, 50.0)
            )
            decision, memories[pool] = decide(policy, memories[pool], seen)
            assert decision.desired >= 1
        took.append(time.process_time() - began)
    return took[ROUNDS // 2 :]


def main() -> int:
    """Print what both take; return 1 where a bar is missed."""
    took = rounds()
    slowest = max(took)
    print(f"{POOLS:,} pools of 3 models: {statistics.median(took):.3f} s of CPU a round, at most {slowest:.3f} s")
    trace = traces.generated("surges", seconds=14 * traces.DAY_S, low=1000.0, high=8000.0)
    began = time.process_time()
    outcome = simulate("headrace", trace, PolicyDecider(presets.headrace(420.0)), Setup())
    trace_s = time.process_time() - began
    print(f"14 days, {trace.seconds:,} seconds: {trace_s:.1f} s of CPU; {outcome.violations:.2%} late or shed")
    missed = [name for name, over in {"round": slowest >= ROUND_BAR_S, "trace": trace_s >= TRACE_BAR_S}.items() if over]
    print("every bar is held" if not missed else f"missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures one scenario once: warm-up, load, what the processes used meanwhile."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.load.calls import Call
from benchmarks.load.endings import OK
from benchmarks.load.generator import Generator, Result, Target
from benchmarks.load.workload import Workload, arrivals, choices
from benchmarks.measures.figures import GENERATOR, Figures, percentile
from benchmarks.measures.processes import Usage, usage
from benchmarks.measures.scenarios import Scenario

WARM_UP_S = 1.0
# The data plane sums up a few times a second.
_FLUSH_S = 0.6
_COUNTER = "headrace_router_predictions_total{"
# Names of processes that use less than this are left out.
_LEAST_US = 0.05


@dataclass(frozen=True, slots=True)
class System:
    """Something that is asked. processes: pids by name. metrics_url: of the data plane; None for references.

    prepare: called before each run.
    """

    target: Callable[[], Target]
    calls: Mapping[str, Call]
    processes: Callable[[], dict[str, list[int]]]
    metrics_url: str | None = None
    prepare: Callable[[], None] = lambda: None


def measure(system: System, scenario: Scenario, *, seconds: float, seed: int) -> Figures:
    """Run a scenario once. Raises WireError and OSError when the server cannot be talked to."""
    system.prepare()
    call = system.calls[scenario.call]
    workload = Workload(choices(seed, known_share=scenario.known_share).tolist())
    with Generator(system.target(), call, workload, scenario.connections) as generator:
        generator.closed(min(scenario.streams, 32), WARM_UP_S)
        served = _served_from(system.metrics_url)
        processes = system.processes()
        before = usage(processes)
        if scenario.per_s is None:
            result = generator.closed(scenario.streams, seconds)
        else:
            result = generator.open(arrivals(seed, scenario.per_s, seconds).tolist())
        after = usage(processes)
    return figures(
        result, before, after, _kept_share(served, _served_from(system.metrics_url)), offered_per_s=scenario.per_s
    )


def figures(
    result: Result,
    before: Mapping[str, Usage],
    after: Mapping[str, Usage],
    kept_share: float | None = None,
    *,
    offered_per_s: float | None = None,
) -> Figures:
    """Return what a run means per request. before, after: what the processes had used."""
    latencies = sorted(result.latencies_s)
    right = max(1, result.right)
    cpu_us = {name: (after[name].cpu_s - before[name].cpu_s) * 1e6 / right for name in after}
    cpu_us[GENERATOR] = result.cpu_s * 1e6 / right
    return Figures(
        requests_per_s=result.in_time / result.seconds,
        p50_ms=percentile(latencies, 0.50) * 1e3,
        p99_ms=percentile(latencies, 0.99) * 1e3,
        outcomes={OK: 0, **(result.outcomes + result.bad)},
        cpu_us={name: us for name, us in sorted(cpu_us.items(), key=lambda one: -one[1]) if us >= _LEAST_US},
        memory_mib={name: one.memory_bytes / 2**20 for name, one in after.items()},
        kept_share=kept_share,
        offered_per_s=offered_per_s,
        behind_ms=result.behind_s * 1e3,
    )


def _served_from(metrics_url: str | None) -> dict[str, float]:
    """Return how many predictions were answered, by where from."""
    if metrics_url is None:
        return {}
    time.sleep(_FLUSH_S)
    with urllib.request.urlopen(metrics_url, timeout=5) as answer:
        text = answer.read().decode()
    counts: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith(_COUNTER):
            labels, _, value = line.rpartition(" ")
            source = labels.partition('served_from="')[2].partition('"')[0]
            counts[source] = counts.get(source, 0.0) + float(value)
    return counts


def _kept_share(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    answered = {name: count - before.get(name, 0.0) for name, count in after.items()}
    total = sum(answered.values())
    return (answered.get("cache", 0.0) + answered.get("precomputed", 0.0)) / total if total else None

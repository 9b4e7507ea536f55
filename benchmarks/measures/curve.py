"""Latency against offered load, up to collapse: an open loop at more and more of what a closed one reaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.measures.figures import Figures
from benchmarks.measures.measuring import System, measure
from benchmarks.measures.scenarios import GATEWAY, HEADRACE, ONLINE, Scenario

SHARES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25)
# What is drawn: the same 80/20 for both, of which the gateway can keep nothing.
DRAWN = (
    Scenario("curve-headrace", "Headrace, 80 % kept", HEADRACE),
    Scenario("curve-gateway", "gateway + Triton", GATEWAY, "triton", ONLINE),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """One system: points in the order of their load."""

    title: str
    points: tuple[Figures, ...]


def curve(
    system: System, scenario: Scenario, *, seconds: float, seed: int, tell: Callable[[Scenario, Figures], None]
) -> Curve:
    """Measure a system at every share of its own peak. tell: called with every point."""
    peak = measure(system, scenario, seconds=seconds, seed=seed)
    tell(scenario, peak)
    points = []
    for share in SHARES:
        at = replace(scenario, name=f"{scenario.name} {share:.0%}", per_s=peak.requests_per_s * share)
        points.append(measure(system, at, seconds=seconds, seed=seed))
        tell(at, points[-1])
    return Curve(scenario.title, tuple(points))

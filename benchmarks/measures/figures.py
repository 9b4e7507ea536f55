"""What was measured, as values: of one run, and the median of several."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.load.endings import OK, REFUSED

# Whose CPU stands beside that of the processes it asks.
GENERATOR = "load generator"


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of one scenario. requests_per_s: right answers. outcomes: all others too, by name.

    cpu_us, memory_mib: by process. kept_share: answers that Headrace did not compute; None where it does not say.
    behind_ms: what an open loop's sender was late at most.
    """

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    outcomes: Mapping[str, int]
    cpu_us: Mapping[str, float] = field(default_factory=dict)
    memory_mib: Mapping[str, float] = field(default_factory=dict)
    kept_share: float | None = None
    offered_per_s: float | None = None
    behind_ms: float = 0.0

    @property
    def errors(self) -> int:
        """Answers that were neither right nor refused as they should be."""
        return sum(count for name, count in self.outcomes.items() if name not in (OK, REFUSED))

    @property
    def refused(self) -> int:
        """Answers that said when to come again."""
        return self.outcomes.get(REFUSED, 0)

    @property
    def offered(self) -> float:
        """Requests a second that were sent; in a closed loop as many as were answered."""
        return self.requests_per_s if self.offered_per_s is None else self.offered_per_s

    @property
    def cost_us(self) -> float:
        """CPU of everything per right answer, the generator's included."""
        return sum(self.cpu_us.values())

    @property
    def served_us(self) -> float:
        """The same without the generator's."""
        return self.cost_us - self.cpu_us.get(GENERATOR, 0.0)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of them does not exceed; NaN for none."""
    if not ordered:
        return float("nan")
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def median_of(runs: Sequence[Figures]) -> Figures:
    """Return the median of every figure, each by itself; outcomes are of all runs together."""
    outcomes: Counter[str] = Counter()
    for run in runs:
        outcomes.update(run.outcomes)
    shares = [run.kept_share for run in runs if run.kept_share is not None]
    offered = [run.offered_per_s for run in runs if run.offered_per_s is not None]
    return Figures(
        requests_per_s=statistics.median(run.requests_per_s for run in runs),
        p50_ms=statistics.median(run.p50_ms for run in runs),
        p99_ms=statistics.median(run.p99_ms for run in runs),
        outcomes=dict(outcomes),
        cpu_us=_medians([run.cpu_us for run in runs]),
        memory_mib=_medians([run.memory_mib for run in runs]),
        kept_share=statistics.median(shares) if shares else None,
        offered_per_s=statistics.median(offered) if offered else None,
        behind_ms=statistics.median(run.behind_ms for run in runs),
    )


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: statistics.median(run.get(name, 0.0) for run in runs) for name in names}

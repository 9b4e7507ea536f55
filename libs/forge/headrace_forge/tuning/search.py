"""Which settings to measure next: a model of the service time by batch size first, then few confirmations.

The question is which settings answer most requests within an objective. Service times by batch size say what one
instance can serve; how much instances slow one another down must be measured. So the model names the batch size, each
number of instances is tried once with it, and the best is improved along one setting at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from headrace_scaling.simulation.service_curves import ServiceCurve

# Of the grid's settings, the share that is measured at most.
SHARE = 0.1
# A request waits for the batch before its own, and shares the objective with everything that is no execution.
_BATCHES_WITHIN_OBJECTIVE = 2.2
# What goodput must gain for settings to count as better: less is noise.
_BETTER = 1.01
# How often the settings in force and the best ones found are measured in turn.
_TURNS = 2


@dataclass(frozen=True, slots=True, order=True)
class Settings:
    """What is tuned. max_wait_ms: longest wait for batch-mates while the backend is busy."""

    max_batch_rows: int
    max_wait_ms: float
    instances: int

    @property
    def preferred_batch_rows(self) -> tuple[int, ...]:
        """Return the sizes that batches should have: the largest, and its half and quarter."""
        return tuple(sorted({max(1, self.max_batch_rows // part) for part in (1, 2, 4)}))


@dataclass(frozen=True, slots=True)
class Grid:
    """The settings among which is chosen; each rising."""

    max_batch_rows: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128)
    max_wait_ms: Sequence[float] = (0.0, 1.0, 2.0, 5.0, 10.0)
    instances: Sequence[int] = (1, 2, 4)

    def every(self) -> list[Settings]:
        """Return all of them."""
        return [Settings(*one) for one in itertools.product(self.max_batch_rows, self.max_wait_ms, self.instances)]

    @property
    def runs(self) -> int:
        """Return how many runs a search may take."""
        return max(1, int(SHARE * len(self.max_batch_rows) * len(self.max_wait_ms) * len(self.instances)))

    def neighbours(self, settings: Settings) -> list[Settings]:
        """Return the settings one step away: other batches, other instances, more of one for less of the other, and
        last other waits."""
        steps = ((1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1), (-1, 0, 1), (1, 0, -1), (0, 1, 0), (0, -1, 0))
        axes = (self.max_batch_rows, self.max_wait_ms, self.instances)
        at = [
            list(axis).index(value)
            for axis, value in zip(
                axes, (settings.max_batch_rows, settings.max_wait_ms, settings.instances), strict=True
            )
        ]
        places = [tuple(here + by for here, by in zip(at, step, strict=True)) for step in steps]
        return [
            Settings(axes[0][rows], axes[1][wait], axes[2][instances])
            for rows, wait, instances in places
            if 0 <= rows < len(axes[0]) and 0 <= wait < len(axes[1]) and 0 <= instances < len(axes[2])
        ]


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. goodput_per_s: requests answered within the objective. p99_ms: of those that were answered."""

    settings: Settings
    goodput_per_s: float
    p99_ms: float = 0.0
    offered_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found: the best run, and all of them in their order. present: of the settings in force."""

    best: Run
    runs: tuple[Run, ...]
    present: Run | None = None


def model(curve: ServiceCurve, grid: Grid, objective_s: float) -> tuple[Settings, float]:
    """Return where to begin, and what one instance should serve there: the batch size that serves most within the
    objective, with the shortest wait but none."""
    fitting = [rows for rows in grid.max_batch_rows if _BATCHES_WITHIN_OBJECTIVE * curve.seconds(rows) <= objective_s]
    rows = max(fitting or [grid.max_batch_rows[0]], key=lambda one: (one / curve.seconds(one), -one))
    wait_ms = next((one for one in grid.max_wait_ms if one > 0), grid.max_wait_ms[0])
    return Settings(rows, wait_ms, grid.instances[0]), rows / curve.seconds(rows)


def search(
    curve: ServiceCurve,
    measure: Callable[[Settings], Run],
    objective_s: float,
    grid: Grid | None = None,
    most_runs: int | None = None,
) -> SearchResult:
    """Return the best settings of a grid by at most `most_runs` measurements; None is a tenth of the grid."""
    grid = grid or Grid()
    left = grid.runs if most_runs is None else most_runs
    runs: dict[Settings, Run] = {}

    def tried(settings: Settings) -> bool:
        """Measure settings unless that was done; return whether there was still a run for it."""
        if settings not in runs and len(runs) < left:
            runs[settings] = measure(settings)
        return settings in runs

    begin, _ = model(curve, grid, objective_s)
    for instances in grid.instances:
        # As if instances only shared what one has: smaller batches are then still within the objective.
        rows = max(one for one in grid.max_batch_rows if one <= max(begin.max_batch_rows / instances, 1))
        tried(replace(begin, instances=instances, max_batch_rows=rows))
    best = _best(runs)
    while (better := _step(best, grid, tried, runs)) is not best:
        best = better
    return SearchResult(_best(runs), tuple(runs.values()))


def beside(found: SearchResult, present: Settings, measure: Callable[[Settings], Run]) -> SearchResult:
    """Return what was found beside the settings in force, which are the best unless others answer more.

    Both are measured in turn: of many runs the best one looks better than it is.
    """
    if found.best.settings == present:
        return replace(found, present=found.best)
    turns = [(measure(present), measure(found.best.settings)) for _ in range(_TURNS)]
    now, other = (_mean(runs) for runs in zip(*turns, strict=True))
    better = other.goodput_per_s > now.goodput_per_s * _BETTER
    return SearchResult(other if better else now, found.runs, now)


def _mean(runs: Sequence[Run]) -> Run:
    def of(values: Iterable[float]) -> float:
        return sum(values) / len(runs)

    return Run(
        runs[0].settings,
        of(one.goodput_per_s for one in runs),
        of(one.p99_ms for one in runs),
        of(one.offered_per_s for one in runs),
    )


def _step(best: Run, grid: Grid, tried: Callable[[Settings], bool], runs: dict[Settings, Run]) -> Run:
    """Return a neighbour that is better, the first that is found; else what was best."""
    for settings in grid.neighbours(best.settings):
        if tried(settings) and runs[settings].goodput_per_s > best.goodput_per_s * _BETTER:
            return runs[settings]
    return best


def _best(runs: Mapping[Settings, Run]) -> Run:
    """Return the run that answers most."""
    return max(runs.values(), key=lambda one: one.goodput_per_s)

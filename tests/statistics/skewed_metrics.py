"""A/A experiments with uneven shares and metrics of which a few units carry most: rows as the query finds them, and the
verdict at every look, with installed settings.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
from headrace_monitor.judge.experiments.decisions.definitions import Definition, Experiment, Metric, started
from headrace_monitor.judge.experiments.decisions.moments import Steps
from headrace_monitor.judge.experiments.decisions.tally import MomentRow, UnitSums
from headrace_monitor.judge.experiments.decisions.verdicts import history
from headrace_statistics.experiments.analysis import Finding, VariantResult
from headrace_statistics.experiments.design import Kind, Role

from tests.statistics.figures import Figure, Table

ALPHA = Definition("", {}, ()).alpha
_MANY_LOOKS = 1_000
_START = datetime(2026, 11, 2, tzinfo=UTC)
_LAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "one in ten buys, lognormal 1.5": lambda rng, n: (rng.random(n) < 0.1) * rng.lognormal(3, 1.5, n),
    "Pareto 1.2": lambda rng, n: rng.pareto(1.2, n) + 1,
    "Poisson .02": lambda rng, n: rng.poisson(0.02, n).astype(float),
}
# Law, kind of metric, whether it is adjusted for the time before, the variant's share, units, looks.
Case = tuple[str, Kind, bool, float, int, int]
CASES: tuple[Case, ...] = (
    *((law, Kind.MEAN, False, w, 20_000, 20) for w in (0.05, 0.02, 0.1, 0.5) for law in _LAWS),
    *((law, Kind.MEAN, False, 0.2, 2_000, 20) for law in _LAWS),
    *((law, Kind.RATIO, False, 0.05, 20_000, 20) for law in _LAWS),
    *((law, Kind.MEAN, True, 0.05, 20_000, 20) for law in _LAWS),
    *((law, Kind.MEAN, False, 0.1, 20_000, _MANY_LOOKS) for law in _LAWS),
)


def skewed(rng: np.random.Generator, runs: int, cases: tuple[Case, ...] = CASES) -> Table:
    """A/A: how often a metric is called better or worse, and a guardrail of the same values harmed, by the
    service's own verdicts at every look, with installed settings. A fifth of the runs for 1,000 looks. Behind ± is the
    standard error of the simulation.
    """
    figures = []
    for law, kind, adjusted, w, units, looks in cases:
        definition = Definition(
            "",
            {"control": 1 - w, "new": w},
            (_metric("revenue", kind, Role.SUCCESS), _metric("guard", kind, Role.GUARDRAIL)),
            covariate_window=timedelta(days=14) if adjusted else timedelta(0),
        )
        experiment = started(Experiment("shop", "one", definition, "ada", _START), _START)
        wrong, harmed = [], []
        for _ in range(runs if looks < _MANY_LOOKS else max(runs // 5, 1)):
            found = [one for results in _looks(rng, experiment, law, units, looks) for one in results]
            wrong.append(any(one.finding in {Finding.BETTER, Finding.WORSE} for one in found))
            harmed.append(any(one.finding is Finding.HARMED for one in found))
        what = f"{law}, {kind}{' adjusted' if adjusted else ''}, share {w:g}, {units:,} units, {looks:,} looks"
        held = bool(max(np.mean(wrong), np.mean(harmed)) <= ALPHA)
        shown = f"{_rate(wrong)}; harmed: {_rate(harmed)}"
        figures.append(Figure(what, shown, f"≤ {ALPHA:.0%}", held))
    return Table("Experiments with uneven shares and skewed metrics, alpha .05", tuple(figures))


def _metric(name: str, kind: Kind, role: Role) -> Metric:
    return Metric(name, kind, role, "reward", denominator="predictions" if kind is Kind.RATIO else "")


def _looks(
    rng: np.random.Generator, experiment: Experiment, law: str, units: int, looks: int
) -> Iterator[tuple[VariantResult, ...]]:
    steps = Steps(_START, timedelta(hours=1), looks)
    rows = list(_rows(rng, experiment, law, units, looks))
    for one in history(experiment, rows, steps, steps.ends[-1]):
        yield one.analysis.results


def _rows(rng: np.random.Generator, experiment: Experiment, law: str, units: int, looks: int) -> Iterator[MomentRow]:
    definition = experiment.definition
    y = _LAWS[law](rng, units)
    x = rng.poisson(3, units) + 1.0 if definition.metrics[0].kind is Kind.RATIO else np.ones(units)
    c = (y + _LAWS[law](rng, units)) * (definition.covariate_window > timedelta(0))
    variant = rng.random(units) < definition.weights["new"]
    columns = y, x, c
    scales = tuple(2.0 ** (46 - np.floor(np.log2(max(column.max(), 1e-9)))) for column in columns)
    parts = [*columns, *(one * other for at, one in enumerate(columns) for other in columns[at:])]
    factors = [*scales, *(one * other for at, one in enumerate(scales) for other in scales[at:])]
    for step, these in enumerate(np.array_split(np.arange(units), looks)):
        for name, mine in (("control", these[~variant[these]]), ("new", these[variant[these]])):
            if not mine.size:
                continue
            sums = tuple(int(part[mine].sum() * factor) for part, factor in zip(parts, factors, strict=True))
            ends = int(y[mine].min() * scales[0]), int(y[mine].max() * scales[0])
            summed = UnitSums(mine.size, sums, scales, ends)
            yield MomentRow("", step, None, 0, name, mine.size, 0)
            for metric in (0, 1):
                yield MomentRow("", step, metric, 0, name, mine.size, 0, summed)


def _rate(alarms: list[bool]) -> str:
    rate, runs = float(np.mean(alarms)), len(alarms)
    return f"{rate:.1%} ± {np.sqrt(max(rate, 1 / runs) * (1 - rate) / runs):.1%}"

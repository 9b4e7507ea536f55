"""Rows of the query as counts of the statistics: units, moments and curves, added up as they come. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from headrace_statistics.arrays import floats
from headrace_statistics.experiments.analysis import Counts
from headrace_statistics.experiments.moments import UnitMoments, merged
from headrace_statistics.experiments.quantiles import QuantileCurve

from headrace_monitor.experiments.decisions.definitions import Experiment

# Three means and six co-moments.
_NUMBERS = 9


class MomentRow(NamedTuple):
    """Units, or one metric of them. slice_value: None for the values that are not frequent. metric: None for the
    units themselves. numbers: three means and six co-moments. curve: of a quantile, of all units up to the step.
    """

    slice_value: str | None
    step: int
    metric: int | None
    phase: int
    variant: str
    units: int
    crossed: int
    numbers: tuple[float, ...] | None = None
    curve: tuple[float, ...] | None = None


def rows_of(found: Iterable[Sequence[Any]]) -> Iterator[MomentRow]:
    """Yield the rows of what `moments.moments_sql` finds: first of the units, then of each metric."""
    for value, step, metric, phase, variant, units, crossed, counted, numbers, curve in found:
        if curve is not None:
            yield MomentRow(value, step, metric, phase, variant, units, 0, curve=tuple(curve))
            continue
        yield MomentRow(value, step, None, phase, variant, units, crossed)
        for at in range(len(numbers) // _NUMBERS if counted else 0):
            these = tuple(float(n) for n in numbers[at * _NUMBERS : (at + 1) * _NUMBERS])
            yield MomentRow(value, step, at, phase, variant, counted, 0, numbers=these)


class Tally:
    """What the rows of an experiment add up to."""

    def __init__(self, experiment: Experiment, rows: Iterable[MomentRow] = ()) -> None:
        self._experiment = experiment
        self._units = Counter[tuple[int, str]]()
        self._moments: dict[tuple[int, str, str, str | None], UnitMoments] = {}
        self._curves: dict[tuple[int, str, str], QuantileCurve] = {}
        self.crossed = 0
        self.add(rows)

    def add(self, rows: Iterable[MomentRow]) -> None:
        """Count more units; of a quantile the rows of one step replace those of the step before."""
        metrics = self._experiment.definition.metrics
        for row in rows:
            if row.metric is None:
                self._units[row.phase, row.variant] += row.units
                self.crossed += row.crossed
                continue
            key = row.phase, metrics[row.metric].name, row.variant
            if row.curve is not None:
                self._curves[key] = QuantileCurve(row.units, floats(row.curve))
            elif row.numbers is not None:
                before = self._moments.get((*key, row.slice_value))
                there = _moments(row.units, row.numbers)
                self._moments[*key, row.slice_value] = merged((before, there)) if before else there

    def units(self, phase: int | None = None) -> dict[str, int]:
        """Return units by variant, of one phase or of all."""
        return {
            name: sum(n for (at, each), n in self._units.items() if each == name and phase in (None, at))
            for name in self._experiment.definition.weights
        }

    def expected(self) -> dict[str, float]:
        """Return the units that the declared shares would have given to each variant."""
        expected = dict.fromkeys(self._experiment.definition.weights, 0.0)
        for index, phase in enumerate(self._experiment.phases):
            units, weights = sum(self.units(index).values()), sum(phase.weights.values())
            for name, weight in phase.weights.items():
                expected[name] += units * weight / weights
        return expected

    def counts(self) -> list[Counts]:
        """Return what the statistics take, by phase."""
        return [self._of_phase(index) for index, _ in enumerate(self._experiment.phases)]

    def _of_phase(self, index: int) -> Counts:
        names = [metric.name for metric in self._experiment.definition.metrics]
        strata: dict[str | None, dict[str, dict[str, UnitMoments]]] = {}
        parts: dict[tuple[str, str], list[UnitMoments]] = {}
        for (phase, metric, variant, stratum), moments in self._moments.items():
            if phase == index:
                strata.setdefault(stratum, {name: {} for name in names})[metric][variant] = moments
                parts.setdefault((metric, variant), []).append(moments)
        whole: dict[str, dict[str, UnitMoments]] = {name: {} for name in names}
        for (metric, variant), each in parts.items():
            whole[metric][variant] = merged(each)
        curves: dict[str, dict[str, QuantileCurve]] = {name: {} for name in names}
        for (phase, metric, variant), curve in self._curves.items():
            if phase == index:
                curves[metric][variant] = curve
        units = {name: count for name, count in self.units(index).items() if count}
        stratified = tuple(strata.values()) if len(strata) > 1 else ()
        return Counts(self._experiment.phases[index].weights, units, whole, curves, stratified)


def _moments(units: int, numbers: Sequence[float]) -> UnitMoments:
    yy, yx, yc, xx, xc, cc = numbers[3:]
    comoments = np.array([[yy, yx, yc], [yx, xx, xc], [yc, xc, cc]])
    return UnitMoments(units, floats(numbers[:3]), floats(comoments))

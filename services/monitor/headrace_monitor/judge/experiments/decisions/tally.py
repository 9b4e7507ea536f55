"""Rows of the query as counts of the statistics: units, moments and curves, added up as they come. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
from headrace_statistics.arrays import floats
from headrace_statistics.experiments.analysis import Counts
from headrace_statistics.experiments.moments import UnitMoments
from headrace_statistics.experiments.quantiles import QuantileCurve

from headrace_monitor.judge.experiments.decisions.definitions import Experiment

# Sums of y, x and c, and of their six products; and the ends of y.
_SUMS, _ENDS = 9, 2


@dataclass(frozen=True, slots=True)
class UnitSums:
    """Sums over units of y, x and c times their scales, and of the products of these; None of what does not vary. A
    scale is a power of 2, or 0 where a value is not finite. ends: the least and the most of y, likewise.
    """

    units: int
    sums: tuple[int | None, ...]
    scales: tuple[float, float, float]
    ends: tuple[int, int] | None = None

    def __add__(self, other: UnitSums) -> UnitSums:
        sums = (
            None if one is None or more is None else one + more for one, more in zip(self.sums, other.sums, strict=True)
        )
        ends = None
        if self.ends and other.ends:
            ends = min(self.ends[0], other.ends[0]), max(self.ends[1], other.ends[1])
        return UnitSums(self.units + other.units, tuple(sums), self.scales, ends)

    @property
    def moments(self) -> UnitMoments:
        """Return means and co-moments, of which each digit is right."""
        units, scales = self.units, self.scales
        if not units:
            return UnitMoments(0, floats(np.zeros(3)), floats(np.zeros((3, 3))))
        comoments = np.zeros((3, 3))
        for product, (one, other) in zip(self.sums[3:], combinations_with_replacement(range(3), 2), strict=True):
            if product is not None:
                away = product * units - (self.sums[one] or 0) * (self.sums[other] or 0)
                comoments[one, other] = comoments[other, one] = _scaled(away, units, scales[one], scales[other])
        means = [_scaled(total or 0, units, scale) for total, scale in zip(self.sums, scales, strict=False)]
        ends = [_scaled(end, 1, scales[0]) for end in self.ends or ()]
        return UnitMoments(units, floats(means), floats(comoments), *ends)


def _scaled(total: int, units: int, *scales: float) -> float:
    value = total / units
    for scale in scales:
        value = value / scale if scale else math.nan
    return value


class MomentRow(NamedTuple):
    """Units, or one metric of them. slice_value: None for the values that are not frequent. metric: None for the
    units themselves. curve: of a quantile, of all units up to the step.
    """

    slice_value: str | None
    step: int
    metric: int | None
    phase: int
    variant: str
    units: int
    crossed: int
    sums: UnitSums | None = None
    cap: float | None = None
    curve: tuple[float, ...] | None = None


def rows_of(found: Iterable[Sequence[Any]]) -> Iterator[MomentRow]:
    """Yield the rows of what `moments.moments_sql` finds: first of the units, then of each metric."""
    for value, step, metric, phase, variant, units, crossed, counted, sums, scales, curve, caps in found:
        if curve is not None:
            yield MomentRow(value, step, metric, phase, variant, units, 0, curve=tuple(curve))
            continue
        yield MomentRow(value, step, None, phase, variant, units, crossed)
        width = _SUMS + _ENDS
        for at in range(len(sums) // width if counted else 0):
            *these, least, most = (None if n is None else int(n) for n in sums[at * width : (at + 1) * width])
            y, x, c = scales[at * 3 : at * 3 + 3]
            ends = None if least is None or most is None else (least, most)
            summed = UnitSums(counted, tuple(these), (y, x, c), ends)
            yield MomentRow(value, step, at, phase, variant, counted, 0, summed, caps[at])


class Tally:
    """What the rows of an experiment add up to. all_units: of the experiment, where rows are of some of them."""

    def __init__(self, experiment: Experiment, rows: Iterable[MomentRow] = (), *, all_units: int | None = None) -> None:
        self._experiment = experiment
        self._units = Counter[tuple[int, str]]()
        self._sums: dict[tuple[int, str, str, str | None], UnitSums] = {}
        self._curves: dict[tuple[int, str, str], QuantileCurve] = {}
        self._all_units = all_units
        self.crossed = 0
        # By metric, those that were found.
        self.caps: dict[str, float] = {}
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
            elif row.sums is not None:
                before = self._sums.get((*key, row.slice_value))
                self._sums[*key, row.slice_value] = before + row.sums if before else row.sums
                if row.cap is not None:
                    self.caps[metrics[row.metric].name] = row.cap

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
        metrics = self._experiment.definition.metrics
        names, capless = [metric.name for metric in metrics], self._without_cap()
        strata: dict[str | None, dict[str, dict[str, UnitMoments]]] = {}
        totals: dict[tuple[str, str], UnitSums] = {}
        for (phase, metric, variant, stratum), sums in sorted(self._sums.items(), key=_in_order):
            if phase == index and metric not in capless:
                strata.setdefault(stratum, {name: {} for name in names})[metric][variant] = sums.moments
                before = totals.get((metric, variant))
                totals[metric, variant] = before + sums if before else sums
        whole: dict[str, dict[str, UnitMoments]] = {name: {} for name in names}
        for (metric, variant), total in totals.items():
            whole[metric][variant] = total.moments
        curves: dict[str, dict[str, QuantileCurve]] = {name: {} for name in names}
        for (phase, metric, variant), curve in self._curves.items():
            if phase == index:
                curves[metric][variant] = curve
        units = {name: count for name, count in self.units(index).items() if count}
        stratified = tuple(strata.values()) if len(strata) > 1 else ()
        return Counts(self._experiment.phases[index].weights, units, whole, curves, stratified)

    def _without_cap(self) -> set[str]:
        """Return the metrics without a result: too few units to determine their cap."""
        units = sum(self.units().values()) if self._all_units is None else self._all_units
        metrics = self._experiment.definition.metrics
        return {metric.name for metric in metrics if metric.cap_quantile and units < metric.cap_units}


def _in_order(item: tuple[tuple[int, str, str, str | None], UnitSums]) -> tuple[bool, str, str, str]:
    """Return what sorts strata: adding floats in one order, their statistics come out the same."""
    (_, metric, variant, stratum), _ = item
    return (stratum is None, stratum or "", metric, variant)

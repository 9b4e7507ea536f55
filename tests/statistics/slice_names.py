"""How often a slice is named as the place of a change that is the same everywhere, and of one that it brings."""

import numpy as np
from headrace_statistics.proportions import Proportion
from headrace_statistics.slices import Slice, explain_drift, explain_rise

from tests.statistics.figures import Figure, Table
from tests.statistics.shapes import shifted

# Columns that rows are sliced by, with the shares of their values.
COLUMNS = {
    "country": (0.4, 0.3, 0.15, 0.1, 0.05),
    "device": (0.6, 0.4),
    "plan": (0.7, 0.2, 0.1),
    "region": tuple([0.05] * 20),
}
GUILTY = Slice("country", "1")


def slice_names(rng: np.random.Generator, runs: int) -> Table:
    """Rows with four columns of slices, and a drift or a rise of errors that is everywhere, or in one slice alone."""
    figures = []
    for rows, sigmas in ((2_000, 0.5), (20_000, 0.3)):
        uniform = [_drift(rng, rows, sigmas, everywhere=True) for _ in range(runs)]
        one = [_drift(rng, rows, 2 * sigmas, everywhere=False) for _ in range(runs)]
        figures += _both(f"drift of {sigmas:g} sd (or twice that in one), {rows:,} rows", uniform, one)
    for rows, factor in ((2_000, 2.0), (20_000, 1.5)):
        uniform = [_rise(rng, rows, factor, everywhere=True) for _ in range(runs)]
        one = [_rise(rng, rows, 2 * factor, everywhere=False) for _ in range(runs)]
        figures += _both(f"errors of 5 % × {factor:g} (or twice that in one), {rows:,} rows", uniform, one)
    return Table(f"Slices that are named, of {sum(map(len, COLUMNS.values()))} of four columns", tuple(figures))


def _both(what: str, uniform: list[list[Slice]], one: list[list[Slice]]) -> list[Figure]:
    named, found = (
        float(np.mean([bool(each) for each in uniform])),
        float(np.mean([GUILTY in each[:1] for each in one])),
    )
    slack = 3 * (0.02 * 0.98 / len(uniform)) ** 0.5
    return [
        Figure(f"{what}: the same everywhere", f"any in {named:.1%}", "≤ 2 %", named <= 0.02 + slack),
        Figure(f"{what}: in one slice of 30 %", f"that one first in {found:.1%}", "≥ 90 %", found >= 0.9),
    ]


def _drawn(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    return {column: rng.choice(len(shares), rows, p=shares) for column, shares in COLUMNS.items()}


def _parts(of: dict[str, np.ndarray]) -> dict[Slice, np.ndarray]:
    return {
        Slice(name, str(value)): of[name] == value for name, shares in COLUMNS.items() for value in range(len(shares))
    }


def _drift(rng: np.random.Generator, rows: int, sigmas: float, *, everywhere: bool) -> list[Slice]:
    flat, moved = np.full(10, 0.1), shifted(10, sigmas)
    slices, values = [_parts(_drawn(rng, rows)) for _ in range(2)], [rng.choice(10, rows, p=flat) for _ in range(2)]
    hit = np.ones(rows, dtype=bool) if everywhere else slices[1][GUILTY]
    values[1][hit] = rng.choice(10, int(hit.sum()), p=moved)
    before, now = (
        {one: np.bincount(at[inside], minlength=10) for one, inside in of.items()}
        for of, at in zip(slices, values, strict=True)
    )
    whole = [np.bincount(at, minlength=10) for at in values]
    return [each.slice for each in explain_drift(before, now, whole_before=whole[0], whole_now=whole[1])]


def _rise(rng: np.random.Generator, rows: int, factor: float, *, everywhere: bool) -> list[Slice]:
    slices = [_parts(_drawn(rng, rows)) for _ in range(2)]
    hit = np.ones(rows, dtype=bool) if everywhere else slices[1][GUILTY]
    wrong = [rng.random(rows) < 0.05, rng.random(rows) < np.where(hit, 0.05 * factor, 0.05)]
    before, now = (
        {one: Proportion(int(errors[inside].sum()), int(inside.sum())) for one, inside in of.items()}
        for of, errors in zip(slices, wrong, strict=True)
    )
    whole = [Proportion(int(errors.sum()), rows) for errors in wrong]
    return [each.slice for each in explain_rise(before, now, whole_before=whole[0], whole_now=whole[1])]

"""One value times a billion, or a NaN, among ten thousand: what it does to the figures of a real drift and of none."""

import numpy as np
from headrace_statistics import references
from headrace_statistics.drift import ks, psi
from headrace_statistics.sketches import bins

from tests.statistics import naive
from tests.statistics.figures import Figure, Table

_SPOILS = {"as it is": None, "one value × 1e9": 1e9, "one NaN": np.nan, "one infinity": np.inf}


def spoilt_values(rng: np.random.Generator, rows: int = 10_000) -> Table:
    """Normals, of which one value is spoilt. Naive: PSI on ten equal widths."""
    reference = rng.normal(10, 3, rows)
    frozen = references.freeze_numeric(reference)
    figures = []
    for name, window in {"clean": rng.normal(10, 3, rows), "0.5 sd": rng.normal(11.5, 3, rows)}.items():
        whole = _measured(frozen, window)
        for spoil, factor in _SPOILS.items():
            values = window.copy()
            if factor is not None:
                values[17] *= factor
            ours = _measured(frozen, values)
            held = all(abs(a - b) <= 10 / rows for a, b in zip(ours, whole, strict=True))
            figures.append(
                Figure(
                    f"{name}, {spoil}",
                    f"PSI {ours[0]:.4f}, KS {ours[1]:.4f}",
                    "as it is, ± .001",
                    held,
                    naive=_naive(reference, values),
                )
            )
    return Table("One spoilt value of 10,000", tuple(figures))


def _measured(frozen: references.NumericReference, values: np.ndarray) -> tuple[float, float]:
    before, now = frozen.summary.bins.counts, bins.count(values, frozen.edges).counts
    grouped = (bins.added_up(before, frozen.groups), bins.added_up(now, frozen.groups))
    return float(psi.statistic(*grouped)), float(ks.statistic(before, now))


def _naive(reference: np.ndarray, values: np.ndarray) -> str:
    try:
        with np.errstate(all="ignore"):
            return f"PSI {naive.psi(reference, values):.4f}"
    except ValueError as error:
        return f"raises: {error}"

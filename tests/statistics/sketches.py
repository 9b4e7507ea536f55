"""Quantiles of 64 replicas, merged in random trees: how far the values are off."""

import numpy as np
from headrace_monitor.statistics.summaries.sketch import EMPTY, QuantileSketch, sketch

from tests.statistics.figures import Figure, Table

REPLICAS = 64
QUANTILES = (0.5, 0.95, 0.99, 0.999)


def sketches(rng: np.random.Generator, rows: int, orders: int = 5) -> Table:
    """Naive: the mean of the replicas' own quantiles, which is what averaging gauges gives."""
    shapes = {
        "lognormal": rng.lognormal(3, 1, rows),
        "two modes, 5 and 500 ms (1 %)": np.where(rng.random(rows) < 0.01, 500.0, 5.0) * rng.lognormal(0, 0.1, rows),
        "Pareto": rng.pareto(1.1, rows) + 1,
        "normal, both signs": rng.normal(0, 10, rows),
        "90 % zeros": np.where(rng.random(rows) < 0.9, 0.0, rng.exponential(3, rows)),
    }
    figures = []
    for name, values in shapes.items():
        # Replicas are seldom alike: each has a run of the values, sorted in part.
        parts = np.array_split(np.concatenate([np.sort(values[: rows // 2]), values[rows // 2 :]]), REPLICAS)
        made = [sketch(part) for part in parts]
        merged = [_merged(rng, made) for _ in range(orders)]
        same = all(one == merged[0] == sketch(values) for one in merged)
        exact = np.quantile(values, QUANTILES, method="lower")
        ours = max(_off(merged[0].quantile(q), float(truth)) for q, truth in zip(QUANTILES, exact, strict=True))
        averaged = np.mean([np.quantile(part, QUANTILES) for part in parts], axis=0)
        naive = max(_off(float(value), float(truth)) for value, truth in zip(averaged, exact, strict=True))
        held = same and ours <= 0.01 * (1 + 1e-9)
        shown = f"{ours:.2%}, {'same to the bit' if same else 'NOT the same'} in {orders} orders"
        figures.append(Figure(name, shown, "≤ 1 %, same", held, naive=f"{naive:.0%}"))
    return Table(
        f"Largest error of P50, P95, P99, P99.9 over {REPLICAS} merged replicas of {rows:,} values", tuple(figures)
    )


def _merged(rng: np.random.Generator, made: list[QuantileSketch]) -> QuantileSketch:
    left = [*made, EMPTY]
    while len(left) > 1:
        first, second = rng.choice(len(left), 2, replace=False)
        together = left[first].merge(left[second])
        left = [one for place, one in enumerate(left) if place not in (first, second)] + [together]
    return left[0]


def _off(value: object, truth: float) -> float:
    if not isinstance(value, float):
        return float("inf")
    return abs(value - truth) / abs(truth) if truth else abs(value)

"""Quantiles of what 64 data planes counted, merged in random trees: how far the values are off."""

import numpy as np
from headrace_router.data.telemetry.counters import Histogram
from headrace_statistics.sketches.durations import NONE, RELATIVE_ERROR, Durations, durations, merge

from tests.statistics.figures import Figure, Table

REPLICAS = 64
QUANTILES = (0.5, 0.95, 0.99, 0.999)


def quantiles(rng: np.random.Generator, rows: int, orders: int = 5) -> Table:
    """Naive: the mean of the replicas' own quantiles, which is what averaging gauges gives."""
    shapes = {
        "lognormal": rng.lognormal(-4, 1, rows),
        "two modes, 5 and 500 ms (1 %)": np.where(rng.random(rows) < 0.01, 0.5, 0.005) * rng.lognormal(0, 0.1, rows),
        "Pareto": (rng.pareto(1.1, rows) + 1) / 1000,
        "90 % from the cache in 50 µs": np.where(rng.random(rows) < 0.9, 5e-5, rng.exponential(0.003, rows)),
    }
    figures = []
    for name, drawn in shapes.items():
        values = np.clip(drawn, 1e-6, 4000)  # from a microsecond to an hour, which is what data planes tell apart
        # Replicas are seldom alike: each has a run of the values, sorted in part.
        parts = np.array_split(np.concatenate([np.sort(values[: rows // 2]), values[rows // 2 :]]), REPLICAS)
        made = [_counted(part) for part in parts]
        merged = [_merged(rng, made) for _ in range(orders)]
        same = all(one == merged[0] == _counted(values) for one in merged)
        exact = np.quantile(values, QUANTILES, method="lower")
        ours = max(_off(merged[0].quantile_s(q), float(truth)) for q, truth in zip(QUANTILES, exact, strict=True))
        averaged = np.mean([np.quantile(part, QUANTILES) for part in parts], axis=0)
        naive = max(_off(float(value), float(truth)) for value, truth in zip(averaged, exact, strict=True))
        held = same and ours <= RELATIVE_ERROR * (1 + 1e-9)
        shown = f"{ours:.2%}, {'same to the bit' if same else 'NOT the same'} in {orders} orders"
        figures.append(Figure(name, shown, f"≤ {RELATIVE_ERROR:.2%}, same", held, naive=f"{naive:.0%}"))
    title = f"Largest error of P50, P95, P99, P99.9 over {REPLICAS} data planes' {rows:,} durations, merged"
    return Table(title, tuple(figures))


def _counted(seconds: np.ndarray) -> Durations:
    seen = Histogram()
    for one in seconds.tolist():
        seen.add(one)
    return durations(0, seen.counts)


def _merged(rng: np.random.Generator, made: list[Durations]) -> Durations:
    left = [*made, NONE]
    while len(left) > 1:
        first, second = rng.choice(len(left), 2, replace=False)
        together = merge([left[first], left[second]])
        left = [one for place, one in enumerate(left) if place not in (first, second)] + [together]
    return left[0]


def _off(value: float, truth: float) -> float:
    return abs(value - truth) / truth

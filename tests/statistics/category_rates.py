"""How often the test of categories alarms when reference and window differ in their numbers of rows."""

import numpy as np
from headrace_statistics.drift import categorical
from headrace_statistics.sketches.categories import CategoryCounts
from scipy import optimize, special

from tests.statistics.figures import Figure, Table

LEVEL = 0.05
TOLERANCE = 0.05
SIZES = ((200, 2_000), (2_000, 200), (1_000, 1_000), (10_000, 100_000), (100_000, 10_000), (100_000, 1_000))
# 1/n + 1/m is .001 for all of them, so that the same change is to be found equally often.
EQUALLY_TELLING = ((2_000, 2_000), (1_100, 11_000), (11_000, 1_100), (1_010, 101_000), (101_000, 1_010))


def category_rates(rng: np.random.Generator, runs: int) -> Table:
    """Draws at both ends of ratios of rows, level 5 %: at the edge of the tolerance, without drift, and a change
    beyond. Naive: the chi-square test, which tolerates and pools nothing.
    """
    even, four = np.full(50, 1 / 50), np.full(4, 1 / 4)
    zipf = 1 / np.arange(1, 251)
    zipf /= zipf.sum()
    # What the law is least right for: as many categories as are just not pooled at m = 1,000, that all fall by half.
    few = np.r_[0.89, np.full(22, 0.005)]
    many = at_the_edge(few, np.r_[0.0, np.full(22, 1 / 22)])
    shapes = {
        "one of 50 from .020 to .065": (even, one_grown(even, 0.065), 0.06),
        "250 by Zipf's law, towards the next one's share": (zipf, at_the_edge(zipf, np.roll(zipf, 1)), 0.06),
        "22 rare of 23 fall by half": (many, few, 0.08),
    }
    figures = [
        _at_the_edge(rng, f"{name}, n = {n:,}, m = {m:,}", p, q, (n, m), bar, runs)
        for name, (p, q, bar) in shapes.items()
        for n, m in SIZES
    ]
    figures += [
        _at_the_edge(
            rng, f"one of 4 grows, n = {n:,}, m = {m:,}", four, at_the_edge(four, np.eye(4)[0]), (n, m), 0.06, runs
        )
        for n, m in ((20, 5_000), (5_000, 20))
    ]
    return Table(
        "Categories, tolerance .05, n other than m: alarms at the edge; with no drift",
        (*figures, *_beyond(rng, even, one_grown(even, 0.09), runs)),
    )


def w_squared(p: np.ndarray, q: np.ndarray) -> float:
    return float(np.sum(2 * (p - q) ** 2 / (p + q)))


def one_grown(p: np.ndarray, share: float) -> np.ndarray:
    """The first category has this share, the others keep their proportions."""
    return np.r_[share, p[1:] / p[1:].sum() * (1 - share)]


def at_the_edge(p: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """The change from p in that direction whose w squared is exactly the tolerance."""
    step = optimize.brentq(lambda x: w_squared(p, (1 - x) * p + x * towards) - TOLERANCE, 0.0, 1.0, xtol=1e-14)
    return (1 - step) * p + step * towards  # pyright: ignore[reportOperatorIssue]


def alarms(reference: np.ndarray, window: np.ndarray) -> float:
    """Return the share of pairs of rows of counts that the test, with its pooling of rare categories, alarms on."""
    found = 0
    for before, now in zip(reference, window, strict=True):
        change = categorical.compare(
            CategoryCounts(np.append(before, 0), 0, 0, ""),
            CategoryCounts(np.append(now, 0), 0, 0, ""),
            tolerance=TOLERANCE,
            share_tolerance=0.02,
        )
        found += isinstance(change, categorical.CategoryChange) and change.p <= LEVEL
    return found / len(reference)


def _at_the_edge(
    rng: np.random.Generator, what: str, p: np.ndarray, q: np.ndarray, rows: tuple[int, int], bar: float, runs: int
) -> Figure:
    n, m = rows
    reference, moved, clean = rng.multinomial(n, p, runs), rng.multinomial(m, q, runs), rng.multinomial(m, p, runs)
    rates = [alarms(reference, window) for window in (moved, clean)]
    plain = [_pearson_alarms(reference, window) for window in (moved, clean)]
    held = all(rate <= most + _slack(most, runs) for rate, most in zip(rates, (bar, 0.01), strict=True))
    return Figure(what, _both(rates), f"≤ {100 * bar:.0f} %; ≤ 1 %", held, _both(plain))


def _pearson_alarms(reference: np.ndarray, window: np.ndarray) -> float:
    """Nothing tolerated, nothing pooled."""
    degrees = np.sum(reference + window > 0, axis=-1) - 1
    return float((special.chdtrc(degrees, categorical.chi_square(reference, window)) <= LEVEL).mean())


def _beyond(rng: np.random.Generator, p: np.ndarray, q: np.ndarray, runs: int) -> list[Figure]:
    """The same change at the same 1/n + 1/m: found as often as where n = m, whichever side is the larger."""
    figures, first = [], None
    for n, m in EQUALLY_TELLING:
        found = alarms(rng.multinomial(n, p, runs), rng.multinomial(m, q, runs))
        first = found if first is None else first
        held = abs(found - first) <= 0.05 + 2**0.5 * _slack(first, runs)
        what = f"one of 50 from .020 to .090, n = {n:,}, m = {m:,}"
        figures.append(Figure(what, f"{100 * found:.1f} %", "as n = m, ± 5 points", held))
    return figures


def _slack(rate: float, runs: int) -> float:
    return 3 * (rate * (1 - rate) / runs) ** 0.5


def _both(rates: list[float]) -> str:
    return "; ".join(f"{100 * rate:.1f} %" for rate in rates)

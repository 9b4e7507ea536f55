"""Experiments under continuous looks: how often a difference is found where there is none, and how soon where there
is one. Beside it the specification's analyser: 1.96 standard errors, at every look.
"""

from collections.abc import Callable

import numpy as np
from headrace_statistics.experiments import labels, sample_ratio, sequences
from headrace_statistics.experiments.comparisons import compare_quantiles
from headrace_statistics.experiments.design import Kind, Metric
from headrace_statistics.experiments.effects import Effect, effect
from headrace_statistics.experiments.moments import of_units
from headrace_statistics.experiments.quantiles import QuantilePhase, curve
from headrace_statistics.experiments.sizes import fixed_units, of_rate

from tests.statistics.figures import NOTHING, Figure, Table, share

ALPHA = 0.05
LIFT = 0.1
_NAIVE = 1.96


def peeking(rng: np.random.Generator, runs: int, looks: int) -> Table:
    """A/A and A/B tests, looked at after every unit of each arm, up to `looks` units."""
    figures = []
    for rate in (0.5, 0.05, 0.005, 0.001):
        ours, naive = zip(*(_alarms(rng, rate, looks) for _ in range(runs)), strict=True)
        held = np.mean(ours) <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / runs)
        what = f"A/A at {100 * rate:g} %, {looks:,} looks: ever significant"
        figures.append(Figure(what, share(ours), "≤ 5 %", bool(held), share(naive)))
    for lift, bar in ((0.1, 31_000), (0.2, 7_700)):
        stops = np.array([_stop(rng, 0.05, lift, 200_000) for _ in range(runs)])
        median = float(np.median(stops))
        fixed = fixed_units(of_rate(0.05, lift), lift, ALPHA, 0.8) // 2
        what = f"5 % and {100 * lift:.0f} % more: median units of each arm until significant"
        held = median <= bar * (1 + 2 / np.sqrt(runs))
        figures.append(Figure(what, f"{median:,.0f}", f"≤ {bar:,}", bool(held), f"planned for one look: {fixed:,}"))
        figures.append(
            Figure(
                f"5 % and {100 * lift:.0f} % more: found by 100,000 units of each arm",
                share(stops <= 100_000),
                "≥ 97 %" if lift == LIFT else NOTHING,
                lift != LIFT or bool(np.mean(stops <= 100_000) >= 0.97 - 3 * np.sqrt(0.97 * 0.03 / runs)),
            )
        )
    return Table("Experiments looked at after every unit, alpha .05; naive: 1.96 at every look", tuple(figures))


def repeated_units(rng: np.random.Generator, runs: int, users: int) -> Table:
    """Twenty requests of each user, whose rates differ. Naive: requests counted as if they were users."""
    figures = []
    for a, b in ((1, 19), (0.2, 3.8)):
        ours, naive, once = [], [], []
        for _ in range(runs):
            clicks = rng.binomial(20, rng.beta(a, b, (2, users)))
            steps = np.arange(200, users + 1)
            z = _z(np.cumsum(clicks, 1), np.cumsum(clicks**2, 1))[:, 199:]
            mixture = sequences.precision(users, ALPHA)
            ours.append(bool((sequences.log_evidence(z, 2 * steps, mixture) >= np.log(1 / ALPHA)).any()))
            p = np.cumsum(clicks, 1)[:, 199:] / (20 * steps)
            se = np.sqrt((p * (1 - p) / (20 * steps)).sum(0))
            naive.append(bool((np.abs(p[1] - p[0]) > _NAIVE * se).any()))
            once.append(bool(abs(z[0, -1]) > _NAIVE))
        held = np.mean(ours) <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / runs)
        what = f"A/A, 20 requests a user, rates Beta({a}, {b}), {users:,} users of each arm: ever significant"
        figures.append(Figure(what, share(ours), "≤ 5 %", bool(held), share(naive)))
        wide = 3 * np.sqrt(ALPHA * (1 - ALPHA) / runs)
        within = 0.04 - wide <= np.mean(once) <= 0.06 + wide
        figures.append(Figure("the same, one look at the planned end", share(once), "4 to 6 %", bool(within)))
    return Table("Experiments with repeated requests of one user", tuple(figures))


def shares(rng: np.random.Generator, runs: int) -> Table:
    """Looked at 1,000 times. Naive: chi-square at every look."""
    figures = []
    looks = np.arange(100, 100_001, 100)
    for actual, bar in ((0.5, None), (0.52, 10_000), (0.51, 27_000)):
        first, naive = [], []
        for _ in range(runs):
            one = np.cumsum(rng.binomial(100, actual, looks.size))
            counts = np.stack([one, looks - one], axis=-1)
            against = sample_ratio.log_evidence(counts, [0.5, 0.5]) >= np.log(1 / 0.01)
            first.append(looks[int(against.argmax())] if against.any() else np.inf)
            naive.append(bool(((one - looks / 2) ** 2 / (looks / 4) > 6.635).any()))
        if bar is None:
            alarms = np.isfinite(first)
            held = bool(np.mean(alarms) <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / runs))
            figures.append(Figure("50/50 as declared: ever called wrong", share(alarms), "≤ 1 %", held, share(naive)))
        else:
            median = float(np.median(first))
            what = (
                f"{100 * actual:.0f}/{100 - 100 * actual:.0f} instead of 50/50: median units of both until called wrong"
            )
            # The spread of such times is about their size.
            held = median <= bar * (1 + 3 / np.sqrt(runs))
            figures.append(Figure(what, f"{median:,.0f}", f"≤ {bar:,}", bool(held)))
    return Table("Sample ratio, alpha .01, 1,000 looks; naive: chi-square at each", tuple(figures))


def adjustment(rng: np.random.Generator, runs: int) -> Table:
    """CUPED: variance with and without, and coverage of the interval at every look."""
    figures = []
    for correlation, bar in ((0.7, 0.5), (0.8, 0.36)):
        left = []
        for _ in range(max(runs // 10, 5)):
            found = _adjusted(rng, correlation, 5_000)
            left.append(1 - found.reduction)
        mean = float(np.mean(left))
        what = f"correlation {correlation} with the time before: variance that is left"
        figures.append(Figure(what, f"{100 * mean:.0f} %", f"≤ {100 * bar + 2:.0f} %", mean <= bar + 0.02))
    for name, draw in _LAWS.items():
        missed = [_missed(draw(rng, (2, 20_000))) for _ in range(runs)]
        held = bool(np.mean(missed) <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / runs))
        figures.append(Figure(f"{name}: interval ever without the true difference", share(missed), "≤ 5 %", held))
    return Table("Intervals and adjustment for the time before", tuple(figures))


def quantile_intervals(rng: np.random.Generator, runs: int) -> Table:
    """Medians and ninety-fifth percentiles of lognormal values, looked at 60 times up to 6,000 units of each arm."""
    figures = []
    metric, looks = {q: Metric("value", Kind.QUANTILE, quantile=q) for q in (0.5, 0.95)}, range(100, 6_001, 100)
    held_to = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / runs)
    for q, shift in ((0.5, 0.0), (0.5, 0.1), (0.95, 0.0), (0.95, 0.1)):
        missed, alarms = [], []
        true = np.exp(1.6448536 * (q == 0.95)) * (np.exp(shift) - 1)
        for _ in range(runs):
            control, variant = rng.lognormal(0, 1, 6_000), rng.lognormal(shift, 1, 6_000)
            found = []
            for units in looks:
                phase = QuantilePhase(curve(control[:units], q), curve(variant[:units], q), 0.5)
                found.append(compare_quantiles(metric[q], [phase], alpha=ALPHA, tuned_units=20_000))
            missed.append(any(not one.low <= true <= one.high for one in found))
            alarms.append(any(one.p <= ALPHA for one in found))
        what = f"quantile {q}, {100 * shift:.0f} % more: interval ever without the true difference"
        figures.append(Figure(what, share(missed), "≤ 5 %", bool(np.mean(missed) <= held_to)))
        if not shift:
            what = f"quantile {q}, A/A: ever significant"
            figures.append(Figure(what, share(alarms), "≤ 5 %", bool(np.mean(alarms) <= held_to)))
    return Table("Quantiles of units, exact intervals, 60 looks", tuple(figures))


_LAWS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal values": lambda rng, shape: rng.normal(size=shape),
    "exponential values": lambda rng, shape: rng.exponential(size=shape) - 1,
    "lognormal values, sigma 1": lambda rng, shape: rng.lognormal(size=shape) - np.exp(0.5),
}


def _alarms(rng: np.random.Generator, rate: float, looks: int) -> tuple[bool, bool]:
    events = np.cumsum(rng.random((2, looks)) < rate, axis=1)
    z = _z(events, events)
    threshold = np.log(1 / ALPHA)
    if rate <= 0.1:
        ours = labels.log_evidence(events[1], events[0], 0.5, LIFT)
    else:
        steps = 2 * np.arange(1, looks + 1)
        ours = np.where(steps >= 400, sequences.log_evidence(z, steps, sequences.precision(20_000, ALPHA)), 0.0)[0]
    return bool((ours >= threshold).any()), bool((np.abs(z[0, 30:]) > _NAIVE).any())


def _stop(rng: np.random.Generator, rate: float, lift: float, most: int) -> float:
    control, variant = (np.cumsum(rng.random(most) < each) for each in (rate, rate * (1 + lift)))
    found = labels.log_evidence(variant, control, 0.5, lift) >= np.log(1 / ALPHA)
    return float(found.argmax() + 1) if found.any() else np.inf


def _z(sums: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Return the z of the difference of means after each unit of both arms; shape (1, units)."""
    n = np.arange(1, sums.shape[1] + 1)
    means = sums / n
    variances = (squares / n - means**2) / np.maximum(n - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (means[1] - means[0]) / np.sqrt(variances.sum(axis=0))
    return np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0)[None, :]


def _missed(values: np.ndarray) -> bool:
    z = _z(np.cumsum(values, 1), np.cumsum(values**2, 1))[0, 199:]
    steps = 2 * np.arange(200, values.shape[1] + 1)
    return bool((np.abs(z) > sequences.half_width(1.0, steps, sequences.precision(20_000, ALPHA), ALPHA)).any())


def _adjusted(rng: np.random.Generator, correlation: float, units: int) -> Effect:
    before = rng.normal(size=(2, units))
    value = correlation * before + np.sqrt(1 - correlation**2) * rng.normal(size=(2, units))
    found = effect([(of_units(value[0], c=before[0]), of_units(value[1], c=before[1]))])
    assert isinstance(found, Effect)
    return found

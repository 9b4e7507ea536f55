"""How long errors of quantities are watched without a false alarm, when what counts as one is learnt from the first."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from headrace_monitor.judge.performance.decisions.error_rate import BASE_LABELS, allowed_by, tolerance_of
from headrace_statistics.e_detector import Detector
from headrace_statistics.proportions import Proportion
from scipy import stats

from tests.statistics import naive
from tests.statistics.figures import Figure, Table
from tests.statistics.run_lengths import RUN_LENGTH, first_alarms, shown

Draw = Callable[[np.random.Generator, int], np.ndarray]
Above = Callable[[np.ndarray], np.ndarray]

# How errors change: by this factor, and by so many standard deviations.
CHANGES = {"half as large again": (1.5, 0.0), "twice as large": (2.0, 0.0), "biased by 1 sd": (1.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Law:
    """Errors of a regression. draw: signed ones. above: the chance that one is larger than a size."""

    draw: Draw
    above: Above


LAWS = {
    "normal": Law(lambda rng, n: rng.normal(size=n), lambda size: 2 * stats.norm.sf(size)),
    "heavy tails (t, 2 degrees)": Law(lambda rng, n: rng.standard_t(2, n), lambda size: 2 * stats.t.sf(size, 2)),
    "skewed (lognormal)": Law(lambda rng, n: rng.lognormal(size=n), lambda size: stats.lognorm.sf(size, 1)),
    "whole numbers": Law(
        lambda rng, n: np.round(rng.normal(0, 2, n)), lambda size: 2 * stats.norm.sf((np.floor(size) + 0.5) / 2)
    ),
}


def error_sizes(rng: np.random.Generator, runs: int, cap: int = 60_000) -> Table:
    """Mean labels until a false alarm, cut at `cap`, and median labels until errors are seen to have changed."""
    figures = []
    for name, law in LAWS.items():
        detectors, rates, _ = learnt(rng, law, runs)
        clean = first_alarms(rng, detectors, rates, runs, cap)
        naively = [_naive(rng, law, cap) for _ in range(min(runs, 100))]
        figures.append(
            Figure(
                f"{name}, as at first",
                shown(clean, cap),
                "≥ 10,000",
                clean.mean() >= RUN_LENGTH,
                f"{np.mean(naively):,.0f}",
            )
        )
    normal = LAWS["normal"]
    detectors, rates, tolerances = learnt(rng, normal, runs)
    for what, (factor, bias) in CHANGES.items():
        risen = stats.norm.sf((tolerances - bias) / factor) + stats.norm.cdf((-tolerances - bias) / factor)
        delays = first_alarms(rng, detectors, risen, runs, 20_000, before=2_000, clean=rates)
        late = np.array([_naive(rng, normal, 6_000, 2_000, factor, bias) for _ in range(60)]) - 2_000
        late = late[late > 0]
        figures.append(
            Figure(
                f"labels until normal errors are seen to be {what}, median",
                f"{np.median(delays):,.0f}",
                naive=f"{np.median(late):,.0f} ({60 - len(late)} of 60 alarmed before)",
            )
        )
    return Table(
        f"Errors of quantities: tolerance learnt from {BASE_LABELS} labels, run length 10,000 by construction",
        tuple(figures),
    )


def learnt(rng: np.random.Generator, law: Law, runs: int) -> tuple[list[Detector], np.ndarray, np.ndarray]:
    """Return, for versions whose first errors follow the law, detectors, true shares of errors and tolerances."""
    first = [np.abs(law.draw(rng, BASE_LABELS)) for _ in range(runs)]
    tolerances = np.array([tolerance_of(sizes.tolist()) for sizes in first])
    detectors = [learn(sizes, tolerance) for sizes, tolerance in zip(first, tolerances, strict=True)]
    return detectors, law.above(tolerances), tolerances


def learn(sizes: np.ndarray, tolerance: float) -> Detector:
    """Return the detector of a version with these first errors."""
    return Detector(allowed_by(Proportion(int((sizes > tolerance).sum()), sizes.size)), RUN_LENGTH)


def _naive(
    rng: np.random.Generator, law: Law, cap: int, before: int = 0, factor: float = 1.0, bias: float = 0.0
) -> int:
    """Return the label at which the naive code alarms, counted behind those that are learnt from; `cap` for none."""
    first, later = law.draw(rng, BASE_LABELS), law.draw(rng, cap)
    later = np.where(np.arange(cap) < before, later, factor * later + bias)
    found = naive_alarm(np.abs(np.concatenate([first, later])))
    return cap if found is None else found - BASE_LABELS


def naive_alarm(sizes: np.ndarray) -> int | None:
    """Return the label at which the mean error of the last 1,000 is first a tenth above that of the first ones."""
    found = naive.rate_alarms_at(sizes[BASE_LABELS:], 1.1 * float(sizes[:BASE_LABELS].mean()))
    return None if found is None else found + BASE_LABELS

"""Which candidate is worth a new version: budgets, the front of what nothing beats, and the winner."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace_forge.optimisation.quality import Quality

# Candidates whose speed differs by less are as fast as one another: the more accurate one is better.
SAME_SPEED = 1.05
# Answers that differ by less are the same, as expected outputs are compared.
SAME_ANSWERS = 1e-3
# One row answered otherwise must not be more than the drop that is allowed; of smaller drops as many rows are enough.
LEAST_DROP = 1e-3


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model is with batches of one size. speedup: the original's time by its own, the median over rounds."""

    p50_ms: float
    p99_ms: float
    rows_per_s: float
    speedup: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate, measured. is_model: false where only the way of running the original differs. problem: why nothing
    is measured, empty where something is."""

    name: str
    is_model: bool
    size_bytes: int = 0
    quality: Quality | None = None
    speeds: Mapping[int, Speed] | None = None
    problem: str = ""

    @property
    def speedup(self) -> float:
        """Return the geometric mean over the sizes of batches; 0 where nothing was measured."""
        if not self.speeds:
            return 0.0
        return math.exp(statistics.fmean(math.log(one.speedup) for one in self.speeds.values()))


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a candidate may cost, and must bring. None asks for nothing."""

    max_accuracy_drop: float = 0.01
    min_speedup: float = 1.2
    max_slice_drop: float | None = None
    max_difference: float | None = None
    max_size_ratio: float | None = None
    max_calibration_rise: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a candidate was judged by. labelled: whether the truth of the rows is known."""

    rows: int
    labelled: bool

    def lacks(self, candidate: Candidate, budgets: Budgets) -> list[str]:
        """Return what would show that a candidate is as accurate; nothing of one that answers the same, or that may
        differ by so much."""
        if candidate.quality is None or budgets.max_difference is not None:
            return []
        if candidate.quality.largest_difference <= SAME_ANSWERS:
            return []
        needed = math.ceil(1 / max(budgets.max_accuracy_drop, LEAST_DROP))
        found = [] if self.labelled else ["no labels"]
        return [*found, f"{self.rows} rows, {needed} are needed"] if self.rows < needed else found


def speed_of(rows: int, original: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]]) -> Speed:
    """Return the speed of a candidate from seconds by round, of the original and of itself in the same rounds."""
    ratios = [
        statistics.median(before) / statistics.median(after) for before, after in zip(original, candidate, strict=True)
    ]
    every = sorted(one for taken in candidate for one in taken)
    p50 = statistics.median(every)
    p99 = every[min(len(every) - 1, math.ceil(0.99 * len(every)) - 1)]
    return Speed(p50 * 1e3, p99 * 1e3, rows / p50, statistics.median(ratios))


def misses(candidate: Candidate, original: Candidate, budgets: Budgets, evidence: Evidence | None = None) -> list[str]:
    """Return which budgets a candidate does not keep, in words; none where it keeps all. evidence: None is enough."""
    before, after = original.quality, candidate.quality
    if candidate.problem or before is None or after is None or not candidate.speeds:
        return [candidate.problem or "was not measured"]
    found = []

    def most(what: str, value: float, limit: float | None) -> None:
        if limit is not None and not value <= limit + 1e-12:
            found.append(f"{what} {value:.4g} > {limit:.4g}")

    most("accuracy drop", before.accuracy - after.accuracy, budgets.max_accuracy_drop)
    if after.worst is not None:
        most(f"drop where {after.worst.name}", after.worst.drop, budgets.max_slice_drop)
    most("largest difference", after.largest_difference, budgets.max_difference)
    most("size", candidate.size_bytes / max(1, original.size_bytes), budgets.max_size_ratio)
    if before.calibration_error is not None and after.calibration_error is not None:
        rise = after.calibration_error - before.calibration_error
        most("calibration error rise", rise, budgets.max_calibration_rise)
    if not candidate.speedup >= budgets.min_speedup:
        found.append(f"{candidate.speedup:.2f} x as fast < {budgets.min_speedup:g} x")
    return [*found, *(evidence.lacks(candidate, budgets) if evidence is not None else ())]


def front(candidates: Sequence[Candidate]) -> list[str]:
    """Return the names of the measured candidates that no other is at least as accurate, fast and small as."""
    measured = [one for one in candidates if one.quality is not None and one.speeds]
    return [one.name for one in measured if not any(_beats(other, one) for other in measured)]


def winner(
    candidates: Sequence[Candidate], original: Candidate, budgets: Budgets, evidence: Evidence | None = None
) -> Candidate | None:
    """Return the candidate to register; None where none keeps the budgets.

    The fastest; of those about as fast as one another the most accurate, then the smallest. It is on the front.
    """
    models = [one for one in candidates if one.is_model and one != original]
    kept = [one for one in models if not misses(one, original, budgets, evidence)]
    return max(kept, key=_rank, default=None)


def _rank(candidate: Candidate) -> tuple[float, float, int, float, str]:
    assert candidate.quality is not None
    about = math.floor(math.log(candidate.speedup) / math.log(SAME_SPEED))
    return about, candidate.quality.accuracy, -candidate.size_bytes, candidate.speedup, candidate.name


def _beats(one: Candidate, other: Candidate) -> bool:
    assert one.quality is not None
    assert other.quality is not None
    better = (one.quality.accuracy, one.speedup, -one.size_bytes)
    worse = (other.quality.accuracy, other.speedup, -other.size_bytes)
    return better != worse and all(mine >= theirs for mine, theirs in zip(better, worse, strict=True))

"""The error-rate detector as it is installed: with the rate that it learns, its horizons, and its run length."""

from collections.abc import Sequence

import numpy as np
from headrace_monitor.judge.performance.decisions.error_rate import BASE_LEVEL, HORIZONS, RUN_LENGTH
from headrace_statistics.e_detector import Detector
from scipy import special

from tests.statistics.figures import Figure, Table

CLEAN = 0.05
AFTER = (2_000, 8_000)


def error_watch(
    rng: np.random.Generator, runs: int, cap: int = 100_000, run_lengths: Sequence[float] = (1e4, RUN_LENGTH, 1e6)
) -> Table:
    """Labels until an alarm, of versions whose rate is learnt from the same stream. Missed: not within 12,000. What is
    not independent has no bar: it is what to expect of it.
    """
    figures = []
    for run_length in run_lengths:
        cut = min(cap, 4 * round(run_length))
        first = first_alarms(rng, CLEAN, CLEAN, runs, cut, run_length=run_length)
        alarmed, labels = int((first < cut).sum()), float(first.sum())
        rate = labels / max(alarmed, 1)
        figures.append(
            Figure(
                f"run length {run_length:,.0f}: labels for each false alarm of a rate that stays {CLEAN:.0%}",
                f"{rate:,.0f} ({alarmed} of {runs} versions within {cut:,})",
                f"≥ {run_length:,.0f}",
                alarmed == 0 or rate >= run_length,
            )
        )
        for before in AFTER:
            for risen in (0.065, 0.08, 0.10, 0.20):
                delays = first_alarms(rng, CLEAN, risen, runs, 12_000, before=before, run_length=run_length)
                missed = float((delays == 12_000).mean())
                bar = 0.08 if risen == 0.08 and run_length == RUN_LENGTH else None
                median = float(np.median(delays))
                figures.append(
                    Figure(
                        f"run length {run_length:,.0f}: {CLEAN:.0%} to {risen:.3g} after {before:,} labels",
                        f"median {median:,.0f}, missed {missed:.0%}" if median < 12_000 else f"missed {missed:.0%}",
                        "–" if bar is None else f"missed ≤ {bar:.0%}",
                        bar is None or missed <= bar + 3 * (bar / runs) ** 0.5,
                    )
                )
    figures += [_clean(what, shape(rng, runs, cap), cap) for what, shape in _DEPENDENT.items()]
    return Table("The error watch as installed: rate learnt at 500, 2,000, 8,000 and 32,000 labels", tuple(figures))


def _groups(rng: np.random.Generator, runs: int, cap: int) -> np.ndarray:
    return np.repeat(rng.random((runs, cap // 5), dtype=np.float32) < CLEAN, 5, axis=1)


def _daily(rng: np.random.Generator, runs: int, cap: int) -> np.ndarray:
    rates = CLEAN + 0.02 * np.sin(2 * np.pi * np.arange(cap) / (24 * HOURLY))
    return rng.random((runs, cap), dtype=np.float32) < rates


def _weekends(rng: np.random.Generator, runs: int, cap: int) -> np.ndarray:
    weekend = np.arange(cap) // (24 * HOURLY) % 7 >= 5
    return rng.random((runs, cap), dtype=np.float32) < np.where(weekend, 0.08, CLEAN)


HOURLY = 100
_DEPENDENT = {
    "clean, five labels wrong or right together": _groups,
    f"clean, 3 to 7 % by the hour of the day, {HOURLY} an hour": _daily,
    f"clean, 8 % on weekends, {HOURLY} an hour": _weekends,
}


def _clean(what: str, streams: np.ndarray, cap: int) -> Figure:
    first = alarms_of(streams, 0, RUN_LENGTH, HORIZONS)
    alarmed = int((first < cap).sum())
    return Figure(
        what, f"{first.sum() / max(alarmed, 1):,.0f} labels for each alarm ({alarmed} of {first.size} versions)"
    )


def first_alarms(
    rng: np.random.Generator,
    clean: float,
    rate: float,
    runs: int,
    cap: int,
    *,
    before: int = 0,
    run_length: float = RUN_LENGTH,
    horizons: tuple[int, ...] = HORIZONS,
) -> np.ndarray:
    """Return the label of each run's first alarm after the change, `cap` for none; those before it are left out.

    The recursion of `error_rate.take` for all runs at once; a test compares them.
    """
    after = np.arange(before + cap) >= before
    streams = rng.random((runs, before + cap), dtype=np.float32) < np.where(after, rate, clean)
    return alarms_of(streams, before, run_length, horizons)


def alarms_of(streams: np.ndarray, before: int, run_length: float, horizons: tuple[int, ...]) -> np.ndarray:
    """Return the same of streams of errors, shape (runs, labels)."""
    cap = streams.shape[1] - before
    wrong = streams[:, : horizons[0]].sum(axis=1).astype(float)
    allowed = _allowed(wrong, horizons[0])
    error, right = _gains(allowed)
    evidence = np.full(error.shape, -np.inf)
    first, lost = np.full(len(streams), cap), np.zeros(len(streams), dtype=bool)
    for label in range(horizons[0], before + cap):
        errors = streams[:, label]
        evidence = np.logaddexp(0.0, evidence) + np.where(errors[:, None], error, right)
        alarmed = np.logaddexp.reduce(evidence, axis=1) - np.log(error.shape[1]) >= np.log(run_length)
        wrong += errors
        if label < before:
            lost |= alarmed
        else:
            first[alarmed & (first == cap)] = label + 1 - before
        if label + 1 in horizons:
            fresh = _allowed(wrong, label + 1)
            tighter = (fresh < allowed) & (first == cap) & ~lost
            allowed = np.where(tighter, fresh, allowed)
            error, right = _gains(allowed)
            evidence[tighter] = -np.inf
        if (lost | (first < cap)).all():
            break
    return first[~lost]


def _allowed(wrong: np.ndarray, seen: int) -> np.ndarray:
    return special.betainccinv(wrong + 1, seen - wrong, BASE_LEVEL)


def _gains(allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rates = np.stack([Detector(float(one)).rates for one in allowed])
    return np.log(rates / allowed[:, None]), np.log((1 - rates) / (1 - allowed[:, None]))

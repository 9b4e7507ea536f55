"""How long the error-rate detector runs without cause, and how soon it sees one."""

from collections.abc import Sequence

import numpy as np
from headrace_statistics.e_detector import Detector

from tests.statistics import naive
from tests.statistics.figures import Figure, Table

ALLOWED = 0.06
CLEAN = 0.05
RUN_LENGTH = 1e4


def run_lengths(rng: np.random.Generator, runs: int, cap: int = 60_000) -> Table:
    """Errors drawn at a rate, a single detector whose allowed rate is known. Mean labels until a false alarm, cut at
    `cap`, which only makes it smaller; and median labels to a true one.
    """
    detector = Detector(ALLOWED, RUN_LENGTH)
    at_edge = first_alarms(rng, detector, ALLOWED, runs, cap)
    in_batches = first_alarms(rng, detector, ALLOWED, runs, cap, batch=50)
    clean = first_alarms(rng, detector, CLEAN, runs, cap)
    windows = [naive.rate_alarms_at(rng.random(cap) < CLEAN, ALLOWED) or cap for _ in range(min(runs, 100))]
    figures = [
        Figure(f"rate {ALLOWED:.0%}, label by label", shown(at_edge, cap), "≥ 10,000", at_edge.mean() >= RUN_LENGTH),
        Figure(
            f"rate {ALLOWED:.0%}, batches of 50",
            shown(in_batches, cap),
            "≥ 10,000",
            in_batches.mean() >= RUN_LENGTH,
        ),
        Figure(
            f"rate {CLEAN:.0%}",
            shown(clean, cap),
            "≥ 10,000",
            clean.mean() >= RUN_LENGTH,
            f"{np.mean(windows):,.0f}",
        ),
    ]
    for rate, target in ((0.08, 640), (0.10, 270), (0.20, 52), (0.50, None)):
        delays = first_alarms(rng, detector, rate, runs, 20_000, before=2_000)
        streams = rng.random((60, 4_000)) < np.where(np.arange(4_000) < 2_000, CLEAN, rate)
        late = [(naive.rate_alarms_at(stream[1_000:], ALLOWED) or 3_000) - 1_000 for stream in streams]
        late = [delay for delay in late if delay > 0]
        figures.append(
            Figure(
                f"labels until a rise to {rate:.0%} is seen, median",
                f"{np.median(delays):,.0f}",
                "–" if target is None else f"prototype {target}",
                naive=f"{np.median(late):,.0f} ({60 - len(late)} of 60 alarmed before)",
            )
        )
    return Table("Error rate: allowed 6 %, clean 5 %, run length 10,000 by construction", tuple(figures))


def first_alarms(
    rng: np.random.Generator,
    detector: Detector | Sequence[Detector],
    rate: float | np.ndarray,
    runs: int,
    cap: int,
    *,
    before: int = 0,
    batch: int = 1,
    clean: float | np.ndarray = CLEAN,
) -> np.ndarray:
    """Return the label of the first alarm of each run, counted from the change; runs that alarm before it are left out.

    detector, rate, clean: of all runs, or of each. The detector's recursion for all runs at once; that it is the same
    is what the unit tests say of the detector.
    """
    detectors = [detector] if isinstance(detector, Detector) else detector
    rates, allowed = np.stack([one.rates for one in detectors]), np.array([[one.allowed] for one in detectors])
    threshold = np.log(detectors[0].run_length)
    error, right = np.log(rates / allowed), np.log((1 - rates) / (1 - allowed))
    evidence = np.full((runs, rates.shape[1]), -np.inf)
    first = np.full(runs, cap)
    lost = np.zeros(runs, dtype=bool)
    for label in range(-before, cap, batch):
        wrong = rng.binomial(batch, clean if label < 0 else rate, runs)[:, None]
        evidence = np.logaddexp(np.log(batch), evidence) + wrong * error + (batch - wrong) * right
        alarmed = np.logaddexp.reduce(evidence, axis=1) - np.log(rates.shape[1]) >= threshold
        if label < 0:
            lost |= alarmed
            continue
        first[alarmed & (first == cap)] = label + batch
        if (first < cap).all():
            break
    return first[~lost]


def first_alarms_of(streams: np.ndarray, detector: Detector) -> np.ndarray:
    """Return the label of the first alarm of each stream of errors, shape (streams, labels); -1 for none."""
    rates = detector.rates
    error, right = np.log(rates / detector.allowed), np.log((1 - rates) / (1 - detector.allowed))
    evidence = np.full((len(streams), rates.size), -np.inf)
    first = np.full(len(streams), -1)
    for label in range(streams.shape[1]):
        evidence = np.logaddexp(0.0, evidence) + np.where(streams[:, label, None], error, right)
        alarmed = np.logaddexp.reduce(evidence, axis=1) - np.log(rates.size) >= np.log(detector.run_length)
        first[alarmed & (first < 0)] = label + 1
    return first


def shown(first: np.ndarray, cap: int) -> str:
    return f"{first.mean():,.0f} ({np.mean(first == cap):.0%} without in {cap:,})"

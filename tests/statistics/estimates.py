"""How far an estimate of performance without labels is from what the labels say later."""

import numpy as np
from headrace_monitor.performance.decisions.measures import measures
from headrace_monitor.performance.decisions.summaries import DEFAULT_THRESHOLD, Rows, summarise
from headrace_statistics.calibration import Calibration, calibrate

from tests.statistics.figures import Figure, Table

CHUNK = 5_000


def estimates(rng: np.random.Generator, chunks: int) -> Table:
    """A model that is too sure of itself, and traffic that gets harder: mean absolute error over chunks.

    Naive: what was measured on the reference still holds.
    """

    def chunk(rows: int, centre: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
        logits = rng.normal(centre, spread, rows)
        return 1 / (1 + np.exp(-1.7 * logits)), (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(float)

    reference = chunk(50_000, 0.0, 2.0)
    calibration = calibrate(*reference)
    assert isinstance(calibration, Calibration)
    before = measured(*reference)
    errors = {"accuracy": ([], []), "auc": ([], []), "f1": ([], [])}
    for place in range(chunks):
        share = place / max(chunks - 1, 1)
        score, answer = chunk(CHUNK, 0.8 * share, 2.0 - 1.2 * share)
        truth, estimate = measured(score, answer), expected(score, calibration)
        for metric, (ours, naive) in errors.items():
            ours.append(abs(estimate[metric] - truth[metric]))
            naive.append(abs(before[metric] - truth[metric]))
    bars = {"accuracy": 0.008, "auc": 0.01, "f1": 0.012}
    return Table(
        f"Estimated without labels: mean absolute error over {chunks} chunks of {CHUNK:,}, from easy to hard",
        tuple(
            Figure(
                metric,
                f"{np.mean(ours):.4f}",
                f"≤ {bars[metric]:g}",
                bool(np.mean(ours) <= bars[metric]),
                f"{np.mean(naive):.4f}",
            )
            for metric, (ours, naive) in errors.items()
        ),
    )


def measured(score: np.ndarray, answer: np.ndarray, threshold: float = DEFAULT_THRESHOLD) -> dict[str, float]:
    """Return what the monitor measures of a binary question with labels."""
    said = _measures(score, answer, np.full(score.size, np.nan), threshold)
    return {name: said[name] for name in ("accuracy", "auc", "f1")}


def expected(score: np.ndarray, calibration: Calibration, threshold: float = DEFAULT_THRESHOLD) -> dict[str, float]:
    """Return what the monitor estimates of a binary question without labels."""
    said = _measures(score, np.full(score.size, np.nan), calibration.chances(score), threshold)
    return {name: said[f"estimated_{name}"] for name in ("accuracy", "auc", "f1")}


def _measures(score: np.ndarray, answer: np.ndarray, likely: np.ndarray, threshold: float) -> dict[str, float]:
    unknown, yes = np.full(score.size, np.nan), score >= threshold
    rows = Rows(
        weight=np.ones(score.size),
        predicted=unknown,
        label=unknown,
        right=np.where(np.isnan(answer), np.nan, yes == (answer == 1)),
        score=score,
        answer=answer,
        shown=score,
        likely=likely,
        chance=np.where(yes, likely, 1 - likely),
        reward=unknown,
        conversion=unknown,
    )
    summary = summarise(rows, binary=True, threshold=threshold)
    said = measures(summary, threshold=threshold, calibrated=True)
    return {one.name: one.value for one in said if one.value is not None}

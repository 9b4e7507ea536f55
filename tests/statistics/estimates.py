"""How far an estimate of performance without labels is from what the labels say later."""

import numpy as np
from headrace_monitor.statistics.change import estimated
from headrace_monitor.statistics.performance.classification import classification
from headrace_monitor.statistics.summaries import scores

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
    calibration = estimated.calibrate(*reference)
    assert isinstance(calibration, estimated.Calibration)
    bins = scores.freeze(reference[0])
    before = classification(scores.count(*reference, bins), bins)
    errors = {"accuracy": ([], []), "auc": ([], []), "f1": ([], [])}
    for place in range(chunks):
        share = place / max(chunks - 1, 1)
        score, answer = chunk(CHUNK, 0.8 * share, 2.0 - 1.2 * share)
        truth = classification(scores.count(score, answer, bins), bins)
        estimate = classification(estimated.estimate(score, calibration, bins).counts, bins)
        for metric, (ours, naive) in errors.items():
            ours.append(abs(getattr(estimate, metric) - getattr(truth, metric)))
            naive.append(abs(getattr(before, metric) - getattr(truth, metric)))
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

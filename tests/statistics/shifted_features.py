"""Estimates without labels where features have shifted, through the service's path: bias and coverage."""

import numpy as np

from tests.statistics.figures import NOTHING, Figure, Table
from tests.statistics.service_path import Version

WINDOW = 5_000
Drawn = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]
# Rows of the reference with labels, share of the old among them and in the traffic.
CASES = ((1_000, 0.2, 0.2), (1_000, 0.2, 0.8), (20_000, 0.2, 0.8), (20_000, 0.1, 0.9))
# Features are known by tenths of the reference: of a tenth in which one of five is old, all count alike.
HIDDEN = (20_000, 0.02, 0.9)
BAR = 0.93


def shifted_features(rng: np.random.Generator, runs: int) -> Table:
    """Scores are too sure of the old, of whom there are more than there were. Naive: labelled rows are not weighted.

    Not explained: scores have fallen, though of the feature whose rows have higher ones there is more.
    """
    figures = []
    for size, before, now in (*CASES, HIDDEN):
        off, plain, held = _runs(rng, runs, size, (before, now))
        barred = (size, before, now) != HIDDEN
        limit = 0.02 + 3 * 0.02 / runs**0.5
        figures.append(
            Figure(
                f"{size:,} labelled rows, {before:.0%} old; traffic {now:.0%} old",
                f"off by {off:+.3f} on average; interval holds {held:.1%}",
                f"± .02; ≥ {BAR:.0%}" if barred else NOTHING,
                not barred or (abs(off) <= limit and held >= BAR - 3 * (BAR * (1 - BAR) / runs) ** 0.5),
                f"off by {plain:+.3f}",
            )
        )
    weighted = [_unexplained(rng) for _ in range(max(runs // 5, 5))]
    figures.append(
        Figure(
            "5,000 labelled rows, a shift that does not explain the scores",
            f"{np.mean(weighted):.0%} weighted",
            "0 %",
            not any(weighted),
        )
    )
    return Table(f"Accuracy estimated for {WINDOW:,} rows whose features have shifted", tuple(figures))


def _runs(rng: np.random.Generator, runs: int, size: int, old: tuple[float, float]) -> tuple[float, float, float]:
    """Return how far estimates are off, how far they would be unweighted, and how often intervals hold the truth."""
    off, plain, held = [], [], []
    for _ in range(runs):
        version = Version(*_drawn(rng, size, old[0]))
        features, guess, score, label = _drawn(rng, WINDOW, old[1])
        said, truth = version.estimated(features, guess, score)["estimated_accuracy"], float(np.mean(guess == label))
        chances = version.calibration.chances(score)
        off.append((said.value or 0.0) - truth)
        plain.append(float(np.mean(np.where(guess, chances, 1 - chances))) - truth)
        held.append((said.lower or 0.0) <= truth <= (said.upper or 0.0))
    return float(np.mean(off)), float(np.mean(plain)), float(np.mean(held))


def _drawn(rng: np.random.Generator, rows: int, old: float) -> Drawn:
    is_old = rng.random(rows) < old
    logits = rng.normal(1.0, 1.5, rows)
    label = rng.random(rows) < 1 / (1 + np.exp(-np.where(is_old, 0.2, 1.0) * logits))
    features = {
        "age": np.where(is_old, rng.uniform(60, 90, rows), rng.uniform(20, 60, rows)),
        "land": rng.choice(["de", "fr", "it"], rows).astype(object),
    }
    score = 1 / (1 + np.exp(-logits))
    return features, score >= 0.5, score, label


def _unexplained(rng: np.random.Generator) -> bool:
    """Return whether labelled rows are weighted by a feature though the scores have moved the other way."""

    def drawn(rows: int, share: float, fall: float) -> Drawn:
        rich = rng.random(rows) < share
        logits = rng.normal(0, 1, rows) + np.where(rich, 1.0, 0.0) - fall
        score = 1 / (1 + np.exp(-logits))
        return {"income": rng.normal(3.0 * rich)}, score >= 0.5, score, rng.random(rows) < score

    version = Version(*drawn(5_000, 0.3, 0.0))
    features, guess, score, _ = drawn(WINDOW, 0.6, 1.0)
    return bool(version.estimated(features, guess, score)["estimated_accuracy"].note)

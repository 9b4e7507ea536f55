"""How far an estimate of performance without labels is from what the labels say later."""

from collections.abc import Callable, Sequence

import numpy as np
from headrace_monitor.judge.performance.decisions.measures import Measure, measures
from headrace_monitor.judge.performance.decisions.summaries import DEFAULT_THRESHOLD, Rows, summarise
from headrace_statistics.calibration import Calibration, calibrate

from tests.statistics.figures import NOTHING, Figure, Table

CHUNK = 5_000
Drawn = tuple[np.ndarray, np.ndarray]


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


def coverage(rng: np.random.Generator, runs: int, sizes: Sequence[int] = (300, 1_000, 20_000)) -> Table:
    """How often the 95 % interval of an estimate holds what labels say later; naive: the sampling of the rows alone.

    Delayed: a no has its label in time in 9 of 10 rows, a yes in 3 of 10, as with defaults that come late.
    """
    figures = []
    for size in sizes:
        held, plain = {"accuracy": [], "auc": []}, []
        for _ in range(runs):
            calibration = calibrate(*drawn(rng, size))
            assert isinstance(calibration, Calibration)
            score, answer = drawn(rng, CHUNK)
            said, truth = intervals(score, calibration), measured(score, answer)
            for metric, each in held.items():
                lower, upper = said[metric]
                each.append(lower <= truth[metric] <= upper)
            half = 1.96 * (truth["accuracy"] * (1 - truth["accuracy"]) / CHUNK) ** 0.5
            middle = expected(score, calibration)["accuracy"]
            plain.append(abs(middle - truth["accuracy"]) <= half)
        for metric, each in held.items():
            rate, bar = float(np.mean(each)), 0.93
            figures.append(
                Figure(
                    f"{metric}, calibrated on {size:,} rows",
                    f"{rate:.1%}",
                    f"≥ {bar:.0%}",
                    rate >= bar,
                    f"{np.mean(plain):.1%}" if metric == "accuracy" else NOTHING,
                )
            )
    figures += [_rare(rng, runs, name, draw) for name, draw in RARE.items()]
    figures.append(_delayed(rng, max(runs // 10, 5)))
    return Table(f"95 % intervals of estimates for {CHUNK:,} rows: how often they hold what labels say", tuple(figures))


def _rare(rng: np.random.Generator, runs: int, name: str, draw: Callable[[np.random.Generator, int], Drawn]) -> Figure:
    """Of 1,000 labelled rows some 20 are yes."""
    held = []
    for _ in range(runs):
        calibration = calibrate(*draw(rng, 1_000))
        assert isinstance(calibration, Calibration)
        score, answer = draw(rng, CHUNK)
        lower, upper = intervals(score, calibration)["auc"]
        held.append(lower <= measured(score, answer)["auc"] <= upper)
    rate = float(np.mean(held))
    error = (rate * (1 - rate) / runs) ** 0.5
    return Figure(f"auc, 2 % yes, {name}, on 1,000 rows", f"{rate:.1%} (± {error:.1%})", "≥ 93%", rate >= 0.93, NOTHING)


def _delayed(rng: np.random.Generator, runs: int) -> Figure:
    early, late = [], []
    for _ in range(runs):
        score, answer = drawn(rng, 20_000)
        in_time = rng.random(score.size) < np.where(answer == 1, 0.3, 0.9)
        window, truth = drawn(rng, CHUNK)
        real = measured(window, truth)["accuracy"]
        for into, calibration in (
            (early, calibrate(score[in_time], answer[in_time])),
            (late, calibrate(score, answer)),
        ):
            assert isinstance(calibration, Calibration)
            into.append(expected(window, calibration)["accuracy"] - real)
    return Figure(
        "accuracy, calibrated on labels of hours that are complete (naive: on those that came in time)",
        f"off by {np.mean(late):+.3f} on average",
        "± .005",
        abs(float(np.mean(late))) <= 0.005 + 0.01 / runs**0.5,
        f"off by {np.mean(early):+.3f}",
    )


def drawn(rng: np.random.Generator, rows: int) -> Drawn:
    """Scores of a model that is too sure of itself, and answers."""
    logits = rng.normal(0.3, 1.5, rows)
    return 1 / (1 + np.exp(-1.7 * logits)), (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(float)


def _of_logits(rng: np.random.Generator, rows: int) -> Drawn:
    logits = rng.normal(-5.2, 1.5, rows)
    return 1 / (1 + np.exp(-1.7 * logits)), (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(float)


def _of_betas(rng: np.random.Generator, rows: int) -> Drawn:
    answer = (rng.random(rows) < 0.02).astype(float)
    return np.where(answer == 1, rng.beta(4, 4, rows), rng.beta(1.5, 8, rows)), answer


def _of_heavy_tails(rng: np.random.Generator, rows: int) -> Drawn:
    answer = (rng.random(rows) < 0.02).astype(float)
    return 1 / (1 + np.exp(4 - 2 * answer - rng.standard_t(3, rows))), answer


RARE = {"logits": _of_logits, "beta scores": _of_betas, "heavy tails": _of_heavy_tails}


def intervals(score: np.ndarray, calibration: Calibration) -> dict[str, tuple[float, float]]:
    """Return the intervals of what the monitor estimates without labels."""
    said = _measures(score, np.full(score.size, np.nan), calibration, DEFAULT_THRESHOLD)
    found = {name: said[f"estimated_{name}"] for name in ("accuracy", "auc")}
    return {name: (one.lower or 0.0, one.upper or 0.0) for name, one in found.items()}


def measured(score: np.ndarray, answer: np.ndarray, threshold: float = DEFAULT_THRESHOLD) -> dict[str, float]:
    """Return what the monitor measures of a binary question with labels."""
    said = _measures(score, answer, None, threshold)
    return {name: said[name].value or 0.0 for name in ("accuracy", "auc", "f1")}


def expected(score: np.ndarray, calibration: Calibration, threshold: float = DEFAULT_THRESHOLD) -> dict[str, float]:
    """Return what the monitor estimates of a binary question without labels."""
    said = _measures(score, np.full(score.size, np.nan), calibration, threshold)
    return {name: said[f"estimated_{name}"].value or 0.0 for name in ("accuracy", "auc", "f1")}


def _measures(
    score: np.ndarray, answer: np.ndarray, calibration: Calibration | None, threshold: float
) -> dict[str, Measure]:
    unknown, yes = np.full(score.size, np.nan), score >= threshold
    likely = unknown if calibration is None else calibration.chances(score)
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
        toward=np.where(yes, 1.0, -1.0),
        reward=unknown,
        conversion=unknown,
    )
    summary = summarise(rows, binary=True, threshold=threshold, calibration=calibration)
    said = measures(summary, threshold=threshold, calibration=calibration)
    return {one.name: one for one in said if one.value is not None}

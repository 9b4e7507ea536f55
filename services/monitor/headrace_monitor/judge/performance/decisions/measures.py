"""Compute measures from summaries, each with its interval and a note on what it leaves out. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from headrace_statistics.arrays import floats
from headrace_statistics.calibration import Calibration
from headrace_statistics.classification import Classification, classification
from headrace_statistics.inconclusive import Inconclusive, NotEnoughData
from headrace_statistics.sketches.class_scores import MAX_CLASSES, ClassScores, MacroAuc, macro_auc
from headrace_statistics.sketches.scores import ScoreCounts, area_bounds, auc_error, grid

from headrace_monitor.judge.performance.decisions.estimates import auc_by_calibration, auc_unfollowed, estimate
from headrace_monitor.judge.performance.decisions.means import Mean
from headrace_monitor.judge.performance.decisions.probabilities import ClassSummary
from headrace_monitor.judge.performance.decisions.reliability import ScoreGroup, reliability
from headrace_monitor.judge.performance.decisions.summaries import DEFAULT_THRESHOLD, Summary, scaled

_Z = 1.959963984540054

_TOO_FEW = str(NotEnoughData(have=0, need=1))
_NO_PROBABILITIES = "scores beyond 0 and 1 are no probabilities"
_NO_THRESHOLD = f"{_NO_PROBABILITIES}: give a threshold for them"


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure with its sample size. lower, upper: its 95 % interval, if known. rows: number of rows.

    note: why there is no value; with a value, what it leaves out.
    """

    name: str
    value: float | None
    lower: float | None = None
    upper: float | None = None
    rows: int = 0
    note: str = ""


def measures(summary: Summary, *, threshold: float | None, calibration: Calibration | None) -> list[Measure]:
    """Return what a summary says. threshold: as asked for. calibration: of the scores, by which it was made."""
    found: list[Measure] = []
    if summary.right.rows or (summary.scores is None and not summary.error.rows):
        found.append(_share("accuracy", summary.right))
    if summary.scores is not None:
        found.extend(_of_scores(summary, threshold))
    if summary.classes is not None and summary.right.rows:
        found.extend(_of_classes(summary.classes))
    if summary.error.rows:
        found.extend(_of_errors(summary))
    if summary.labelled.mean < 1:
        found.extend(_estimated(summary, threshold, calibration))
    if summary.conversion.rows:
        found.append(_share("conversion_rate", summary.conversion))
    if summary.reward.rows:
        found.append(_mean("reward_mean", summary.reward))
    if summary.shown.rows:
        found.append(_mean("prediction_mean", summary.shown))
        std = summary.shown.std
        note = "" if std is not None else str(NotEnoughData(have=summary.shown.rows, need=2))
        found.append(Measure("prediction_std", std, rows=summary.shown.rows, note=note))
    return found


def _of_scores(summary: Summary, threshold: float | None) -> Iterator[Measure]:
    """Measures from scores: of two classes all of them, of more how far confidence can be trusted."""
    assert summary.scores is not None
    rows = summary.loss.rows
    bins = grid(DEFAULT_THRESHOLD if threshold is None else threshold)
    result = classification(summary.scores, bins)
    probable = _are_probabilities(summary)
    if summary.binary:
        decided = _decided(summary, threshold)
        for name in ("precision", "recall", "f1"):
            yield _result(name, getattr(result, name), rows, "" if decided else _NO_THRESHOLD)
        yield _auc("auc", summary.scores, result, summary.loss)
        yield (
            _mean("log_loss", summary.loss)
            if probable
            else Measure("log_loss", None, rows=rows, note=_NO_PROBABILITIES)
        )
    yield _result("calibration_error", result.calibration, rows, "" if probable else _NO_PROBABILITIES)


def score_groups(summary: Summary) -> tuple[ScoreGroup, ...]:
    """Return what was observed of answers with like scores; nothing where scores are no probabilities."""
    if summary.scores is None or not summary.loss.weight or not _are_probabilities(summary):
        return ()
    return reliability(summary.scores, rows_each=summary.loss.squares / summary.loss.weight)


def _are_probabilities(summary: Summary) -> bool:
    return summary.score.low >= 0 and summary.score.high <= 1


def _decided(summary: Summary, threshold: float | None) -> bool:
    """Return whether it is known from which score on the answer is yes."""
    return threshold is not None or _are_probabilities(summary)


def _auc(
    name: str,
    counts: ScoreCounts,
    result: Classification,
    of: Mean,
    *,
    optimism: float = 0.0,
    errors: Sequence[tuple[float, float]] = (),
) -> Measure:
    """of: any mean of the rows that were counted. optimism: by how much a calibration on few labels is expected to
    overstate it. errors: what it brings besides, as `area_bounds` takes them.
    """
    if not isinstance(result.auc, float):
        return Measure(name, None, rows=of.rows, note=str(result.auc))
    # Rows of unequal weights say less than as many of equal ones: the error is that of the effective number.
    effective = scaled(counts, of.weight / of.squares)
    error = auc_error(effective)
    if not isinstance(error, float):
        return Measure(name, result.auc, rows=of.rows)
    rarer = float(min(effective.yes.sum(), effective.no.sum()))
    middle = min(max(result.auc - optimism, 0.0), 1.0)
    lower, upper = area_bounds(middle, [(error, rarer), *errors])
    return Measure(name, result.auc, min(lower, result.auc), max(upper, result.auc), of.rows)


def _of_classes(classes: ClassSummary) -> Iterator[Measure]:
    """Measures from probabilities of more than two classes."""
    counts, loss = classes.counts, classes.loss
    if counts is None or not counts.rows:
        too_many = f"{classes.classes:,} classes; at most {MAX_CLASSES} are counted"
        note = too_many if counts is None else _left_out(counts) or _TOO_FEW
        yield from (Measure(name, None, note=note) for name in ("auc", "log_loss"))
        return
    left_out = _left_out(counts)
    yield _macro_auc(counts, loss, left_out)
    yield replace(_mean("log_loss", loss), note=left_out)


def _macro_auc(counts: ClassScores, loss: Mean, left_out: str) -> Measure:
    result = macro_auc(counts)
    if not isinstance(result, MacroAuc):
        return Measure("auc", None, rows=counts.rows, note=str(result))
    some = "" if result.classes == counts.classes else f"of the {result.classes} of {counts.classes} classes that occur"
    note = "; ".join(filter(None, (some, left_out)))
    # As for two classes: the error is that of the effective number of rows.
    factor = loss.weight / loss.squares
    effective = macro_auc(replace(counts, yes=floats(counts.yes * factor), no=floats(counts.no * factor)))
    if not isinstance(effective, MacroAuc) or not isinstance(effective.error, float):
        return Measure("auc", result.value, rows=counts.rows, note=note)
    half = _Z * effective.error
    return Measure("auc", result.value, max(result.value - half, 0.0), min(result.value + half, 1.0), counts.rows, note)


def _left_out(counts: ClassScores) -> str:
    """Return why rows with a label are not counted; empty where all are."""
    parts = []
    if counts.no_probabilities:
        parts.append(f"{counts.no_probabilities:,} whose scores are no probabilities of the classes")
    if counts.no_class:
        parts.append(f"{counts.no_class:,} whose label is no class")
    return f"without rows: {', '.join(parts)}" if parts else ""


def _of_errors(summary: Summary) -> Iterator[Measure]:
    yield _mean("mae", summary.absolute)
    square = _mean("rmse", summary.squared)
    yield Measure("rmse", _root(square.value), _root(square.lower), _root(square.upper), square.rows, square.note)
    yield _mean("bias", summary.error)


_UNCALIBRATED = (
    "no calibration yet: it needs 300 labelled predictions, or as many rows of reference.parquet with the outputs and "
    "outcome.label"
)


def _estimated(summary: Summary, threshold: float | None, calibration: Calibration | None) -> Iterator[Measure]:
    """Measures to be expected of all rows, were the world as it was when scores were calibrated."""
    chance = summary.chance
    if not chance.rows:
        reason = "rows have no scores" if calibration is not None else _UNCALIBRATED
        names = ("estimated_accuracy", *(("estimated_f1", "estimated_auc") if summary.binary else ()))
        yield from (Measure(name, None, note=reason) for name in names)
        return
    bins = grid(DEFAULT_THRESHOLD if threshold is None else threshold)
    found = estimate(summary, calibration, bins)
    # Labels of rows that were weighted are worth few: there what they overstate is taken from the value as well.
    middle = min(max(found.accuracy - found.overstated, 0.0), 1.0)
    value = middle if found.note else found.accuracy
    lower, upper = _wilson(middle, found.variance)
    yield Measure("estimated_accuracy", value, min(lower, value), max(upper, value), chance.rows, found.note)
    if found.expected is not None:
        result = classification(found.expected, bins)
        yield _result("estimated_f1", result.f1, chance.rows, "" if _decided(summary, threshold) else _NO_THRESHOLD)
        optimism, spread = auc_by_calibration(found.expected, bins, found.calibration)
        # Calibrations stored by older releases lack the number of rows.
        rarer = math.inf if found.calibration is None else found.calibration.rarer or math.inf
        errors = [(spread, rarer)]
        if found.note and summary.expected is not None:
            errors.append((auc_unfollowed(summary.expected, found.expected), math.inf))
        auc = _auc("estimated_auc", found.expected, result, chance, optimism=optimism, errors=errors)
        if found.note and auc.value is not None:
            auc = replace(auc, value=min(max(auc.value - optimism, 0.0), 1.0), note=found.note)
        yield auc


def _wilson(share: float, variance: float) -> tuple[float, float]:
    """Return the 95 % interval of a share with this variance (Wilson 1927): it is never empty, nor beyond 0 and 1."""
    if variance <= 0:
        return share, share
    rows = max(share * (1 - share), 1e-12) / variance
    middle = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z / (1 + _Z**2 / rows) * math.sqrt(variance + (_Z / (2 * rows)) ** 2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _share(name: str, mean: Mean) -> Measure:
    if not mean.rows:
        return Measure(name, None, note=_TOO_FEW)
    lower, upper = mean.share_interval() or (None, None)
    return Measure(name, mean.mean, lower, upper, mean.rows)


def _mean(name: str, mean: Mean) -> Measure:
    if not mean.rows:
        return Measure(name, None, note=_TOO_FEW)
    if not math.isfinite(mean.mean):
        return Measure(name, None, rows=mean.rows, note="beyond what a number can hold")
    lower, upper = mean.interval() or (None, None)
    return Measure(name, mean.mean, lower, upper, mean.rows)


def _result(name: str, value: float | Inconclusive, rows: int, refused: str) -> Measure:
    if refused:
        return Measure(name, None, rows=rows, note=refused)
    return (
        Measure(name, value, rows=rows) if isinstance(value, float) else Measure(name, None, rows=rows, note=str(value))
    )


def _root(square: float | None) -> float | None:
    return None if square is None else math.sqrt(max(square, 0.0))

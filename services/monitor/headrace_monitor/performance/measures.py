"""From summaries to the measures that people read, each with its uncertainty and with what could not be said. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from headrace_statistics.arrays import floats
from headrace_statistics.classification import Classification, classification
from headrace_statistics.inconclusive import Inconclusive, NotEnoughData
from headrace_statistics.sketches.class_scores import MAX_CLASSES, ClassScores, MacroAuc, macro_auc
from headrace_statistics.sketches.scores import ScoreCounts, auc_error, grid

from headrace_monitor.performance.means import Mean
from headrace_monitor.performance.probabilities import ClassSummary
from headrace_monitor.performance.summaries import DEFAULT_THRESHOLD, Summary, scaled

_Z = 1.959963984540054

_TOO_FEW = str(NotEnoughData(have=0, need=1))
_NO_PROBABILITIES = "scores beyond 0 and 1 are no probabilities"
_NO_THRESHOLD = f"{_NO_PROBABILITIES}: a threshold for them is to be told"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number, or why there is none. lower, upper: its 95 % interval, where one is known. rows: it is made of.

    unsaid: why there is no value; beside one, what it leaves out.
    """

    name: str
    value: float | None
    lower: float | None = None
    upper: float | None = None
    rows: int = 0
    unsaid: str = ""


def measures(summary: Summary, *, threshold: float | None, calibrated: bool) -> list[Measure]:
    """Return what a summary says. threshold: as asked for. calibrated: whether accuracy could be calibration."""
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
        found.extend(_estimated(summary, threshold, calibrated=calibrated))
    if summary.conversion.rows:
        found.append(_share("conversion_rate", summary.conversion))
    if summary.reward.rows:
        found.append(_mean("reward_mean", summary.reward))
    if summary.shown.rows:
        found.append(_mean("prediction_mean", summary.shown))
        std = summary.shown.std
        unsaid = "" if std is not None else str(NotEnoughData(have=summary.shown.rows, need=2))
        found.append(Measure("prediction_std", std, rows=summary.shown.rows, unsaid=unsaid))
    return found


def _of_scores(summary: Summary, threshold: float | None) -> Iterator[Measure]:
    """Measures from scores: of two classes all of them, of more how far confidence can be trusted."""
    assert summary.scores is not None
    rows = summary.loss.rows
    bins = grid(DEFAULT_THRESHOLD if threshold is None else threshold)
    said = classification(summary.scores, bins)
    probable = _are_probabilities(summary)
    if summary.binary:
        decided = _decided(summary, threshold)
        for name in ("precision", "recall", "f1"):
            yield _said(name, getattr(said, name), rows, "" if decided else _NO_THRESHOLD)
        yield _auc("auc", summary.scores, said, summary.loss)
        yield (
            _mean("log_loss", summary.loss)
            if probable
            else Measure("log_loss", None, rows=rows, unsaid=_NO_PROBABILITIES)
        )
    yield _said("calibration_error", said.calibration, rows, "" if probable else _NO_PROBABILITIES)


def _are_probabilities(summary: Summary) -> bool:
    return summary.score.low >= 0 and summary.score.high <= 1


def _decided(summary: Summary, threshold: float | None) -> bool:
    """Return whether it is known from which score on the answer is yes."""
    return threshold is not None or _are_probabilities(summary)


def _auc(name: str, counts: ScoreCounts, said: Classification, of: Mean) -> Measure:
    """of: any mean of the rows that were counted."""
    if not isinstance(said.auc, float):
        return Measure(name, None, rows=of.rows, unsaid=str(said.auc))
    # Rows of unequal weights say less than as many of equal ones: the error is that of the effective number.
    error = auc_error(scaled(counts, of.weight / of.squares))
    if not isinstance(error, float):
        return Measure(name, said.auc, rows=of.rows)
    return Measure(name, said.auc, max(said.auc - _Z * error, 0.0), min(said.auc + _Z * error, 1.0), of.rows)


def _of_classes(classes: ClassSummary) -> Iterator[Measure]:
    """Measures from probabilities of more than two classes."""
    counts, loss = classes.counts, classes.loss
    if counts is None or not counts.rows:
        too_many = f"{classes.classes:,} classes; at most {MAX_CLASSES} are counted"
        unsaid = too_many if counts is None else _left_out(counts) or _TOO_FEW
        yield from (Measure(name, None, unsaid=unsaid) for name in ("auc", "log_loss"))
        return
    left_out = _left_out(counts)
    yield _macro_auc(counts, loss, left_out)
    yield replace(_mean("log_loss", loss), unsaid=left_out)


def _macro_auc(counts: ClassScores, loss: Mean, left_out: str) -> Measure:
    said = macro_auc(counts)
    if not isinstance(said, MacroAuc):
        return Measure("auc", None, rows=counts.rows, unsaid=str(said))
    some = "" if said.classes == counts.classes else f"of the {said.classes} of {counts.classes} classes that occur"
    unsaid = "; ".join(filter(None, (some, left_out)))
    # As for two classes: the error is that of the effective number of rows.
    factor = loss.weight / loss.squares
    effective = macro_auc(replace(counts, yes=floats(counts.yes * factor), no=floats(counts.no * factor)))
    if not isinstance(effective, MacroAuc) or not isinstance(effective.error, float):
        return Measure("auc", said.value, rows=counts.rows, unsaid=unsaid)
    half = _Z * effective.error
    return Measure("auc", said.value, max(said.value - half, 0.0), min(said.value + half, 1.0), counts.rows, unsaid)


def _left_out(counts: ClassScores) -> str:
    """Return why rows with a label are not counted; empty where all are."""
    told = []
    if counts.no_probabilities:
        told.append(f"{counts.no_probabilities:,} whose scores are no probabilities of the classes")
    if counts.no_class:
        told.append(f"{counts.no_class:,} whose label is no class")
    return f"without rows: {', '.join(told)}" if told else ""


def _of_errors(summary: Summary) -> Iterator[Measure]:
    yield _mean("mae", summary.absolute)
    square = _mean("rmse", summary.squared)
    yield Measure("rmse", _root(square.value), _root(square.lower), _root(square.upper), square.rows, square.unsaid)
    yield _mean("bias", summary.error)


_UNCALIBRATED = (
    "no calibration yet: it needs 300 labelled predictions, or as many rows of reference.parquet with the outputs and "
    "outcome.label"
)


def _estimated(summary: Summary, threshold: float | None, *, calibrated: bool) -> Iterator[Measure]:
    """Measures to be expected of all rows, were the world as it was when scores were calibrated."""
    chance = summary.chance
    if not chance.rows:
        reason = "rows have no scores" if calibrated else _UNCALIBRATED
        names = ("estimated_accuracy", *(("estimated_f1", "estimated_auc") if summary.binary else ()))
        yield from (Measure(name, None, unsaid=reason) for name in names)
        return
    half = _Z * math.sqrt(summary.doubt.mean / chance.effective_rows)
    lower, upper = max(chance.mean - half, 0.0), min(chance.mean + half, 1.0)
    yield Measure("estimated_accuracy", chance.mean, lower, upper, chance.rows)
    if summary.expected is not None:
        said = classification(summary.expected, grid(DEFAULT_THRESHOLD if threshold is None else threshold))
        yield _said("estimated_f1", said.f1, chance.rows, "" if _decided(summary, threshold) else _NO_THRESHOLD)
        yield _auc("estimated_auc", summary.expected, said, chance)


def _share(name: str, mean: Mean) -> Measure:
    if not mean.rows:
        return Measure(name, None, unsaid=_TOO_FEW)
    lower, upper = mean.share_interval() or (None, None)
    return Measure(name, mean.mean, lower, upper, mean.rows)


def _mean(name: str, mean: Mean) -> Measure:
    if not mean.rows:
        return Measure(name, None, unsaid=_TOO_FEW)
    if not math.isfinite(mean.mean):
        return Measure(name, None, rows=mean.rows, unsaid="beyond what a number can hold")
    lower, upper = mean.interval() or (None, None)
    return Measure(name, mean.mean, lower, upper, mean.rows)


def _said(name: str, value: float | Inconclusive, rows: int, refused: str) -> Measure:
    if refused:
        return Measure(name, None, rows=rows, unsaid=refused)
    return (
        Measure(name, value, rows=rows)
        if isinstance(value, float)
        else Measure(name, None, rows=rows, unsaid=str(value))
    )


def _root(square: float | None) -> float | None:
    return None if square is None else math.sqrt(max(square, 0.0))

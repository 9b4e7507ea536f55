"""The error-rate detector of one version: it learns the version's own rate and detects a higher one. Pure.

A predicted class is an error where it is not the true one; a predicted quantity where it is further off than nine in
ten of the version's first ones were.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from headrace_statistics import serialization
from headrace_statistics.e_detector import (
    Detector,
    DetectorState,
    observe_each,
    probable_rate,
    restarted,
    start,
)
from headrace_statistics.proportions import Proportion, interval
from headrace_statistics.severity import PROPORTION_SCALE, Severity

from headrace_monitor.record.log.decisions.class_names import quantity

# Labels from which a version's own error rate is learnt first.
BASE_LABELS = 500
# Numbers of labels at which it is learnt again from all of them, unless there was an alarm: the more there are, the
# less has to be allowed.
HORIZONS = (BASE_LABELS, 2_000, 8_000, 32_000)
# The rate that is allowed is an upper bound of the version's own: it is higher once in 100 versions, at each horizon.
BASE_LEVEL = 0.01
RUN_LENGTH = 1e5
# Proportion of the first quantities that were off by more than what counts as an error from then on.
BEYOND = 0.1
# An alarm ends after this many labels without another one.
CALM_LABELS = 1000
# A version that is wrong nearly always can hardly become worse: more likely its labels mean something else.
HOPELESS = 0.95


@dataclass(frozen=True, slots=True)
class ErrorRateDetector:
    """State of a detector. base: the labels that the version's own rate was learnt from. seen: all of them up to the
    last horizon. watch: None until they suffice, and where the rate cannot rise. since_alarm: labels since the last
    alarm; None without one. rate: at the alarm.

    sizes: how far the first quantities were off, until they are enough. tolerance: what counts as an error beyond it,
    frozen then, in the unit of the labels; None for classes.
    """

    base: Proportion
    allowed: float = 0.0
    watch: DetectorState | None = None
    since_alarm: int | None = None
    rate: float = 0.0
    alarms: int = 0
    sizes: tuple[float, ...] = ()
    tolerance: float | None = None
    seen: Proportion = field(default_factory=lambda: Proportion(0, 0))

    @property
    def rise(self) -> float:
        """Return by how much errors are above what is allowed; 0 while nothing was found."""
        return 0.0 if self.since_alarm is None else max(self.rate - self.allowed, 0.0)

    @property
    def severity(self) -> Severity:
        """Return how bad it is, by how far the rate is from the version's own."""
        return PROPORTION_SCALE.severity(self.rate - self.base.value, alarm=self.since_alarm is not None)

    @property
    def sentence(self) -> str:
        """Return what was found, for people."""
        if self.watch is None and self.base.of >= BASE_LABELS:
            return f"{self.base.value:.1%} of the first labels contradict the predictions: nothing to watch"
        if self.watch is None:
            return f"learning the error rate: {self.seen.of + len(self.sizes)} of {BASE_LABELS} labels"
        what = "the error rate" if self.tolerance is None else f"the share of errors beyond {self.tolerance:.4g}"
        if self.since_alarm is None:
            return f"no sign that {what} is above {self.allowed:.1%}"
        return (
            f"{what} has risen to about {self.rate:.1%}; it was {self.base.value:.1%} at first, and up to "
            f"{self.allowed:.1%} was allowed"
        )


def new() -> ErrorRateDetector:
    """Return the detector of a new version."""
    return ErrorRateDetector(Proportion(0, 0))


def take(state: ErrorRateDetector, errors: Sequence[bool], *, run_length: float = RUN_LENGTH) -> ErrorRateDetector:
    """Take in labels in the order in which they came: each, whether the prediction was wrong. run_length: labels
    between false alarms, on average at least.
    """
    while len(errors) and (horizon := _next_horizon(state)) is not None:
        part, errors = errors[: horizon - state.seen.of], errors[horizon - state.seen.of :]
        state = replace(_watched(state, part, run_length), seen=state.seen.merge(Proportion(sum(part), len(part))))
        if state.seen.of == horizon:
            state = _learnt(state, run_length)
    return _watched(state, errors, run_length)


def allowed_by(base: Proportion) -> float:
    """Return the error rate that is allowed of a version with these first labels."""
    return interval(base, 2 * BASE_LEVEL)[1]


def _next_horizon(state: ErrorRateDetector) -> int | None:
    return next((horizon for horizon in HORIZONS if horizon > state.seen.of), None)


def _learnt(state: ErrorRateDetector, run_length: float) -> ErrorRateDetector:
    """Learn the rate from all labels up to a horizon. What is allowed never rises, and stays after an alarm: the rate
    since then is not the version's own.
    """
    if state.base.of < BASE_LABELS:
        state = replace(state, base=state.seen)
    elif state.watch is None:
        return state
    allowed = allowed_by(state.seen)
    if state.alarms or (state.watch is None and allowed > HOPELESS) or (state.watch and allowed >= state.allowed):
        return state
    return replace(state, base=state.seen, allowed=allowed, watch=start(Detector(allowed, run_length)))


def take_sizes(
    state: ErrorRateDetector, sizes: Sequence[float], *, run_length: float = RUN_LENGTH
) -> ErrorRateDetector:
    """Take in how far predicted quantities were off, in the order in which their labels came."""
    if state.tolerance is None:
        missing = BASE_LABELS - len(state.sizes)
        first, sizes = (*state.sizes, *sizes[:missing]), sizes[missing:]
        if len(first) < BASE_LABELS:
            return replace(state, sizes=first)
        state = replace(state, sizes=(), tolerance=tolerance_of(first))
        sizes = (*first, *sizes)
    return take(state, [size > (state.tolerance or 0.0) for size in sizes], run_length=run_length)


def tolerance_of(sizes: Sequence[float]) -> float:
    """Return the size that BEYOND of them exceed, or fewer where several are equal.

    The share of all later ones that exceed it has a beta law whatever law the errors have (Wilks 1941), or lies below
    where some are equal. The upper end of that law is the end of the interval for a share: what is allowed holds the
    true rate as surely as it does for classes.
    """
    return sorted(sizes)[len(sizes) - round(BEYOND * len(sizes)) - 1]


def size_of(predicted: float, label: float | str) -> float | None:
    """Return how far a quantity was off, at most the largest number; None where either is none."""
    actual = quantity(label)
    size = math.nan if actual is None else abs(predicted - actual)
    return None if math.isnan(size) else min(size, sys.float_info.max)


def _watched(state: ErrorRateDetector, errors: Sequence[bool], run_length: float) -> ErrorRateDetector:
    for begin in range(0, len(errors) if state.watch is not None else 0, 100):
        state = _observed(state, errors[begin : begin + 100], Detector(state.allowed, run_length))
    return state


def _observed(state: ErrorRateDetector, errors: Sequence[bool], detector: Detector) -> ErrorRateDetector:
    assert state.watch is not None
    watch = observe_each(state.watch, errors, detector)
    if watch.alarm:
        rate = probable_rate(watch, detector)
        return replace(state, watch=restarted(watch), since_alarm=0, rate=rate, alarms=state.alarms + 1)
    since = None if state.since_alarm is None else state.since_alarm + len(errors)
    return replace(state, watch=watch, since_alarm=None if since is None or since >= CALM_LABELS else since)


def to_text(state: ErrorRateDetector) -> str:
    """Return the state as it is kept."""
    return json.dumps(
        {
            "base": [state.base.count, state.base.of],
            "allowed": state.allowed,
            "watch": None if state.watch is None else serialization.to_json(state.watch),
            "since_alarm": state.since_alarm,
            "rate": state.rate,
            "alarms": state.alarms,
            "sizes": state.sizes,
            "tolerance": state.tolerance,
            "seen": [state.seen.count, state.seen.of],
        }
    )


def from_text(text: str) -> ErrorRateDetector:
    """Return what `to_text` was given."""
    plain = json.loads(text)
    watch = None if plain["watch"] is None else serialization.from_json(plain["watch"])
    return ErrorRateDetector(
        *(Proportion(*plain["base"]), plain["allowed"], watch, plain["since_alarm"], plain["rate"], plain["alarms"]),
        # Releases that watched classes only kept neither; those that learnt the rate once kept no labels since.
        sizes=tuple(plain.get("sizes", ())),
        tolerance=plain.get("tolerance"),
        seen=Proportion(*plain.get("seen", plain["base"])),
    )

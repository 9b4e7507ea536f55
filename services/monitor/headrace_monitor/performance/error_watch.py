"""The error-rate detector of one version: learns what rate is its own, then watches for a higher one. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace_monitor.statistics import kept
from headrace_monitor.statistics.change.error_rate import (
    Detector,
    Watch,
    observe_each,
    probable_rate,
    restarted,
    start,
)
from headrace_monitor.statistics.severity import SHARE_SCALE, Severity
from headrace_monitor.statistics.shares import Share, interval

# Labels from which a version's own error rate is learnt.
BASE_LABELS = 500
# The rate that is allowed is the upper end of an interval for the version's own: it is higher once in 200 versions.
BASE_LEVEL = 0.01
# An alarm is over when so many labels came without another.
CALM_LABELS = 1000
# A version that is wrong nearly always can hardly become worse: labels of another kind were told, more likely.
HOPELESS = 0.95


@dataclass(frozen=True, slots=True)
class ErrorWatch:
    """base: the labels that its own rate is learnt from. watch: None until they are enough, and where there is
    nothing to watch. since_alarm: labels since
    the last alarm; None while there is none. rate: error rate that the alarm found.
    """

    base: Share
    allowed: float = 0.0
    watch: Watch | None = None
    since_alarm: int | None = None
    rate: float = 0.0
    alarms: int = 0

    @property
    def rise(self) -> float:
        """Return by how much errors are above what is allowed; 0 while nothing was found."""
        return 0.0 if self.since_alarm is None else max(self.rate - self.allowed, 0.0)

    @property
    def severity(self) -> Severity:
        """Return how bad it is, by how far the rate is from the version's own."""
        return SHARE_SCALE.severity(self.rate - self.base.value, alarm=self.since_alarm is not None)

    @property
    def sentence(self) -> str:
        """Return what was found, for people."""
        if self.watch is None and self.base.of >= BASE_LABELS:
            return f"{self.base.value:.1%} of the first labels contradict the predictions: nothing to watch"
        if self.watch is None:
            return f"learning the error rate: {self.base.of} of {BASE_LABELS} labels"
        if self.since_alarm is None:
            return f"no sign of an error rate above {self.allowed:.1%}"
        return (
            f"the error rate has risen to about {self.rate:.1%}; it was {self.base.value:.1%} at first, and up to "
            f"{self.allowed:.1%} was allowed"
        )


def new() -> ErrorWatch:
    """Return the watch of a version of which nothing is known."""
    return ErrorWatch(Share(0, 0))


def take(state: ErrorWatch, errors: Sequence[bool]) -> ErrorWatch:
    """Take in labels in the order in which they came: each, whether the prediction was wrong."""
    if state.watch is None:
        first, errors = errors[: BASE_LABELS - state.base.of], errors[BASE_LABELS - state.base.of :]
        state = replace(state, base=state.base.merge(Share(sum(first), len(first))))
        if state.base.of < BASE_LABELS:
            return state
        allowed = interval(state.base, BASE_LEVEL)[1]
        if allowed > HOPELESS:
            return state
        state = replace(state, allowed=allowed, watch=start(Detector(allowed)))
    for begin in range(0, len(errors), 100):
        state = _watched(state, errors[begin : begin + 100])
    return state


def _watched(state: ErrorWatch, errors: Sequence[bool]) -> ErrorWatch:
    assert state.watch is not None
    detector = Detector(state.allowed)
    watch = observe_each(state.watch, errors, detector)
    if watch.alarm:
        rate = probable_rate(watch, detector)
        return replace(state, watch=restarted(watch), since_alarm=0, rate=rate, alarms=state.alarms + 1)
    since = None if state.since_alarm is None else state.since_alarm + len(errors)
    return replace(state, watch=watch, since_alarm=None if since is None or since >= CALM_LABELS else since)


def to_text(state: ErrorWatch) -> str:
    """Return the state as it is kept."""
    return json.dumps(
        {
            "base": [state.base.count, state.base.of],
            "allowed": state.allowed,
            "watch": None if state.watch is None else kept.to_text(state.watch),
            "since_alarm": state.since_alarm,
            "rate": state.rate,
            "alarms": state.alarms,
        }
    )


def from_text(text: str) -> ErrorWatch:
    """Return what `to_text` was given."""
    plain = json.loads(text)
    watch = None if plain["watch"] is None else kept.from_text(plain["watch"])
    return ErrorWatch(
        Share(*plain["base"]), plain["allowed"], watch, plain["since_alarm"], plain["rate"], plain["alarms"]
    )

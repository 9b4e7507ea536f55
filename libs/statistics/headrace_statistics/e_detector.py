"""Has the error rate risen above what is allowed? Watched label by label, for ever, with a stated time between false
alarms.

An e-detector (Shin, Ramdas, Rinaldo 2024, NEJSDS 2(2)): the sum, over every moment the change may have come, of the
evidence since then (Shiryaev 1963, Roberts 1966). While the rate is at most `allowed`, that sum less the number of
labels is a supermartingale; so the expected number of labels until it reaches `run_length` is at least `run_length`,
whatever the rate did below `allowed`, and however often it is evaluated.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from headrace_statistics.arrays import Floats
from headrace_statistics.proportions import Proportion

# Rates that are betted on, as multiples of the allowed odds: from a rise that takes a thousand labels to see to
# breakage.
_ODDS = np.array([1.35, 1.75, 2.5, 4.0, 12.0])


@dataclass(frozen=True, slots=True)
class Detector:
    """allowed: error rate that is no alarm, within (0, 1). run_length: labels between false alarms, on average at
    least.
    """

    allowed: float
    run_length: float = 1e5

    @property
    def rates(self) -> Floats:
        """Rates that are betted on, ascending."""
        odds = _ODDS * self.allowed / (1 - self.allowed)
        return odds / (1 + odds)


@dataclass(frozen=True, slots=True)
class DetectorState:
    """State between labels, a few numbers. log_evidence: per betted rate. seen: labels and errors since the
    start.

    alarm: set once the evidence reached the run length, until `restarted`.
    """

    log_evidence: tuple[float, ...]
    seen: Proportion = field(default_factory=lambda: Proportion(0, 0))
    alarm: bool = False


def start(detector: Detector) -> DetectorState:
    return DetectorState(log_evidence=(-math.inf,) * detector.rates.size)


def restarted(watch: DetectorState) -> DetectorState:
    """After an alarm was handled, evidence restarts from zero."""
    return DetectorState(log_evidence=(-math.inf,) * len(watch.log_evidence))


def observe(watch: DetectorState, errors: Proportion, detector: Detector) -> DetectorState:
    """Take in labels that arrived together: how many, and how many of them were errors. Labels are counted once, when
    they come, so late ones count when they come.

    The change may have come before any label of the batch, but the evidence for each of those moments is that of the
    whole batch: batches of one are quickest, and the guarantee holds for any size.
    """
    if errors.of <= 0:
        return watch
    rates = detector.rates
    gain = errors.count * np.log(rates / detector.allowed)
    gain += (errors.of - errors.count) * np.log((1 - rates) / (1 - detector.allowed))
    log_evidence = np.logaddexp(math.log(errors.of), watch.log_evidence) + gain
    total = float(np.logaddexp.reduce(log_evidence)) - math.log(rates.size)
    return replace(
        watch,
        log_evidence=tuple(log_evidence.tolist()),
        seen=watch.seen.merge(errors),
        alarm=watch.alarm or total >= math.log(detector.run_length),
    )


def observe_each(watch: DetectorState, errors: Iterable[bool], detector: Detector) -> DetectorState:
    """Take in labels one after the other."""
    for error in errors:
        watch = observe(watch, Proportion(int(error), 1), detector)
    return watch


def probable_rate(watch: DetectorState, detector: Detector) -> float:
    """Return the betted rate that the evidence speaks for, weighted by it: the size of what was found."""
    log_evidence = np.asarray(watch.log_evidence)
    highest = float(log_evidence.max())
    if highest == -math.inf:
        return detector.allowed
    weights = np.exp(log_evidence - highest)
    return float(np.dot(weights, detector.rates) / weights.sum())

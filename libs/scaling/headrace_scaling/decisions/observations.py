"""What is known of a pool when a decision is made: signals with their ages, and the replicas that are really there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Metric(StrEnum):
    """A signal of a pool."""

    # Totals: demand that came, whether or not it was served.
    REQUESTS_PER_S = "requests_per_s"
    CONCURRENCY = "concurrency"
    QUEUED_ROWS = "queued_rows"
    SHED_PER_S = "shed_per_s"
    # Seconds of execution asked for in a second, requests/s times compute time: 3.5 keeps three and a half busy.
    BUSY_REPLICAS = "busy_replicas"
    # Sums over the replicas that report, of shares between 0 and 1.
    GPU_UTILISATION = "gpu_utilisation"
    GPU_MEMORY = "gpu_memory"
    # One value for the pool.
    PREDICTED_WAIT_S = "predicted_wait_s"


class SignalProblem(StrEnum):
    """Why a signal cannot be used."""

    MISSING = "missing"
    STALE = "stale"
    NOT_FINITE = "not finite"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True)
class Signal:
    """A measured value. None: not reported.

    replicas: how many replicas' reports it sums, where it is summed over replicas; None means all that are ready.
    """

    value: float | None
    age_s: float = 0.0
    replicas: int | None = None

    def problem(self, max_age_s: float) -> SignalProblem | None:
        """Return why the value cannot be used; None when it can."""
        if self.value is None:
            return SignalProblem.MISSING
        if not math.isfinite(self.value) or not math.isfinite(self.age_s):
            return SignalProblem.NOT_FINITE
        if self.value < 0.0:
            return SignalProblem.NEGATIVE
        if self.age_s > max_age_s:
            return SignalProblem.STALE
        return None


@dataclass(frozen=True, slots=True)
class Replicas:
    """The replicas that were seen, by state.

    requested: how many the actuator last acknowledged (spec.replicas of Kubernetes); None where it cannot say.
    """

    ready: int
    loading: int = 0
    failed: int = 0
    draining: int = 0
    requested: int | None = None

    @property
    def current(self) -> int:
        """Return how many serve or will: one that loads counts once, one that failed or drains does not count."""
        return self.ready + self.loading

    @property
    def asked_for(self) -> int:
        """Return the count that a decision changes."""
        return self.current if self.requested is None else self.requested

    @property
    def paid_for(self) -> int:
        """Return how many hold an accelerator."""
        return self.ready + self.loading + self.draining


@dataclass(frozen=True, slots=True)
class ModelLoad:
    """What one of the models in a pool asks of it, in totals."""

    model: str
    signals: Mapping[Metric, Signal]


@dataclass(frozen=True, slots=True)
class EarlierHour:
    """Demand around this minute of an earlier hour, in the unit of the policy's first target; NaN where it is unknown.

    peak: the highest between then and one look-ahead later. mean: of the sixty minutes before.
    """

    peak: float
    mean: float


@dataclass(frozen=True, slots=True)
class EarlierHours:
    """hours: the last three, the oldest first. likeness: the correlation of each minute's demand within the last two
    hours with that an hour before; NaN where it is unknown.
    """

    hours: tuple[EarlierHour, ...]
    likeness: float


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a decision is made from. Recorded as it is, so that a replay decides the same.

    now: seconds since the epoch. load_time_s: how long the last replicas took from their start to READY. variation: of
    what executions of the same size take; no decision rests on it, but simulations of the pool start from it.
    seasonal_peaks: of each earlier day, the highest demand between this time of day and one look-ahead later, in the
    unit of the policy's first target; the oldest day first, yesterday last, NaN for a day of which nothing is known.
    """

    pool: str
    now: float
    replicas: Replicas
    signals: Mapping[Metric, Signal] = field(default_factory=dict)
    models: tuple[ModelLoad, ...] = ()
    load_time_s: float | None = None
    seasonal_peaks: tuple[float, ...] = ()
    earlier_hours: EarlierHours | None = None
    variation: float | None = None

    def signal(self, metric: Metric) -> Signal:
        """Return the pool's signal; where the pool has none itself, the sum over its models."""
        own = self.signals.get(metric)
        if own is not None:
            return own
        parts = [load.signals.get(metric) for load in self.models]
        if not parts or any(part is None or part.value is None for part in parts):
            return Signal(None)
        total = math.fsum(part.value for part in parts if part is not None and part.value is not None)
        return Signal(total, max(part.age_s for part in parts if part is not None))

    def driver(self, metric: Metric) -> tuple[str, float] | None:
        """Return the model with the highest demand on the pool, and its share; None where unknown."""
        values = {load.model: load.signals[metric].value for load in self.models if metric in load.signals}
        usable = {model: value for model, value in values.items() if value is not None and 0 < value < math.inf}
        if not usable:
            return None
        model = max(usable, key=lambda name: (usable[name], name))
        return model, usable[model] / math.fsum(usable.values())

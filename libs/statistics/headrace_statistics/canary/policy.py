"""What is tolerated of a canary, and how sure the judgement must be."""

from __future__ import annotations

from dataclasses import dataclass

from headrace_statistics.canary.counts import Metric


@dataclass(frozen=True, slots=True)
class Policy:
    """How a canary is judged.

    A canary is worse where its rate of a metric exceeds `tolerated_ratio` times the baseline's plus `tolerated_rate`.
    It is proven not to be where its rate is below `margin_ratio` times the baseline's plus `margin_rate`; a margin_rate
    of 0 can never be proven by a version without errors.

    alpha: chance that a rollout of a version that is not worse is rolled back, however long it takes and however often
    it is looked at. promotion_alpha: chance that a version as bad as the margin is promoted, of each metric. dwell_s:
    a stage lasts at least so long. sticky: units keep their arm: distinct erring units are evidence against the canary,
    and for it its requests and its units must both be within the margin.
    unit_margin: how much more than `margin_ratio` times the share of the baseline's units that err, the canary's may.
    stale_s: no complete tick for longer stops growth. no_data_timeout_s: for longer rolls back.
    """

    metrics: tuple[Metric, ...] = tuple(Metric)
    tolerated_ratio: float = 1.5
    tolerated_rate: float = 0.0
    margin_ratio: float = 1.5
    margin_rate: float = 0.005
    alpha: float = 0.001
    promotion_alpha: float = 0.05
    dwell_s: float = 60.0
    sticky: bool = False
    unit_margin: float = 0.05
    stale_s: float = 5.0
    no_data_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("metrics is empty: name at least one, such as errors")
        for name, lowest in (("tolerated_ratio", 1.0), ("margin_ratio", 1.0), ("tolerated_rate", 0.0)):
            if not lowest <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}: choose a number from {lowest:g} on")
        if not 0 <= self.margin_rate <= 1:
            raise ValueError(f"margin_rate is {self.margin_rate}: choose a share from 0 to 1")
        for name in ("alpha", "promotion_alpha"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: choose a probability between 0 and 1")
        for name in ("dwell_s", "stale_s", "no_data_timeout_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}: choose seconds from 0 on")

    @property
    def judged(self) -> tuple[Metric, ...]:
        """Metrics that are judged. Where units keep their arm, one client's slow requests are no sample of an arm."""
        return (Metric.ERRORS,) if self.sticky else tuple(dict.fromkeys(self.metrics))

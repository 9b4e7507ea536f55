"""What surrounds the policy in a simulation: replicas, their starts and failures, prices and the objective."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace_scaling.simulation.service_curves import ServiceCurve

MOST_VARIATION = 10.0


@dataclass(frozen=True, slots=True)
class Setup:
    """A pool as it is simulated.

    variation: coefficient of variation of an execution's time, its standard deviation as a share of its mean.
    slo_s: what an answer may take. deadline_s: when a caller gives up; what would wait longer is shed. load_times_s:
    measured times from a replica's start to READY, of which each start draws one. start_failure: the share of starts
    that never become ready. hours_between_failures: of one ready replica. drain_s: how long a removed replica still
    holds its accelerator. price_per_replica_hour: in any currency.
    """

    curve: ServiceCurve = field(default_factory=lambda: ServiceCurve.of_throughput(500.0))
    variation: float = 0.0
    slo_s: float = 0.1
    deadline_s: float = 1.0
    load_times_s: tuple[float, ...] = (45.0,)
    start_failure: float = 0.0
    hours_between_failures: float | None = None
    drain_s: float = 5.0
    price_per_replica_hour: float = 3.0
    initial_replicas: int = 2
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.variation <= MOST_VARIATION:
            raise ValueError(f"variation must be between 0 and {MOST_VARIATION:g}; {self.variation:g} is not")
        if not self.load_times_s or min(self.load_times_s) < 0:
            raise ValueError("load_times_s needs at least one time from 0 up")
        if not 0 < self.slo_s <= self.deadline_s:
            raise ValueError("slo_s must be positive and not above deadline_s")
        if not 0 <= self.start_failure < 1:
            raise ValueError("start_failure must be a share below 1")
        if self.hours_between_failures is not None and self.hours_between_failures <= 0:
            raise ValueError("hours_between_failures must be positive")
        if self.initial_replicas < 0:
            raise ValueError("initial_replicas must not be negative")

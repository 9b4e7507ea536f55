"""Policies to start from: ours, and those of Kubernetes and Knative with their defaults."""

from __future__ import annotations

from headrace_scaling.decisions.observations import Metric
from headrace_scaling.decisions.policies import (
    Growth,
    LookAhead,
    Panic,
    PoolPolicy,
    ScaleToZero,
    Season,
    StepLimit,
    Target,
)


def headrace(per_replica: float, *, metric: Metric = Metric.REQUESTS_PER_S, most: int = 20) -> PoolPolicy:
    """Return our policy: what one replica should be asked for at most is all that must be known.

    Bursts scale up at once; demand that rises is met as it will be when a replica has loaded; earlier days set a floor.
    """
    return PoolPolicy(
        targets=(Target(metric, per_replica),),
        max_replicas=most,
        tolerance=0.05,
        scale_down_window_s=60.0,
        bridged_starts=8.0,
        panic=Panic(window_s=5.0, threshold=1.2),
        look_ahead=LookAhead(),
        season=Season(),
    )


def kubernetes(per_replica: float, *, metric: Metric = Metric.REQUESTS_PER_S, most: int = 20) -> PoolPolicy:
    """Return the HorizontalPodAutoscaler's defaults: 15 s, a tenth of tolerance, 300 s before scaling down."""
    return PoolPolicy(
        targets=(Target(metric, per_replica),),
        max_replicas=most,
        interval_s=15.0,
        max_age_s=60.0,
        stable_window_s=0.0,
        tolerance=0.1,
        scale_down_window_s=300.0,
        cooldown_down_s=0.0,
        step_up=StepLimit(replicas=4, share=1.0, period_s=15.0),
        step_down=StepLimit(share=1.0, period_s=15.0),
    )


def knative(
    per_replica: float, *, metric: Metric = Metric.REQUESTS_PER_S, most: int = 20, delay_s: float = 0.0
) -> PoolPolicy:
    """Return the Knative Pod Autoscaler's defaults: 2 s, windows of 60 and 6 s, panic from twice what is ready.

    delay_s: its scale-down-delay.
    """
    return PoolPolicy(
        targets=(Target(metric, per_replica),),
        min_replicas=0,
        max_replicas=most,
        interval_s=2.0,
        stable_window_s=60.0,
        tolerance=0.0,
        scale_down_window_s=delay_s,
        cooldown_down_s=0.0,
        panic=Panic(window_s=6.0, threshold=2.0),
        growth=Growth(up=1000.0, down=2.0),
        scale_to_zero=ScaleToZero(after_s=30.0),
    )

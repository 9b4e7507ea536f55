"""What is late although a replica keeps up, because executions of the same rows do not all take the same time."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from functools import lru_cache

import numpy as np

from headrace_scaling.simulation.service_curves import ServiceCurve

# Loads between none and all that a replica serves; executions of each, and requests at most.
_LOADS = 20
_BATCHES = 4_000
_MOST_REQUESTS = 200_000


@lru_cache(maxsize=64)
def late_shares(curve: ServiceCurve, variation: float, slo_s: float, deadline_s: float) -> tuple[float, ...]:
    """Return the share that is late or shed at each load, from 0 to 1 of what a replica serves at best.

    variation: standard deviation of an execution's time, as a share of its mean. Requests come at random to a replica
    that takes what waits, up to its best batch; execution times are lognormal.
    """
    return tuple(_late_share(curve, variation, slo_s, deadline_s, at / _LOADS) for at in range(_LOADS + 1))


def share_at(shares: tuple[float, ...], load: float) -> float:
    """Return the share at a load, between those that were simulated."""
    at = min(1.0, load) * _LOADS
    below = min(int(at), _LOADS - 1)
    return shares[below] + (shares[below + 1] - shares[below]) * (at - below)


def _late_share(curve: ServiceCurve, variation: float, slo_s: float, deadline_s: float, load: float) -> float:
    rows, capacity = curve.best(slo_s)
    rng = np.random.default_rng([11, round(load * _LOADS)])
    sigma = math.sqrt(math.log1p(variation * variation))
    varied = rng.lognormal(-sigma * sigma / 2.0, sigma, _BATCHES).tolist()
    # Without load a request is executed alone.
    size = 1 + min(_MOST_REQUESTS, int(load * rows * _BATCHES))
    came = np.cumsum(rng.exponential(1.0 / (max(load, 1e-6) * capacity), size)).tolist()
    first, free_at, late = 0, 0.0, 0
    for factor in varied:
        start = max(free_at, came[first])
        # What would be answered beyond its deadline is shed.
        shed_to = bisect_left(came, start + curve.seconds(1) - deadline_s, first)
        late += shed_to - first
        last = min(bisect_right(came, start, shed_to), shed_to + rows)
        free_at = start + curve.seconds(max(1, last - shed_to)) * factor
        late += bisect_left(came, free_at - slo_s, shed_to, last) - shed_to
        first = last
        if first >= size:
            break
    return late / max(1, first)

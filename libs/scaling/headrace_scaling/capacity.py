"""Capacity by arithmetic: from users and batch times to replicas, a batch window, storage and money, line by line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from headrace_scaling.simulation.service_curves import ServiceCurve

DAY_S = 86_400.0
DAYS_OF_MONTH = 30
# What a request waits for batch-mates at most by default.
_USUAL_WINDOW_S = 0.005


@dataclass(frozen=True, slots=True)
class Needs:
    """Load to serve, and its means.

    daily_requests: of an average day. peak_factor: the busiest minutes over the average. cache_share: share answered
    without a replica. headroom: share of the peak, on top of it. record_s: seconds of one record scored in bulk, where
    known. replicas, bulk_replicas: planned or present numbers to check; None for none. log_bytes: of a prediction in
    the log, log_share: of predictions that are logged.
    """

    daily_requests: float
    peak_factor: float = 3.0
    cache_share: float = 0.0
    curve: ServiceCurve = field(default_factory=lambda: ServiceCurve.of_throughput(500.0))
    slo_s: float = 0.1
    headroom: float = 0.3
    target_utilisation: float | None = None
    price_per_replica_hour: float = 3.0
    replicas: int | None = None
    bulk_records: float = 0.0
    bulk_window_h: float = 4.0
    record_s: float | None = None
    bulk_replicas: int | None = None
    log_bytes: float = 400.0
    log_share: float = 1.0
    log_days: float = 30.0
    model_bytes: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.daily_requests < math.inf:
            raise ValueError("daily_requests must be a positive number")
        if not 1 <= self.peak_factor < math.inf:
            raise ValueError("peak_factor must be at least 1")
        if not 0 <= self.cache_share < 1:
            raise ValueError("cache_share must be at least 0 and below 1")
        if not 0 <= self.headroom < math.inf:
            raise ValueError("headroom must not be negative")
        for name in ("slo_s", "bulk_window_h", "record_s"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise ValueError(f"{name} must be positive")
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, int | float) and not 0 <= value < math.inf:
                raise ValueError(f"{one.name} must be a number from 0 up")


@dataclass(frozen=True, slots=True)
class Line:
    """A step: what it is, its value with a unit, the formula with the numbers in it, and what is wrong with it."""

    name: str
    value: float
    unit: str
    formula: str
    remark: str = ""


def plan(needs: Needs) -> tuple[Line, ...]:
    """Return the arithmetic, each line from those before it."""
    return (*_online(needs), *_bulk(needs), *_storage_and_cost(needs))


def peak_online_per_s(needs: Needs) -> float:
    """Return what replicas are asked for in the busiest minutes."""
    return needs.daily_requests / DAY_S * needs.peak_factor * (1.0 - needs.cache_share)


def replicas_needed(needs: Needs) -> int:
    """Return the replicas for the peak with its head-room."""
    _, capacity = needs.curve.best(needs.slo_s)
    return _ceiling(peak_online_per_s(needs) * (1.0 + needs.headroom) / capacity)


def bulk_replicas_needed(needs: Needs) -> int:
    """Return the replicas that score the records within their window."""
    return _ceiling(needs.bulk_records / _bulk_per_s(needs) / (needs.bulk_window_h * 3600.0))


def _online(needs: Needs) -> Iterator[Line]:
    average = needs.daily_requests / DAY_S
    peak = average * needs.peak_factor
    online = peak_online_per_s(needs)
    rows, capacity = needs.curve.best(needs.slo_s)
    batch_s = needs.curve.seconds(rows)
    yield Line("average", average, "requests/s", f"{needs.daily_requests:,.0f} / 86,400")
    yield Line("peak", peak, "requests/s", f"{average:,.1f} × {needs.peak_factor:g}")
    yield Line("online at peak", online, "requests/s", f"{peak:,.1f} × (1 − {needs.cache_share:g})")
    known = len(needs.curve.points) > 1
    if known:
        within = f"the most served within {needs.slo_s * 1000:g} ms, twice {batch_s * 1000:.3g} ms"
        yield Line("batch", rows, "rows", within)
    how = f"{rows} / {batch_s:.4g} s" if known else "measured or given; batch times say it for an objective"
    yield Line("a replica serves", capacity, "requests/s", how)
    bare = online / capacity
    needed = replicas_needed(needs)
    yield Line("replicas, bare", _ceiling(bare), "replicas", f"⌈{online:,.1f} / {capacity:,.1f}⌉ of {bare:.2f}")
    more = bare * (1.0 + needs.headroom)
    yield Line(
        "replicas",
        needed,
        "replicas",
        f"⌈{bare:.2f} × (1 + {needs.headroom:g})⌉ of {more:.2f}",
        _too_few(needs, bare, needed),
    )
    used = needs.replicas or needed
    busy, on_average = bare / used, bare / needs.peak_factor / used
    yield Line("busy at peak", busy, "share", f"{bare:.2f} / {used}")
    yield Line("busy on average", on_average, "share", f"{busy:.2f} / {needs.peak_factor:g}", _idle(needs, on_average))
    if not known:
        return
    slack = max(0.0, needs.slo_s - 2.0 * batch_s)
    window = min(_USUAL_WINDOW_S, slack)
    rate = online / needed
    yield Line(
        "batch window",
        window * 1000,
        "ms",
        f"min(5, {needs.slo_s * 1000:g} − 2 × {batch_s * 1000:.3g})",
        f"{rate * window:.1f} requests come to a replica within it at peak",
    )


def _bulk(needs: Needs) -> Iterator[Line]:
    if not needs.bulk_records:
        return
    per_s = _bulk_per_s(needs)
    batches = f"batches of {needs.curve.best(math.inf)[0]}" if len(needs.curve.points) > 1 else "batches"
    alone_h = needs.bulk_records / per_s / 3600.0
    remark = ""
    if needs.record_s is not None and 1.0 / needs.record_s < 0.9 * per_s:
        remark = (
            f"{needs.record_s * 1000:g} ms for each record is a batch of one, {1.0 / needs.record_s:,.0f}/s and"
            f" {needs.bulk_records * needs.record_s / 3600.0:,.1f} h; {batches} do {per_s:,.0f}/s"
        )
    yield Line("bulk, one replica", alone_h, "h", f"{needs.bulk_records:,.0f} / {per_s:,.1f} per s", remark)
    needed, planned = bulk_replicas_needed(needs), needs.bulk_replicas
    remark = ""
    if planned is not None and planned != needed:
        within = alone_h / planned
        remark = f"{planned} replicas need {within:.1f} h of the {needs.bulk_window_h:g}"
    yield Line("bulk replicas", needed, "replicas", f"⌈{alone_h:.2f} h / {needs.bulk_window_h:g} h⌉", remark)


def _storage_and_cost(needs: Needs) -> Iterator[Line]:
    logged = needs.daily_requests * needs.log_share * needs.log_bytes * needs.log_days
    yield Line(
        "prediction log",
        logged / 1e9,
        "GB",
        f"{needs.daily_requests:,.0f} × {needs.log_share:g} × {needs.log_bytes:g} B × {needs.log_days:g} d",
    )
    if needs.model_bytes:
        yield Line("models", needs.model_bytes / 1e9, "GB", "all retained versions")
    online, price = needs.replicas or replicas_needed(needs), needs.price_per_replica_hour
    a_day = online * price * 24.0
    yield Line("online, always on", a_day, "a day", f"{online} × {price:g} × 24")
    bulk_a_day = 0.0
    if needs.bulk_records:
        bulk = needs.bulk_replicas or bulk_replicas_needed(needs)
        hours = min(needs.bulk_window_h, needs.bulk_records / _bulk_per_s(needs) / 3600.0 / bulk)
        bulk_a_day = bulk * price * hours
        yield Line("bulk", bulk_a_day, "a day", f"{bulk} × {price:g} × {hours:.2f} h")
    total = (a_day + bulk_a_day) * DAYS_OF_MONTH
    yield Line("a month", total, "", f"({a_day:,.0f} + {bulk_a_day:,.0f}) × {DAYS_OF_MONTH}")
    _, capacity = needs.curve.best(needs.slo_s)
    mean = peak_online_per_s(needs) / needs.peak_factor * (1.0 + needs.headroom) / capacity
    scaled = (max(1.0, mean) * price * 24.0 + bulk_a_day) * DAYS_OF_MONTH
    yield Line(
        "a month, scaled",
        scaled,
        "",
        f"({max(1.0, mean):.2f} × {price:g} × 24 + {bulk_a_day:,.0f}) × {DAYS_OF_MONTH}",
        "the least: replicas that follow the load at once; `headrace autoscale simulate` says what is reached",
    )


def _too_few(needs: Needs, bare: float, needed: int) -> str:
    if needs.replicas is None or needs.replicas >= needed:
        return ""
    left = needs.replicas / bare - 1.0
    if left <= 1e-9:
        return f"{needs.replicas} replicas have no head-room at peak ({left:+.0%}); {needs.headroom:.0%} was asked for"
    return f"{needs.replicas} replicas leave {left:.1%} at peak; {needs.headroom:.0%} was asked for"


def _idle(needs: Needs, on_average: float) -> str:
    target = needs.target_utilisation
    if target is None or on_average >= target:
        return ""
    return f"always on, they are below the {target:.0%} that was asked for: scale them with the load"


def _bulk_per_s(needs: Needs) -> float:
    return needs.curve.best(math.inf)[1]


def _ceiling(value: float) -> int:
    return max(1, math.ceil(value - 1e-9))


def example() -> Needs:
    """Return the estimate that many a platform starts from, with the counts that it comes to."""
    return Needs(
        daily_requests=10_000_000 * 20,
        curve=ServiceCurve.of_throughput(500.0),
        target_utilisation=0.7,
        replicas=18,
        bulk_records=50_000_000,
        record_s=0.005,
        bulk_replicas=18,
    )

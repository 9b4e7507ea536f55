"""From requests of PlanningService to jobs. What is wrong with one is a field violation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import planning_pb2
from headrace_scaling.simulation import traces
from headrace_scaling.simulation.service_curves import ServiceCurve
from headrace_scaling.simulation.setup import MOST_VARIATION, Setup
from headrace_scaling.simulation.traces import MOST_SECONDS, Trace
from headrace_servicekit.resource_names import invalid

from headrace_autoscaler.planning.jobs import NamedPolicy
from headrace_autoscaler.policies.convert import policy_of
from headrace_autoscaler.storage.values import DemandMinute
from headrace_autoscaler.times import time_of

MOST_POLICIES = 16
MOST_COUNTS = 2_000_000
MOST_POINTS = 10_000
# Policies that are known, by the names of the API.
KNOWN = ("headrace", "kubernetes", "knative", "threshold")
_SHAPES = {
    planning_pb2.SimulateRequest.GeneratedRequests.SHAPE_DIURNAL: "diurnal",
    planning_pb2.SimulateRequest.GeneratedRequests.SHAPE_STEP: "step",
    planning_pb2.SimulateRequest.GeneratedRequests.SHAPE_RAMP: "ramp",
    planning_pb2.SimulateRequest.GeneratedRequests.SHAPE_SPIKE: "spikes",
    planning_pb2.SimulateRequest.GeneratedRequests.SHAPE_FLASH_CROWD: "flash",
    planning_pb2.SimulateRequest.GeneratedRequests.SHAPE_SURGES: "surges",
}


def counted(message: planning_pb2.SimulateRequest.CountedRequests) -> tuple[Trace, int]:
    """Return the trace of counts, and the seconds of it that are history only."""
    interval_s = duration_s(message, "interval", "counted.interval", default=1.0)
    counts = np.array(message.counts, np.float64)
    if not 1 <= len(counts) <= MOST_COUNTS:
        raise invalid("counted.counts", f"must have between 1 and {MOST_COUNTS:,} counts")
    if not 0 <= message.learning < len(counts):
        raise invalid("counted.learning", "must be fewer than the counts")
    if interval_s < 1.0 or len(counts) * interval_s > MOST_SECONDS:
        raise invalid("counted.interval", f"must be at least 1 s, and all of them at most {MOST_SECONDS:,} s")
    start = _start(message, timedelta(seconds=len(counts) * interval_s))
    try:
        trace = Trace("counted", counts, start)
        if interval_s > 1.0:
            times = start + np.arange(len(counts), dtype=np.float64) * np.float64(interval_s)
            trace = traces.from_times("counted", times, counts)
    except ValueError as error:
        raise invalid("counted.counts", str(error)) from error
    return trace, int(message.learning * interval_s)


def _start(message: planning_pb2.SimulateRequest.CountedRequests, lasts: timedelta) -> float:
    start = time_of(message, "start_time", "counted.")
    if start is None:
        return traces.MONDAY
    if start > datetime.max.replace(tzinfo=UTC) - lasts:
        raise invalid("counted.start_time", "must be so early that the last count is of the year 9999 or before")
    return start.timestamp()


def generated(message: planning_pb2.SimulateRequest.GeneratedRequests, seed: int) -> Trace:
    """Return the trace that is made by rule."""
    shape = _SHAPES.get(message.shape)
    if shape is None:
        raise invalid("generated.shape", "must name a shape")
    base, peak = finite(message.base, "generated.base"), finite(message.peak, "generated.peak")
    if peak < base:
        raise invalid("generated.peak", "must not be below generated.base")
    usual_s = 14 * traces.DAY_S if shape in ("diurnal", "surges") else 3600
    seconds = duration_s(message, "duration", "generated.duration", default=float(usual_s))
    if not 60 <= seconds <= MOST_COUNTS:
        raise invalid("generated.duration", f"must be between 60 and {MOST_COUNTS:,} s")
    try:
        return traces.generated(shape, seconds=int(seconds), low=base, high=peak, seed=seed)
    except ValueError as error:
        raise invalid("generated.peak", str(error)) from error


def recorded(pool: str, minutes: Sequence[DemandMinute]) -> Trace:
    """Return the trace of a pool's history: each minute at its mean, minutes without one at none."""
    start = minutes[0].minute.timestamp()
    span = int(minutes[-1].minute.timestamp() - start) // 60 + 1
    means = np.zeros(span)
    for one in minutes:
        means[int(one.minute.timestamp() - start) // 60] = one.mean
    return Trace(pool, np.repeat(means, 60), start)


def named_policies(messages: Sequence[planning_pb2.NamedPolicy]) -> tuple[NamedPolicy, ...]:
    """Return the policies of a request; all that are known where it names none."""
    if len(messages) > MOST_POLICIES:
        raise invalid("policies", f"must be at most {MOST_POLICIES}")
    found: dict[str, NamedPolicy] = {}
    for index, message in enumerate(messages):
        field = f"policies[{index}]"
        if not message.name or len(message.name) > 100 or message.name in found:
            raise invalid(f"{field}.name", "must be a name of at most 100 characters that no other one has")
        match message.WhichOneof("policy"):
            case "own":
                own = policy_of(message.own, f"{field}.own").policy
                found[message.name] = NamedPolicy(message.name, own, None)
            case "known" if message.known in KNOWN:
                found[message.name] = NamedPolicy(message.name, None, message.known)
            case _:
                raise invalid(f"{field}.known", f"must be one of {', '.join(KNOWN)}, in the absence of `own`")
    return tuple(found.values()) or tuple(NamedPolicy(name, None, name) for name in KNOWN)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a pool: how long starts took, the requests/s that keep a replica busy, and how much
    executions of the same size vary. None and empty where it is unknown.
    """

    load_times_s: tuple[float, ...] = ()
    replica_rps: float | None = None
    variation: float | None = None


def setup_of(message: planning_pb2.ServiceModel, seed: int, measured: Measured = Measured()) -> Setup:
    """Return what serves. measured: takes the place of what is unset."""
    starts = tuple(_seconds(one, "service.starts") for one in message.starts) or measured.load_times_s or (60.0,)
    objective_s = duration_s(message, "objective", "service.objective", default=0.1)
    failures = finite(message.failures_per_hour, "service.failures_per_hour")
    try:
        return Setup(
            curve=_curve(message, measured.replica_rps),
            variation=_variation(message, measured.variation),
            slo_s=objective_s,
            deadline_s=max(1.0, objective_s),
            load_times_s=starts,
            start_failure=finite(message.start_failure_share, "service.start_failure_share"),
            hours_between_failures=1.0 / failures if failures else None,
            price_per_replica_hour=finite(message.price_per_replica_hour, "service.price_per_replica_hour"),
            seed=abs(seed),
        )
    except ValueError as error:
        raise invalid("service", str(error)) from error


def _variation(message: planning_pb2.ServiceModel, measured: float | None) -> float:
    if message.HasField("variation"):
        return finite(message.variation, "service.variation")
    return min(measured or 0.0, MOST_VARIATION)


def _curve(message: planning_pb2.ServiceModel, measured: float | None) -> ServiceCurve:
    if message.batch_times:
        points = [(one.rows, _seconds(one.compute, "service.batch_times")) for one in message.batch_times]
        try:
            return ServiceCurve.of(points)
        except ValueError as error:
            raise invalid("service.batch_times", str(error)) from error
    rps = finite(message.replica_rps, "service.replica_rps") or measured
    if not rps:
        raise invalid("service.replica_rps", "is needed, or service.batch_times: nothing is measured of it")
    return ServiceCurve.of_throughput(rps)


def step_s(message: planning_pb2.SimulateRequest, seconds: int) -> int | None:
    """Return the interval between points of the series, in seconds; None if no series is requested."""
    span = duration_s(message, "series_interval", "series_interval", default=0.0)
    if not span:
        return None
    if span < 1.0 or seconds / span > MOST_POINTS:
        raise invalid("series_interval", f"must be at least 1 s, and give at most {MOST_POINTS:,} points")
    return int(span)


def duration_s(message: Any, name: str, field: str, *, default: float) -> float:
    """Return a duration in seconds; the default where it is unset."""
    return _seconds(getattr(message, name), field) if message.HasField(name) else default


def finite(value: float, field: str) -> float:
    """Return a number from 0 up. Raises InvalidArgument."""
    if not (math.isfinite(value) and value >= 0.0):
        raise invalid(field, "must be a number from 0 up")
    return value


def _seconds(duration: Duration, field: str) -> float:
    return finite(duration.ToNanoseconds() / 1e9, field)

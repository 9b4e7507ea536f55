"""What batchers report, and how that is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import compute_pb2, control_pb2, route_pb2

from headrace_router.control.decisions.readiness import Held, Load, Occupancy, Phase, Report
from headrace_router.control.messages import answers, convert

MAX_REPORTED_VERSIONS = 10_000

_WANTED_PHASES = frozenset({Phase.LOADING, Phase.READY, Phase.FAILED})
_UNWANTED_PHASES = frozenset(Phase)

# No wait and no load is longer; what a report says beyond is not kept.
_LONGEST_S = 1e6
# Sixty years of executions at a time.
_LONGEST_COMPUTE_S = 2e9
_MOST_VARIATION = 1e3

# Model and version by digest.
Names = Mapping[str, tuple[str, str]]


def reported_from_proto(request: control_pb2.ReportVersionsRequest) -> tuple[Mapping[str, Held], Occupancy]:
    """Return the wanted versions that a batcher holds, by digest, and what else it says.

    Raises InvalidArgument naming the field.
    """
    reported = [*request.versions, *request.unwanted]
    if len(reported) > MAX_REPORTED_VERSIONS:
        raise convert.invalid("versions", f"{len(reported)} versions; at most {MAX_REPORTED_VERSIONS} are allowed")
    occupancy = Occupancy(
        load=_load_of(request),
        loads={one.digest: load for one in reported if (load := _load_of(one)) is not None},
        unwanted=_held("unwanted", request.unwanted, _UNWANTED_PHASES),
        draining=request.draining,
        gpu=_gpu_of(request),
        # What a later release adds has no name here.
        formats=tuple(sorted(set(request.formats) & set(registry_pb2.Format.values()))),
        computes={
            one.digest: (one.compute.way, _clean(one.compute.reason))
            for one in reported
            if one.compute.way in compute_pb2.ComputeWay.values() and one.compute.way
        },
    )
    return _held("versions", request.versions, _WANTED_PHASES), occupancy


def batcher_to_proto(report: Report, names: Names, reported_at: datetime) -> route_pb2.Batcher:
    """Return a batcher. names: of the versions that are shown; others are left out."""
    occupancy = report.occupancy
    held = [(digest, one, True) for digest, one in report.versions.items()]
    held += [(digest, one, False) for digest, one in occupancy.unwanted.items() if digest not in report.versions]
    shown = sorted((item for item in held if item[0] in names), key=lambda item: (*names[item[0]], item[0]))
    return route_pb2.Batcher(
        process=report.process,
        pool=report.pool,
        address=report.address,
        draining=occupancy.draining,
        load=_load_to_proto(occupancy.load),
        gpu=route_pb2.GpuLoad(utilisation=gpu[0], memory=gpu[1]) if (gpu := occupancy.gpu) is not None else None,
        formats=[registry_pb2.Format.Name(one) for one in occupancy.formats],
        report_time=answers.timestamp(reported_at),
        versions=[_version_to_proto(digest, one, names[digest], wanted, occupancy) for digest, one, wanted in shown],
    )


def _version_to_proto(
    digest: str, held: Held, name: tuple[str, str], wanted: bool, occupancy: Occupancy
) -> route_pb2.BatcherVersion:
    model, version = name
    way, why = occupancy.computes.get(digest, (0, ""))
    return route_pb2.BatcherVersion(
        model=model,
        version=version,
        digest=digest,
        state=route_pb2.BatcherVersion.State.Name(held.phase),
        reason=held.reason,
        wanted=wanted,
        load=_load_to_proto(occupancy.loads.get(digest)),
        compute=compute_pb2.Compute(way=compute_pb2.ComputeWay.Name(way), reason=why) if way else None,
        load_duration=None if held.load_s is None else _duration(held.load_s),
        serving_revision=held.serving_revision,
    )


def _held(field: str, reports: Sequence[control_pb2.VersionReport], allowed: frozenset[Phase]) -> dict[str, Held]:
    held = {}
    for position, report in enumerate(reports):
        if report.state not in allowed:
            raise convert.invalid(f"{field}[{position}].state", f"{report.state} is not a state of these")
        digest = convert.text(report.digest, f"{field}[{position}].digest", convert.MAX_ID_CHARS)
        reason = _clean(report.reason)
        load_s = _seconds(report.load_duration) if report.HasField("load_duration") else None
        held[digest] = Held(Phase(report.state), reason, load_s, max(0, report.serving_revision))
    return held


def _clean(reason: str) -> str:
    """Return what a backend says of a model, which may hold anything: the database keeps no NUL."""
    return reason[: convert.MAX_REASON_CHARS].replace("\0", "")


def _load_of(message: Any) -> Load | None:
    """Return the load in a report, None when there is none."""
    if not message.HasField("load"):
        return None
    load = message.load
    return Load(
        rows=max(0, load.rows),
        wait_s=_seconds(load.predicted_wait),
        queued=max(0, load.queued_rows),
        answered=max(0, load.answered_requests),
        shed=max(0, load.shed_requests),
        compute_s=_seconds(load.compute, _LONGEST_COMPUTE_S),
        variation=min(max(0.0, load.variation), _MOST_VARIATION),
    )


def _gpu_of(request: control_pb2.ReportVersionsRequest) -> tuple[float, float] | None:
    """Return the shares in a report, None when there are none, or they are none: NaN and all."""
    if not request.HasField("gpu"):
        return None
    shares = request.gpu.utilisation, request.gpu.memory
    return shares if all(0.0 <= share <= 1.0 for share in shares) else None


def _load_to_proto(load: Load | None) -> route_pb2.BatcherLoad | None:
    if load is None:
        return None
    return route_pb2.BatcherLoad(
        rows=load.rows,
        predicted_wait=_duration(load.wait_s),
        queued_rows=load.queued,
        answered_requests=load.answered,
        shed_requests=load.shed,
        compute=_duration(load.compute_s) if load.compute_s else None,
        variation=load.variation,
    )


def _seconds(duration: Duration, longest_s: float = _LONGEST_S) -> float:
    return min(max(0.0, duration.seconds + duration.nanos / 1e9), longest_s)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds))
    return duration

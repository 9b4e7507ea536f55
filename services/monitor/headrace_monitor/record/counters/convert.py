"""Convert ReportCounters requests to reports, with every wrong field named, and traffic to GetTraffic's answer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from headrace.monitor.v1 import monitor_pb2
from headrace.router.v1 import predict_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.errors import Code, FieldViolation, refuse
from headrace_servicekit.resource_names import shown
from headrace_servicekit.times import MINUTE, Span, later
from headrace_statistics.sketches import distinct
from headrace_statistics.sketches.distinct import Distinct
from headrace_statistics.sketches.durations import BUCKETS, NONE, Durations, durations

from headrace_monitor.record.counters.decisions.changes import MAX_DROP_REASONS, MAX_SERIES, Report
from headrace_monitor.record.counters.decisions.cursors import UNIT_KINDS
from headrace_monitor.record.counters.decisions.differences import SeriesKey, VariantKey
from headrace_monitor.record.counters.decisions.tallies import Tally
from headrace_monitor.record.counters.decisions.time_series import Blame, Part
from headrace_monitor.record.counters.decisions.traffic import Traffic
from headrace_monitor.record.counters.reader import Parts, TimeSeries, TrafficSummary

MAX_NAME_CHARS = 128
MAX_DATA_PLANE_CHARS = 253
# A million answers a second for a century; sums over a thousand processes still fit 64 bits.
MAX_COUNT = 2**53

# As many variants as have series at most, and as many hashes as a sketch has.
MAX_ERRING_VARIANTS = 1024
MAX_PRIORITY = 3

_SUMS = ("rows", "queue_us", "compute_us", "duration_sum_s", "executions", "invalid", "degraded")
_LAYERS = ("", "memory", "valkey")
_SERVED_FROM = frozenset(predict_pb2.PredictResponse.ServedFrom.values())
_CODES = frozenset(Code)
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def report_of(request: telemetry_pb2.ReportCountersRequest) -> Report:
    """Return what a data plane reports. Raises InvalidArgument that names every field at fault."""
    found: list[FieldViolation] = []
    process = _process(request.process, found)
    if not request.data_plane or not _is_name(request.data_plane, MAX_DATA_PLANE_CHARS):
        description = f"{shown(request.data_plane)} is not 1 to {MAX_DATA_PLANE_CHARS} printable characters"
        found.append(FieldViolation("data_plane", description))
    if request.sequence < 1:
        found.append(FieldViolation("sequence", f"{request.sequence} is below 1: reports are numbered from 1"))
    made = _report_time(request, found)
    series, digests = _series(request, found)
    dropped = _dropped(request, found)
    units = {kind: _units(request, kind, found) for kind in UNIT_KINDS}
    refuse(found)
    assert process is not None
    return Report(
        *(request.data_plane, process, request.sequence, made, series, digests, dropped, units),
        final=request.final,
    )


def _process(text: str, found: list[FieldViolation]) -> UUID | None:
    try:
        process = UUID(text)
    except ValueError:
        process = None
    if process is None or str(process) != text:
        found.append(FieldViolation("process", f"{shown(text)} is not a UUID in lower-case hexadecimal with hyphens"))
    return process


def _report_time(request: telemetry_pb2.ReportCountersRequest, found: list[FieldViolation]) -> datetime | None:
    if not request.HasField("report_time"):
        return None
    try:
        return request.report_time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        found.append(FieldViolation("report_time", "is no time between the years 1 and 9999"))
        return None


def _series(
    request: telemetry_pb2.ReportCountersRequest, found: list[FieldViolation]
) -> tuple[dict[SeriesKey, Tally], dict[SeriesKey, bytes]]:
    if len(request.series) > MAX_SERIES:
        description = f"{len(request.series)} series; at most {MAX_SERIES}: send the others in the next report"
        found.append(FieldViolation("series", description))
        return {}, {}
    known: dict[SeriesKey, Tally] = {}
    digests: dict[SeriesKey, bytes] = {}
    for index, one in enumerate(request.series):
        names = (one.model, one.version, one.variant)
        key = SeriesKey(*names, one.served_from, one.code, one.layer, one.fallback_step, one.priority)
        before = len(found)
        for field, wrong in (*_wrong_key(key), *_wrong_sums(one)):
            found.append(FieldViolation(f"series[{index}].{field}", wrong))
        if key in known:
            found.append(FieldViolation(f"series[{index}]", "has the key of an earlier one: send each series once"))
        counts = _durations(one, f"series[{index}]", found)
        if len(found) == before:
            sums = (one.duration_sum_s, one.rows, one.executions, one.queue_us, one.compute_us)
            known[key] = Tally(counts, *sums, one.invalid, one.degraded)
            digests[key] = key.digest(one.generation)
    return known, digests


def _wrong_key(key: SeriesKey) -> Iterator[tuple[str, str]]:
    for field in ("model", "version", "variant", "fallback_step"):
        text = getattr(key, field)
        if text and not _is_name(text, MAX_NAME_CHARS):
            yield field, f"{shown(text)} is not printable, or longer than {MAX_NAME_CHARS} characters"
    if key.layer not in _LAYERS:
        yield "layer", f"{shown(key.layer)} is not one of memory, valkey, or empty"
    if key.code not in _CODES:
        yield "code", f"{key.code} is not a gRPC status code, 0 to 16"
    if key.served_from not in _SERVED_FROM:
        yield "served_from", f"{key.served_from} is not a value of ServedFrom"
    if not 0 <= key.priority <= MAX_PRIORITY:
        yield "priority", f"{key.priority} is not a priority class, 0 to {MAX_PRIORITY}"


def _wrong_sums(one: telemetry_pb2.CounterSeries) -> Iterator[tuple[str, str]]:
    for field in (*_SUMS, "generation"):
        value = getattr(one, field)
        if not (math.isfinite(value) and 0 <= value <= MAX_COUNT):
            yield field, f"{value:g} is not between 0 and 2^53"


def _durations(one: telemetry_pb2.CounterSeries, place: str, found: list[FieldViolation]) -> Durations:
    size = len(one.duration_counts)
    if not (one.first_bucket >= 0 and one.first_bucket + size <= BUCKETS):
        description = f"buckets {one.first_bucket} to {one.first_bucket + size - 1} are not within 0 to {BUCKETS - 1}"
        found.append(FieldViolation(f"{place}.first_bucket", description))
        return NONE
    counts = np.fromiter(one.duration_counts, np.int64, size)
    if size and (counts.min() < 0 or counts.max() > MAX_COUNT or counts.sum(dtype=np.float64) > MAX_COUNT):
        description = "has a count below 0, or counts that sum up to more than 2^53"
        found.append(FieldViolation(f"{place}.duration_counts", description))
        return NONE
    return durations(one.first_bucket, counts)


def _dropped(request: telemetry_pb2.ReportCountersRequest, found: list[FieldViolation]) -> dict[str, int]:
    if len(request.dropped) > MAX_DROP_REASONS:
        description = f"{len(request.dropped)} reasons; at most {MAX_DROP_REASONS}"
        found.append(FieldViolation("dropped", description))
        return {}
    known: dict[str, int] = {}
    for index, one in enumerate(request.dropped):
        place = f"dropped[{index}]"
        if _REASON.fullmatch(one.reason) is None:
            wrong = f"{shown(one.reason)} is not 1 to 64 capital letters, digits and underscores"
            found.append(FieldViolation(f"{place}.reason", wrong))
        elif one.reason in known:
            found.append(FieldViolation(f"{place}.reason", f"'{one.reason}' appears twice"))
        if not 0 <= one.count <= MAX_COUNT:
            found.append(FieldViolation(f"{place}.count", f"{one.count} is not between 0 and 2^53"))
        known[one.reason] = one.count
    return known


def _units(
    request: telemetry_pb2.ReportCountersRequest, field: str, found: list[FieldViolation]
) -> dict[VariantKey, Distinct]:
    variants = getattr(request, field)
    if len(variants) > MAX_ERRING_VARIANTS:
        found.append(FieldViolation(field, f"{len(variants)} variants; at most {MAX_ERRING_VARIANTS}"))
        return {}
    known: dict[VariantKey, Distinct] = {}
    for index, one in enumerate(variants):
        place = f"{field}[{index}]"
        key = VariantKey(one.model, one.version, one.variant)
        for name, text in key._asdict().items():
            if not _is_name(text, MAX_NAME_CHARS):
                wrong = f"{shown(text)} is not printable, or longer than {MAX_NAME_CHARS} characters"
                found.append(FieldViolation(f"{place}.{name}", wrong))
        if len(one.hashes) > distinct.SIZE:
            found.append(FieldViolation(f"{place}.hashes", f"{len(one.hashes)} hashes; at most {distinct.SIZE}"))
            continue
        known[key] = known.get(key, distinct.NOTHING).merge(distinct.of(one.hashes))
    return known


def _is_name(text: str, most: int) -> bool:
    return len(text) <= most and text.isprintable()


def traffic_to_proto(summary: TrafficSummary, parts: Parts) -> monitor_pb2.GetTrafficResponse:
    """Return the answer of GetTraffic. parts: by time."""
    return monitor_pb2.GetTrafficResponse(
        traffic=map(_traffic, summary.traffic),
        dropped_predictions=summary.dropped_predictions,
        lost_batches=summary.lost_batches,
        parts=[
            monitor_pb2.GetTrafficResponse.Part(range=_range(span), traffic=map(_traffic, found))
            for span, found in parts
        ],
    )


def traffic_of_models_to_proto(
    models: Sequence[str], found: Mapping[str, Sequence[Traffic]]
) -> monitor_pb2.ListTrafficResponse:
    """Return the answer of ListTraffic. models: in their order."""
    return monitor_pb2.ListTrafficResponse(
        models=[
            monitor_pb2.ListTrafficResponse.ModelTraffic(model=f"models/{model}", traffic=map(_traffic, found[model]))
            for model in models
            if found.get(model)
        ]
    )


def time_series_to_proto(series: TimeSeries) -> monitor_pb2.GetTrafficTimeSeriesResponse:
    """Return the answer of GetTrafficTimeSeries."""
    made = monitor_pb2.GetTrafficTimeSeriesResponse(parts=map(_part, series.parts))
    for data_plane, start_time in series.starts:
        made.data_plane_starts.add(data_plane=data_plane).start_time.FromDatetime(start_time)
    return made


def _part(one: Part) -> monitor_pb2.GetTrafficTimeSeriesResponse.Part:
    made = monitor_pb2.GetTrafficTimeSeriesResponse.Part(
        range=_range(one.span),
        requests=one.requests,
        caller_errors=one.errors.get(Blame.CALLER, 0),
        model_errors=one.errors.get(Blame.MODEL, 0),
        platform_errors=one.errors.get(Blame.PLATFORM, 0),
        p50_us=one.p50_us,
        p99_us=one.p99_us,
    )
    for served_from, count in sorted(one.sources.items()):
        made.sources.add(served_from=predict_pb2.PredictResponse.ServedFrom.Name(served_from), count=count)
    for (model, version), count in sorted(one.versions.items()):
        made.versions.add(name=f"models/{model}" + (f"/versions/{version}" if version else ""), count=count)
    return made


def _traffic(one: Traffic) -> monitor_pb2.GetTrafficResponse.Traffic:
    return monitor_pb2.GetTrafficResponse.Traffic(
        version=one.group.version,
        variant=one.group.variant,
        served_from=predict_pb2.PredictResponse.ServedFrom.Name(one.group.served_from),
        code=one.group.code,
        count=one.count,
        p50_us=one.p50_us,
        p95_us=one.p95_us,
        p99_us=one.p99_us,
        mean_us=one.mean_us,
    )


def whole_minutes(span: Span) -> Span:
    """Return the minutes that a time touches."""
    start, end = (time.replace(second=0, microsecond=0) for time in span)
    return Span(start, end if end == span.end else later(end, MINUTE))


def _range(span: Span) -> monitor_pb2.TimeRange:
    made = monitor_pb2.TimeRange()
    made.start_time.FromDatetime(span.start)
    made.end_time.FromDatetime(span.end)
    return made

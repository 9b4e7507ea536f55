"""The RPCs of TrafficService: convert, call, convert."""

from __future__ import annotations

from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.identity import identity
from headrace_servicekit.resource_names import invalid
from headrace_servicekit.times import span_of, time_of

from headrace_monitor import names
from headrace_monitor.record.counters.convert import (
    time_series_to_proto,
    traffic_of_models_to_proto,
    traffic_to_proto,
    whole_minutes,
)
from headrace_monitor.record.counters.reader import TrafficReader
from headrace_monitor.record.query.process import QueryEnd
from headrace_monitor.record.query.queries import LogQuery, Queries, QueryInput

DEFAULT_ROWS, MAX_ROWS = 10_000, 1_000_000
MAX_SQL_CHARS = 100_000


class TrafficServicer(monitor_pb2_grpc.TrafficServiceServicer):
    """TrafficService over counters and the prediction log."""

    def __init__(self, counters: TrafficReader, queries: Queries, clock: Clock) -> None:
        self._counters, self._queries, self._clock = counters, queries, clock

    async def GetTraffic(self, request, context):
        model, span = names.model_id(request.parent, "parent"), span_of(request.range, "range", self._clock.now())
        whole, now = whole_minutes(span), self._clock.now()
        parts = await self._counters.over_time(model, whole, now) if request.over_time else ()
        return traffic_to_proto(await self._counters.traffic(model, whole), parts)

    async def ListTraffic(self, request, context):
        named, span = names.model_ids(request.models, "models"), span_of(request.range, "range", self._clock.now())
        seen = [model for model in named if identity().sees(model)]
        found = await self._counters.of_models(seen, whole_minutes(span))
        return traffic_of_models_to_proto(seen, found)

    async def GetTrafficTimeSeries(self, request, context):
        model, version = names.model_or_version(request.parent, "parent") if request.parent else ("", "")
        span, now = span_of(request.range, "range", self._clock.now()), self._clock.now()
        found = await self._counters.time_series(model, version, identity().sees, whole_minutes(span), now)
        return time_series_to_proto(found)

    async def QueryPredictions(self, request, context):
        # It writes by itself: a client that does not read must not keep a query running beyond its time.
        await self._queries.answer(log_query(request), identity(), lambda part: context.write(response(part)))


def log_query(request: monitor_pb2.QueryPredictionsRequest) -> LogQuery:
    """Return the question that a request asks. Raises InvalidArgument that names the field."""
    if not request.sql.strip():
        raise invalid("sql", "is empty; one SELECT is expected, such as SELECT count(*) FROM predictions")
    if len(request.sql) > MAX_SQL_CHARS:
        raise invalid("sql", f"has {len(request.sql):,} characters; at most {MAX_SQL_CHARS:,} are read")
    if not 0 <= request.max_rows <= MAX_ROWS:
        raise invalid("max_rows", f"is {request.max_rows}; 1 to {MAX_ROWS:,} can be had, and 0 means {DEFAULT_ROWS:,}")
    bounds = request.range
    start = time_of(bounds.start_time, "range.start_time") if bounds.HasField("start_time") else None
    end = time_of(bounds.end_time, "range.end_time") if bounds.HasField("end_time") else None
    if start is not None and end is not None and start >= end:
        raise invalid("range", f"begins at {start.isoformat()}, which is not before its end, {end.isoformat()}")
    return LogQuery(request.sql, request.max_rows or DEFAULT_ROWS, start, end)


def response(part: QueryInput | bytes | QueryEnd) -> monitor_pb2.QueryPredictionsResponse:
    """Return one message of the answer."""
    made = monitor_pb2.QueryPredictionsResponse()
    if isinstance(part, bytes):
        made.arrow = part
    elif isinstance(part, QueryEnd):
        made.truncated = part.truncated
    else:
        made.read.files = len(part.files)
        made.read.bytes = sum(file.size_bytes for file in part.files)
        made.read.rows = sum(file.rows for file in part.files)
        if part.files:
            made.read.first_answer_time.FromDatetime(min(file.min_answer_time for file in part.files))
            made.read.last_answer_time.FromDatetime(max(file.max_answer_time for file in part.files))
    return made

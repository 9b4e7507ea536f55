"""Between the messages of QueryPredictions and its values."""

from __future__ import annotations

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.resource_names import invalid
from headrace_servicekit.times import time_of

from headrace_monitor.record.query.process import QueryEnd
from headrace_monitor.record.query.queries import LogQuery, QueryInput

DEFAULT_ROWS, MAX_ROWS = 10_000, 1_000_000
MAX_SQL_CHARS = 100_000


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

"""The monitor: traffic, references, drift, performance, the prediction log, the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.monitor.v1 import monitor_pb2
from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import PreconditionFailed
from headrace_client.operations.console_pages import console_page
from headrace_client.operations.list_pages import list_all
from headrace_client.operations.usage import set_range

DEFAULT_TIMEOUT_S = 30.0
# Longer than a monitor lets a query run by default.
QUERY_TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The rows of a query, as an Arrow IPC stream.

    read: what the query could see of the log. truncated: whether there were more rows than asked for.
    """

    arrow: bytes
    read: monitor_pb2.QueryPredictionsResponse.Read
    truncated: bool

    def table(self) -> Any:
        """Return the rows as a pyarrow.Table.

        Raises PreconditionFailed where pyarrow is not installed, pyarrow.ArrowInvalid for what is no sound table.
        """
        try:
            import pyarrow.ipc  # only reading the rows needs it
        except ImportError as error:
            raise PreconditionFailed(
                "reading the rows of a query needs pyarrow: pip install 'headrace-client[parquet]'",
                reason="PYARROW_MISSING",
            ) from error
        table = pyarrow.ipc.open_stream(self.arrow).read_all()
        table.validate(full=True)  # an offset beyond its buffer would read whatever else this process holds
        return table


def query(
    session: Session,
    sql: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    max_rows: int = 0,
    timeout: float = QUERY_TIMEOUT_S,
) -> Operation[QueryAnswer]:
    """Return the answer of one SELECT (DuckDB's) over `predictions`, `outcomes`, `labelled`, `pipeline_steps`.

    start, end: only predictions that were answered in this time; None bounds nothing. max_rows: 0 means 10,000.
    """
    request = monitor_pb2.QueryPredictionsRequest(sql=sql, max_rows=max_rows, range=span(start, end))
    parts: list[monitor_pb2.QueryPredictionsResponse] = []

    def listen() -> Callable[[Any], None]:
        parts.clear()
        return parts.append

    yield from invoke(session, monitor_pb2.QueryPredictionsResponse, request, timeout_s=timeout, listen=listen)
    read = parts[0].read if parts else monitor_pb2.QueryPredictionsResponse.Read()
    return QueryAnswer(b"".join(part.arrow for part in parts), read, any(part.truncated for part in parts))


def traffic(
    session: Session,
    model: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    over_time: bool = False,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[monitor_pb2.GetTrafficResponse]:
    """Return what was answered in a time, and how fast; without a begin, in the hour before its end.

    over_time: whether to return the parts of the time too.
    """
    request = monitor_pb2.GetTrafficRequest(parent=f"models/{model}", range=span(start, end), over_time=over_time)
    return (yield from invoke(session, monitor_pb2.GetTrafficResponse, request, timeout_s=timeout))


def list_traffic(
    session: Session,
    models: Sequence[str],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[dict[str, Sequence[monitor_pb2.GetTrafficResponse.Traffic]]]:
    """Return what was answered of each of up to 100 models in a time, by model; as `traffic` does of one.

    Models without traffic, and those that the caller may not see, are left out.
    """
    named = [f"models/{model}" for model in models]
    request = monitor_pb2.ListTrafficRequest(models=named, range=span(start, end))
    found = (yield from invoke(session, monitor_pb2.ListTrafficResponse, request, timeout_s=timeout)).models
    return {one.model.removeprefix("models/"): one.traffic for one in found}


def traffic_time_series(
    session: Session,
    model: str = "",
    version: str = "",
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[monitor_pb2.GetTrafficTimeSeriesResponse]:
    """Return requests, errors by blame, durations, sources and versions over time; without a model, of all together."""
    parent = (f"models/{model}" if model else "") + (f"/versions/{version}" if version else "")
    request = monitor_pb2.GetTrafficTimeSeriesRequest(parent=parent, range=span(start, end))
    return (yield from invoke(session, monitor_pb2.GetTrafficTimeSeriesResponse, request, timeout_s=timeout))


def freeze_reference(
    session: Session,
    model: str,
    version: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    seasonal: bool = False,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[monitor_pb2.Reference]:
    """Freeze what a version's windows are held against: the predictions of a time, or its artifact without one."""
    request = monitor_pb2.FreezeReferenceRequest(name=f"models/{model}/versions/{version}", seasonal=seasonal)
    if start is not None or end is not None:
        request.range.CopyFrom(span(start, end))
    return (yield from invoke(session, monitor_pb2.FreezeReferenceResponse, request, timeout_s=timeout)).reference


def get_reference(
    session: Session, model: str, version: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[monitor_pb2.Reference]:
    """Return what a version's windows are held against."""
    request = monitor_pb2.GetReferenceRequest(name=f"models/{model}/versions/{version}")
    return (yield from invoke(session, monitor_pb2.GetReferenceResponse, request, timeout_s=timeout)).reference


def drift(
    session: Session,
    model: str,
    version: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    level: float = 0.0,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[monitor_pb2.Drift]:
    """Evaluate drift of a time range now. level: probability of a false alarm in it; 0 means 0.05."""
    request = monitor_pb2.GetDriftRequest(
        name=f"models/{model}/versions/{version}", range=span(start, end), level=level
    )
    return (yield from invoke(session, monitor_pb2.GetDriftResponse, request, timeout_s=timeout)).drift


def list_drifts(
    session: Session, model: str, version: str, *, limit: int | None = 24, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[monitor_pb2.Drift]]:
    """Return the last scheduled drift evaluations, the latest first."""
    request = monitor_pb2.ListDriftRequest(parent=f"models/{model}/versions/{version}")
    return (
        yield from list_all(session, monitor_pb2.ListDriftResponse, request, "drifts", timeout_s=timeout, limit=limit)
    )


def distributions(
    session: Session,
    model: str,
    version: str,
    *,
    columns: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[list[monitor_pb2.Distribution]]:
    """Return how columns are distributed in the reference and in a time, a day before its end without a begin.

    columns: at most 20; the first 20 without any.
    """
    request = monitor_pb2.GetDistributionsRequest(name=f"models/{model}/versions/{version}", columns=columns)
    if start is not None or end is not None:
        request.range.CopyFrom(span(start, end))
    answer = yield from invoke(session, monitor_pb2.GetDistributionsResponse, request, timeout_s=timeout)
    return list(answer.distributions)


def set_drift_tolerance(
    session: Session,
    model: str,
    test: str,
    tolerance: float | None,
    *,
    column: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[None]:
    """Set what change is tolerated, of one column or of all that have none of their own; None for the default."""
    request = monitor_pb2.SetDriftToleranceRequest(
        parent=f"models/{model}", column=column, test=test, tolerance=tolerance
    )
    yield from invoke(session, monitor_pb2.SetDriftToleranceResponse, request, timeout_s=timeout)


def drift_tolerances(
    session: Session, model: str, version: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[monitor_pb2.ListDriftTolerancesResponse]:
    """Return what is tolerated of each column, and what can be found beyond it at the version's traffic."""
    request = monitor_pb2.ListDriftTolerancesRequest(parent=f"models/{model}/versions/{version}")
    return (yield from invoke(session, monitor_pb2.ListDriftTolerancesResponse, request, timeout_s=timeout))


def performance(
    session: Session,
    model: str,
    *,
    version: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    slice_by: str = "",
    threshold: float | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[list[monitor_pb2.Performance]]:
    """Return how good the predictions of a time were, as far as their outcomes are known."""
    request = monitor_pb2.GetPerformanceRequest(
        parent=f"models/{model}", range=span(start, end), version=version, slice_by=slice_by, threshold=threshold
    )
    return list(
        (yield from invoke(session, monitor_pb2.GetPerformanceResponse, request, timeout_s=timeout)).performance
    )


def render_report(
    session: Session,
    model: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    timeout: float = 60.0,
) -> Operation[str]:
    """Return the console's report about a model as one HTML page; without a begin, about the day before its end."""
    return (yield from console_page(session, "models", model, "report", start=start, end=end, timeout=timeout))


def shadow_report(
    session: Session,
    model: str,
    shadow_version: str = "",
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    timeout: float = 60.0,
) -> Operation[monitor_pb2.GetShadowReportResponse]:
    """Return how answers differ from those of shadows; without a begin, of the day before its end.

    shadow_version: empty for every shadow.
    """
    request = monitor_pb2.GetShadowReportRequest(
        parent=f"models/{model}", shadow_version=shadow_version, range=span(start, end)
    )
    return (yield from invoke(session, monitor_pb2.GetShadowReportResponse, request, timeout_s=timeout))


def render_shadow_report(
    session: Session,
    model: str,
    shadow_version: str = "",
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    timeout: float = 60.0,
) -> Operation[str]:
    """Return the console's page of what shadow_report returns."""
    place = ("models", model, "shadow")
    return (yield from console_page(session, *place, version=shadow_version, start=start, end=end, timeout=timeout))


def span(start: datetime | None, end: datetime | None) -> monitor_pb2.TimeRange:
    """Return a time as the monitor takes it. Raises InvalidArgument for times without a zone."""
    made = monitor_pb2.TimeRange()
    set_range(made, start, end)
    return made

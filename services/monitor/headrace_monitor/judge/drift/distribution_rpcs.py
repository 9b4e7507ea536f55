"""The RPC GetDistributions of MonitorService."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.resource_names import invalid, shown

from headrace_monitor import names
from headrace_monitor.judge.drift.decisions.histograms import Histogram, histogram
from headrace_monitor.judge.drift.rpcs import DriftRpcs
from headrace_monitor.judge.references.store import References
from headrace_monitor.judge.windows.store import WindowStore
from headrace_monitor.times import DAY, span_of

MAX_COLUMNS = 20
MAX_COLUMN_CHARS = 256


class DistributionRpcs:
    """Implements GetDistributions."""

    def __init__(self, drift: DriftRpcs, references: References, windows: WindowStore, clock: Clock) -> None:
        self._drift, self._references, self._windows, self._clock = drift, references, windows, clock

    async def get(self, request: monitor_pb2.GetDistributionsRequest) -> monitor_pb2.GetDistributionsResponse:
        """Return how columns are distributed. Raises InvalidArgument, and NotFound as GetReference does."""
        model, version = names.version_ref(request.name, "name")
        span = span_of(request.range, "range", self._clock.now(), unset=DAY)
        if len(request.columns) > MAX_COLUMNS:
            raise invalid("columns", f"{len(request.columns)} columns; at most {MAX_COLUMNS} are reported at once")
        if any(len(column) > MAX_COLUMN_CHARS for column in request.columns):
            raise invalid("columns", f"has a name of more than {MAX_COLUMN_CHARS} characters")
        asked = monitor_pb2.GetReferenceRequest(name=request.name)
        known = (await self._drift.get_reference(asked)).reference
        there = [column.name for column in known.columns]
        unknown = {*request.columns} - {*there} - {column.name for column in known.unfit}
        for index, column in enumerate(request.columns):
            if column in unknown:
                raise invalid(f"columns[{index}]", f"is {shown(column)}, and the reference has {_listed(there)}")
        wanted = list(request.columns) or there[:MAX_COLUMNS]
        found = await self.histograms(model, version, span.start, span.end, wanted)
        return monitor_pb2.GetDistributionsResponse(distributions=map(_message, found))

    async def histograms(
        self, model: str, version: str, start: datetime, end: datetime, columns: Sequence[str]
    ) -> tuple[Histogram, ...]:
        """Return the bins of those of the columns that have any; nothing without a reference. Raises Unavailable."""
        reference = await self._references.current(model, version)
        if reference is None:
            return ()
        window = await self._windows.total(reference.number, start, end)
        histograms = [
            histogram(name, reference.reference.columns[name], window.summaries[name])
            for name in columns
            if name in reference.reference.columns and name in window.summaries
        ]
        return tuple(each for each in histograms if each is not None)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_COLUMNS} more" if len(names) > MAX_COLUMNS else ""
    return f"{', '.join(names[:MAX_COLUMNS])}{more}"


def _message(histogram: Histogram) -> monitor_pb2.Distribution:
    rows = zip(histogram.labels, histogram.reference, histogram.window, strict=True)
    bins = [
        monitor_pb2.Distribution.Bin(label=label, reference_share=before, window_share=now)
        for label, before, now in rows
    ]
    return monitor_pb2.Distribution(column=histogram.column, bins=bins)

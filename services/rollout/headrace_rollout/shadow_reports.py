"""Comparisons of a shadow's answers, read from the monitor."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc

from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.decisions.shadow_record import Labels, Pairs
from headrace_rollout.peers import answered

READ_S = 3.0
# Reports are of whole hours by the monitor's clock, which may be behind.
BEFORE = timedelta(hours=2)


class ShadowReports:
    """Asks the monitor."""

    def __init__(self, channel: Any) -> None:
        self._stub = monitor_pb2_grpc.MonitorServiceStub(channel)

    async def pairs(self, rollout: Rollout, since: datetime) -> Pairs:
        """Return the pairs of both versions since a time, and of hours before. Raises what the monitor answers."""
        request = monitor_pb2.GetShadowReportRequest(parent=f"models/{rollout.model}", shadow_version=rollout.version)
        request.range.start_time.FromDatetime(since - BEFORE)
        report = await answered(self._stub.GetShadowReport(request, timeout=READ_S))
        return next((_pairs(one) for one in report.comparisons if one.version == rollout.baseline), Pairs())


def _pairs(one: monitor_pb2.ShadowComparison) -> Pairs:
    return Pairs(
        compared=one.pairs - one.unlike,
        unlike=one.unlike,
        errors=dict(one.errors),
        nan_rows=one.nan_rows,
        labels=Labels(one.labelled_rows, one.flips, one.flips_squared),
        slices={slice_.name: Labels(slice_.rows, slice_.flips, slice_.flips_squared) for slice_ in one.slices},
    )

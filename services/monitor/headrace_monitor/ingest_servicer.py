"""The RPCs of IngestService: convert, call, convert."""

from __future__ import annotations

from headrace.monitor.v1 import ingest_pb2, ingest_pb2_grpc

from headrace_monitor.counters.intake import Intake
from headrace_monitor.log.ingestion import Ingestion


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """IngestService over what takes counters and what takes predictions. A method that is not here is UNIMPLEMENTED."""

    def __init__(self, *, counters: Intake, predictions: Ingestion) -> None:
        self._counters, self._predictions = counters, predictions

    async def ReportCounters(self, request, context):
        await self._counters.take(request)
        return ingest_pb2.ReportCountersResponse()

    async def ReportPredictions(self, request, context):
        await self._predictions.take(request)
        return ingest_pb2.ReportPredictionsResponse()

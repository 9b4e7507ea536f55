"""The RPCs of TelemetrySinkService, by which data planes and batchers report: convert, call, convert."""

from __future__ import annotations

from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc

from headrace_monitor.judge.shadow.taking import PairIntake
from headrace_monitor.record.counters.intake import Intake
from headrace_monitor.record.log.ingestion import Ingestion
from headrace_monitor.usage import convert as usage_convert
from headrace_monitor.usage.enforcing import ClientLimits
from headrace_monitor.usage.store import UsageStore


class TelemetrySinkServicer(telemetry_pb2_grpc.TelemetrySinkServiceServicer):
    """TelemetrySinkService over what takes counters, predictions, pairs of answers and usage.

    limits: in the answers to data planes. A method that is not here is UNIMPLEMENTED.
    """

    def __init__(
        self,
        *,
        counters: Intake,
        predictions: Ingestion,
        pairs: PairIntake,
        usage: UsageStore,
        limits: ClientLimits,
    ) -> None:
        self._counters, self._predictions, self._pairs = counters, predictions, pairs
        self._usage, self._limits = usage, limits

    async def ReportCounters(self, request, context):
        await self._counters.take(request)
        return self._limits.told(request.rate_limits_revision)

    async def ReportUsage(self, request, context):
        await self._usage.add(usage_convert.report(request))
        return telemetry_pb2.ReportUsageResponse()

    async def ReportPredictions(self, request, context):
        await self._predictions.take(request)
        return telemetry_pb2.ReportPredictionsResponse()

    async def ReportShadowPairs(self, request, context):
        await self._pairs.take(request)
        return telemetry_pb2.ReportShadowPairsResponse()

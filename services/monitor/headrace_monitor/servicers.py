"""The RPCs of MonitorService and TelemetrySinkService: convert, call, convert."""

from __future__ import annotations

from headrace.monitor.v1 import monitor_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.identity import identity

from headrace_monitor import names
from headrace_monitor.judge.drift.wiring import Drift
from headrace_monitor.judge.performance.rpcs import PerformanceRpcs
from headrace_monitor.judge.shadow.rpcs import ShadowRpcs
from headrace_monitor.judge.shadow.taking import PairIntake
from headrace_monitor.record.counters.convert import traffic_of_models_to_proto, traffic_to_proto
from headrace_monitor.record.counters.intake import Intake
from headrace_monitor.record.counters.reading import TrafficReader
from headrace_monitor.record.log.ingestion import Ingestion
from headrace_monitor.record.query import convert as query_convert
from headrace_monitor.record.query.answering import Queries
from headrace_monitor.report.distribution_rpcs import DistributionRpcs
from headrace_monitor.report.rpcs import ReportRpcs
from headrace_monitor.times import span_of, whole_minutes
from headrace_monitor.usage import convert as usage_convert
from headrace_monitor.usage.enforcing import ClientLimits
from headrace_monitor.usage.store import UsageStore


class MonitorServicer(monitor_pb2_grpc.MonitorServiceServicer):
    """MonitorService over one object for each question. A method that is not here is UNIMPLEMENTED."""

    def __init__(
        self,
        *,
        clock: Clock,
        counters: TrafficReader,
        queries: Queries,
        drift: Drift,
        distributions: DistributionRpcs,
        reports: ReportRpcs,
        performances: PerformanceRpcs,
        shadows: ShadowRpcs,
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._queries = queries
        self._drift = drift
        self._distributions = distributions
        self._reports = reports
        self._performances = performances
        self._shadows = shadows

    async def GetTraffic(self, request, context):
        model, span = names.model_id(request.parent, "parent"), span_of(request.range, "range", self._clock.now())
        return traffic_to_proto(await self._counters.traffic(model, whole_minutes(span)))

    async def ListTraffic(self, request, context):
        named, span = names.model_ids(request.models, "models"), span_of(request.range, "range", self._clock.now())
        seen = [model for model in named if identity().sees(model)]
        found = await self._counters.of_models(seen, whole_minutes(span))
        return traffic_of_models_to_proto(seen, found)

    async def QueryPredictions(self, request, context):
        # It writes by itself: whoever does not read must not keep a query running beyond its time.
        await self._queries.answer(
            query_convert.log_query(request), identity(), lambda part: context.write(query_convert.response(part))
        )

    async def FreezeReference(self, request, context):
        return await self._drift.rpcs.freeze_reference(request)

    async def GetReference(self, request, context):
        return await self._drift.rpcs.get_reference(request)

    async def GetDrift(self, request, context):
        return await self._drift.rpcs.get_drift(request)

    async def ListDrift(self, request, context):
        return await self._drift.rpcs.list_drift(request)

    async def GetDistributions(self, request, context):
        return await self._distributions.get(request)

    async def SetDriftTolerance(self, request, context):
        return await self._drift.rpcs.set_tolerance(request)

    async def ListDriftTolerances(self, request, context):
        return await self._drift.rpcs.list_tolerances(request)

    async def RenderReport(self, request, context):
        return await self._reports.render(request, identity())

    async def GetPerformance(self, request, context):
        return await self._performances.get(request, context.time_remaining())

    async def GetShadowReport(self, request, context):
        return await self._shadows.report(request)


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

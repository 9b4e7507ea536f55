"""The RPCs of TrafficService: convert, call, convert."""

from __future__ import annotations

from headrace.monitor.v1 import monitor_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.identity import identity
from headrace_servicekit.times import span_of

from headrace_monitor import names
from headrace_monitor.record.counters.convert import traffic_of_models_to_proto, traffic_to_proto, whole_minutes
from headrace_monitor.record.counters.reader import TrafficReader
from headrace_monitor.record.query import convert as query_convert
from headrace_monitor.record.query.queries import Queries


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

    async def QueryPredictions(self, request, context):
        # It writes by itself: a client that does not read must not keep a query running beyond its time.
        await self._queries.answer(
            query_convert.log_query(request), identity(), lambda part: context.write(query_convert.response(part))
        )

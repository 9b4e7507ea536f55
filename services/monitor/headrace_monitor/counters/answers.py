"""What is known of traffic, as GetTraffic says it."""

from __future__ import annotations

from headrace.monitor.v1 import monitor_pb2
from headrace.router.v1 import predict_pb2

from headrace_monitor.counters.reading import Seen


def traffic_to_proto(seen: Seen) -> monitor_pb2.GetTrafficResponse:
    """Return the answer of GetTraffic."""
    traffic = [
        monitor_pb2.GetTrafficResponse.Traffic(
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
        for one in seen.traffic
    ]
    return monitor_pb2.GetTrafficResponse(
        traffic=traffic, dropped_predictions=seen.dropped_predictions, lost_batches=seen.lost_batches
    )

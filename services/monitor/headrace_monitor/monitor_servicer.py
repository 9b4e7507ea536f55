"""The RPCs of MonitorService: convert, call, convert."""

from __future__ import annotations

from headrace.monitor.v1 import monitor_pb2_grpc


class MonitorServicer(monitor_pb2_grpc.MonitorServiceServicer):
    """MonitorService over one object for each question. A method that is not here is UNIMPLEMENTED."""

"""The RPCs of IngestService: convert, call, convert."""

from __future__ import annotations

from headrace.monitor.v1 import ingest_pb2_grpc


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """IngestService over what takes counters and what takes predictions. A method that is not here is UNIMPLEMENTED."""

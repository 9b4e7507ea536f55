"""Outcomes put together for `service`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from headrace.monitor.v1 import outcome_pb2_grpc
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.runtime import Runtime

from headrace_monitor.outcomes.metrics import OutcomeMetrics
from headrace_monitor.outcomes.recording import Outcomes
from headrace_monitor.outcomes.servicer import OutcomeServicer
from headrace_monitor.outcomes.store import OutcomeStore


def serve(runtime: Runtime[Any], server: Any, connections: Connections, memory: timedelta) -> OutcomeStore:
    """Offer OutcomeService. memory: for how long predictions are kept."""
    store = OutcomeStore(connections)
    outcomes = Outcomes(store, memory, OutcomeMetrics(runtime.metrics), runtime.clock)
    outcome_pb2_grpc.add_OutcomeServiceServicer_to_server(OutcomeServicer(outcomes), server)
    return store

"""The rollout put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from headrace.rollout.v1 import rollout_pb2_grpc
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.runtime import Runtime

from headrace_rollout.servicer import RolloutServicer
from headrace_rollout.settings import RolloutSettings
from headrace_rollout.store import Store


async def start(runtime: Runtime[RolloutSettings]) -> None:
    """Build the service on PostgreSQL, which does not have to be up: calls are UNAVAILABLE until it is."""
    settings = runtime.settings
    connections = Connections(Address.of(settings), owner="rollout", size=settings.database_connections)
    store = Store(await runtime.enter(connections))
    runtime.migrated(store)
    runtime.check("postgres", store.check)
    rollout_pb2_grpc.add_RolloutServiceServicer_to_server(RolloutServicer(store), runtime.server())

"""The autoscaler put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from headrace.autoscaler.v1 import autoscaler_pb2_grpc
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.runtime import Runtime

from headrace_autoscaler.servicer import AutoscalerServicer
from headrace_autoscaler.settings import AutoscalerSettings
from headrace_autoscaler.store import Store


async def start(runtime: Runtime[AutoscalerSettings]) -> None:
    """Build the service on PostgreSQL, which does not have to be up: calls are UNAVAILABLE until it is."""
    settings = runtime.settings
    connections = Connections(Address.of(settings), owner="autoscaler", size=settings.database_connections)
    store = Store(await runtime.enter(connections))
    runtime.migrated(store)
    runtime.check("postgres", store.check)
    autoscaler_pb2_grpc.add_AutoscalerServiceServicer_to_server(AutoscalerServicer(store), runtime.server())

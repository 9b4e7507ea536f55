"""Usage, budgets and rate limits put together: what clients use, and what they are held to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from headrace.router.v1 import budget_pb2_grpc, client_limits_pb2, client_limits_pb2_grpc, usage_pb2_grpc
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_router.control.edge.health import FORMER_USAGE_SERVICE
from headrace_router.control.settings import ControlSettings
from headrace_router.control.state.client_limits import ClientLimitFeed
from headrace_router.control.storage.rate_limits import RateLimitStore
from headrace_router.control.usage import convert
from headrace_router.control.usage.decisions.budgets import overruns
from headrace_router.control.usage.registered_forms import RegisteredForms
from headrace_router.control.usage.servicer import BudgetServicer, RateLimitServicer, UsageServicer
from headrace_router.control.usage.store import UsageStore

EXPIRE_S = 3600.0
SERVICES = tuple(f"headrace.router.v1.{name}" for name in ("UsageService", "BudgetService", "RateLimitService"))


class ClientLimits:
    """Serves the three services. feed: what data planes watch. Run `start` once the database's schema is known."""

    def __init__(
        self, runtime: Runtime[ControlSettings], server: Server, connections: Connections, registry: Any
    ) -> None:
        self._runtime, rate_limits = runtime, RateLimitStore(connections)
        self._usage = UsageStore(connections)
        self.feed = ClientLimitFeed(rate_limits, self._over_budget)
        used = UsageServicer(self._usage, RegisteredForms(registry), runtime.clock)
        usage_pb2_grpc.add_UsageServiceServicer_to_server(used, server)
        budget_pb2_grpc.add_BudgetServiceServicer_to_server(BudgetServicer(self._usage, self.feed), server)
        limited = RateLimitServicer(rate_limits, self.feed)
        client_limits_pb2_grpc.add_RateLimitServiceServicer_to_server(limited, server)
        for service in SERVICES:
            # The monitor of 0.1.0 served all three by one name.
            server.also_serve_as(FORMER_USAGE_SERVICE, service)

    def start(self, migrated: asyncio.Event) -> None:
        """Follow the database, and expire old usage."""
        age = timedelta(days=self._runtime.settings.usage_retention_d)
        self._runtime.loop("client limits", lambda: self.feed.follow(migrated))
        self._runtime.every("expire usage", EXPIRE_S, lambda: self._usage.expire(age), after=migrated)

    async def _over_budget(self) -> Sequence[client_limits_pb2.BudgetOverrun]:
        budgets = await self._usage.budgets()
        now, spent = await self._usage.spent({one.period for one in budgets})
        return convert.to_overruns(overruns(budgets, spent, now))

"""Usage put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace.monitor.v1 import usage_pb2_grpc
from headrace_servicekit.client import channel
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server
from headrace_servicekit.tls import Tls

from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database
from headrace_monitor.usage.enforcing import EVERY_S, ClientLimits
from headrace_monitor.usage.former_rate_limits import FormerRateLimits
from headrace_monitor.usage.registered_forms import RegisteredForms
from headrace_monitor.usage.servicer import UsageServicer
from headrace_monitor.usage.store import UsageStore

EXPIRE_S = 3600.0


@dataclass(frozen=True, slots=True)
class KnownUsage:
    """What the RPCs between services need."""

    store: UsageStore
    limits: ClientLimits


async def open_usage(runtime: Runtime[MonitorSettings], server: Server, database: Database) -> KnownUsage:
    """Serve UsageService, follow budgets, and expire old usage."""
    settings, clock = runtime.settings, runtime.clock
    control = None
    if settings.control_target:
        control = await runtime.enter(channel(settings.control_target, tls=Tls.of(settings)))
    store, rate_limits = UsageStore(database), FormerRateLimits(database, control)
    limits = ClientLimits(store, rate_limits)
    forms = RegisteredForms(await runtime.enter(channel(settings.registry_target, tls=Tls.of(settings))))
    usage_pb2_grpc.add_UsageServiceServicer_to_server(UsageServicer(store, rate_limits, forms, clock), server)

    async def follow() -> None:
        await database.there.wait()
        await periodic("follow budgets", limits.step, every_s=EVERY_S, clock=clock)

    async def follow_rate_limits() -> None:
        await database.there.wait()
        await periodic("follow rate limits", rate_limits.step, every_s=EVERY_S, clock=clock)

    async def expire() -> None:
        await database.there.wait()
        age = timedelta(days=settings.usage_retention_d)
        await periodic("expire usage", lambda: store.expire(age), every_s=EXPIRE_S, clock=clock)

    runtime.loop("follow budgets", follow)
    runtime.loop("follow rate limits", follow_rate_limits)
    runtime.loop("expire usage", expire)
    return KnownUsage(store, limits)

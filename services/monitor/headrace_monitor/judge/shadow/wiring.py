"""Comparisons with shadows put together."""

from __future__ import annotations

from datetime import timedelta

from headrace_servicekit.client import channel
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_monitor.judge.shadow.intake import PairIntake
from headrace_monitor.judge.shadow.measurements import MEASURE_EVERY_S, ShadowMeasurements
from headrace_monitor.judge.shadow.servicer import ShadowServicer
from headrace_monitor.judge.shadow.store import Comparisons
from headrace_monitor.record.log.contracts import ContractSource
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

EXPIRE_S = 3600.0


async def open_shadows(
    runtime: Runtime[MonitorSettings], database: Database, contracts: ContractSource
) -> tuple[PairIntake, ShadowServicer]:
    """Report comparisons to the registry and expire them, as late as counters; return their intake and servicer."""
    settings, comparisons, clock = runtime.settings, Comparisons(database), runtime.clock
    age = timedelta(days=settings.counter_retention_d)
    registry = await runtime.enter(channel(settings.registry_target, tls=Tls.of(settings)))
    measurements = ShadowMeasurements(comparisons, contracts, registry, clock)

    async def measure() -> None:
        await database.there.wait()
        await periodic("measure shadows", measurements.step, every_s=MEASURE_EVERY_S, clock=clock)

    async def expire() -> None:
        await database.there.wait()
        await periodic("expire shadow comparisons", lambda: comparisons.expire(age), every_s=EXPIRE_S, clock=clock)

    runtime.loop("measure shadows", measure)
    runtime.loop("expire shadow comparisons", expire)
    return PairIntake(contracts, comparisons, clock), ShadowServicer(comparisons, clock)

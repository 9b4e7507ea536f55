"""Comparisons with shadows put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace_servicekit.client import channel
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_monitor.judge.shadow.measuring import MEASURE_EVERY_S, ShadowMeasurements
from headrace_monitor.judge.shadow.rpcs import ShadowRpcs
from headrace_monitor.judge.shadow.store import Comparisons
from headrace_monitor.judge.shadow.taking import PairIntake
from headrace_monitor.record.log.contracts import ContractSource
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

EXPIRE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Shadows:
    """What RPCs need of comparisons."""

    intake: PairIntake
    rpcs: ShadowRpcs


async def open_shadows(runtime: Runtime[MonitorSettings], database: Database, contracts: ContractSource) -> Shadows:
    """Return comparisons over the database, and start expiring them, and telling the registry of them.

    They are kept as long as counters are.
    """
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
    return Shadows(PairIntake(contracts, comparisons, clock), ShadowRpcs(comparisons, clock))

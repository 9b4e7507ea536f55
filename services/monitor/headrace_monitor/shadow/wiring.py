"""Comparisons with shadows put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime

from headrace_monitor.log.contracts import ContractSource
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.shadow.rpcs import ShadowRpcs
from headrace_monitor.shadow.store import Comparisons
from headrace_monitor.shadow.taking import PairIntake
from headrace_monitor.storage.schema import Database

EXPIRE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Shadows:
    """What RPCs need of comparisons."""

    intake: PairIntake
    rpcs: ShadowRpcs


def open_shadows(runtime: Runtime[MonitorSettings], database: Database, contracts: ContractSource) -> Shadows:
    """Return comparisons over the database, and start expiring them: they are kept as long as counters are."""
    comparisons, clock = Comparisons(database), runtime.clock
    age = timedelta(days=runtime.settings.counter_retention_d)

    async def expire() -> None:
        await database.there.wait()
        await periodic("expire shadow comparisons", lambda: comparisons.expire(age), every_s=EXPIRE_S, clock=clock)

    runtime.loop("expire shadow comparisons", expire)
    return Shadows(PairIntake(contracts, comparisons, clock), ShadowRpcs(comparisons, clock))

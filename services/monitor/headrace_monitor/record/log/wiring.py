"""The prediction log put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from headrace_servicekit.client import channel
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.s3 import Place
from headrace_servicekit.tls import Tls

from headrace_monitor.record.log.adoption import BatchAdopter
from headrace_monitor.record.log.batches import Batches
from headrace_monitor.record.log.compactor import Compactor
from headrace_monitor.record.log.contracts import Contracts
from headrace_monitor.record.log.ingestion import Ingestion, Limits
from headrace_monitor.record.log.merger import FileAges, FileMerger
from headrace_monitor.record.log.metrics import LogMetrics
from headrace_monitor.record.log.objects import Objects
from headrace_monitor.record.log.orphans import OrphanSweeper
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.record.log.upkeep import EXPIRE_AFTER, Upkeep, UpkeepPolicy
from headrace_monitor.record.log.writer import Files
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

REGISTRY = "headrace.registry.v1.RegistryService"

UPKEEP_EVERY_S = 5.0
# Longer than storing a batch takes, from its object to its row.
SWEEP_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class PredictionLog:
    """What the other parts of the monitor need of the log."""

    contracts: Contracts
    reader: Reader
    ingestion: Ingestion


async def open_log(runtime: Runtime[MonitorSettings], database: Database) -> PredictionLog:
    """Open the stores of the log and start compacting and maintaining it. Neither S3 nor the registry has to be up."""
    settings = runtime.settings
    objects = await runtime.enter(Objects(Place.of(settings)))
    # Not required: counters and derived data are served without it.
    runtime.check("s3", objects.check, required=False)
    registry = await runtime.enter(
        channel(settings.registry_target, tls=Tls.of(settings), idempotent=[f"{REGISTRY}/GetModelVersion"])
    )
    contracts, metrics = Contracts(registry, runtime.clock), LogMetrics(runtime.metrics)
    batches = Batches(database)
    _begin(runtime, database, objects, contracts, metrics)
    limits = Limits(settings.log_max_batches, settings.log_max_batch_bytes, _keep(settings), settings.max_processes)
    ingestion = Ingestion(objects, batches, limits, runtime.clock, metrics)
    return PredictionLog(contracts, Reader(database, objects), ingestion)


def _begin(
    runtime: Runtime[MonitorSettings],
    database: Database,
    objects: Objects,
    contracts: Contracts,
    metrics: LogMetrics,
) -> None:
    settings, clock = runtime.settings, runtime.clock
    keep = _keep(settings)
    # Each leads alone, and each writes under its own lease.
    compacting = LeaderLease(database, "compact the log", clock)
    files = Files(compacting, objects, clock)
    compactor = Compactor(compacting, objects, files, contracts, keep=keep, clock=clock, metrics=metrics)
    keeping = LeaderLease(database, "keep the log up", clock)
    batches, files = Batches(keeping), Files(keeping, objects, clock)
    ages = FileAges(
        timedelta(seconds=settings.log_merge_after_s), timedelta(seconds=settings.log_replaced_grace_s), keep
    )
    upkeep = Upkeep(
        batches,
        files,
        FileMerger(keeping, objects, files, ages, clock, metrics),
        BatchAdopter(keeping, objects, batches, clock, SWEEP_AFTER),
        OrphanSweeper(keeping, objects, clock, keep + EXPIRE_AFTER),
        patience=UpkeepPolicy(timedelta(seconds=settings.log_lost_after_s), keep),
        clock=clock,
        metrics=metrics,
    )

    async def compact() -> bool:
        more = await compactor.round()
        await compactor.remove_compacted()
        return more

    async def lead(lease: LeaderLease, step: Callable[[], Awaitable[bool]], every_s: float) -> NoReturn:
        await database.there.wait()
        await lease.lead(step, every_s=every_s)

    runtime.loop("compact the log", lambda: lead(compacting, compact, settings.log_compact_every_s))
    runtime.loop("keep the log up", lambda: lead(keeping, upkeep.step, UPKEEP_EVERY_S))


def _keep(settings: MonitorSettings) -> timedelta:
    return timedelta(days=settings.log_retention_d)

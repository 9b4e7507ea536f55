"""Outcomes put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace.monitor.v1 import outcome_pb2_grpc
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_monitor import names
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.record.outcomes.decisions.entities import Delays
from headrace_monitor.record.outcomes.entity_joins import EntityJoins
from headrace_monitor.record.outcomes.metrics import OutcomeMetrics
from headrace_monitor.record.outcomes.postgres import PostgresOutcomes
from headrace_monitor.record.outcomes.recorder import OutcomeRecorder
from headrace_monitor.record.outcomes.servicer import OutcomeServicer
from headrace_monitor.record.outcomes.store import EXPIRE_ROWS, OutcomeStore
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

EXPIRE_S = 600.0


@dataclass(frozen=True, slots=True)
class KnownOutcomes:
    """What the other parts need of outcomes."""

    store: OutcomeStore
    metrics: OutcomeMetrics
    delays: Delays


def open_outcomes(
    runtime: Runtime[MonitorSettings], server: Server, database: Database, reader: Reader
) -> KnownOutcomes:
    """Serve OutcomeService, join entities' outcomes with predictions, and expire old outcomes."""
    settings, clock = runtime.settings, runtime.clock
    memory = timedelta(days=settings.log_retention_d)
    store, metrics = PostgresOutcomes(database), OutcomeMetrics(runtime.metrics)
    delays = Delays(timedelta(seconds=settings.log_settle_s), timedelta(seconds=settings.log_delay_s))
    servicer = OutcomeServicer(OutcomeRecorder(store, memory, metrics, clock))
    outcome_pb2_grpc.add_OutcomeServiceServicer_to_server(servicer, server)
    joins = EntityJoins(database, reader, delays, metrics, clock)

    async def join() -> None:
        await database.there.wait()
        await periodic("join entities", joins.step, every_s=settings.outcomes_every_s, clock=clock)

    async def expire() -> None:
        oldest = clock.now() - memory
        while await store.expire(oldest, names.first_prediction_id(oldest)) >= EXPIRE_ROWS:
            pass
        metrics.waiting(*await store.waiting())

    async def expire_often() -> None:
        await database.there.wait()
        await periodic("expire outcomes", expire, every_s=EXPIRE_S, clock=clock)

    runtime.loop("join entities", join)
    runtime.loop("expire outcomes", expire_often)
    return KnownOutcomes(store, metrics, delays)

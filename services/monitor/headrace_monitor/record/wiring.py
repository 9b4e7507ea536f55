"""The room `record` put together: counters, the prediction log, outcomes and queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace.monitor.v1 import monitor_pb2_grpc, outcome_pb2_grpc
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_monitor import names
from headrace_monitor.record.counters.evidence import EvidenceReader
from headrace_monitor.record.counters.intake import Intake, Limits
from headrace_monitor.record.counters.metrics import CounterMetrics
from headrace_monitor.record.counters.observer import MinuteObserver
from headrace_monitor.record.counters.reader import LostBatchCounts, TrafficReader
from headrace_monitor.record.counters.retention import CounterRetention, RetentionPolicy
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.record.log.wiring import PredictionLog, open_log
from headrace_monitor.record.outcomes.decisions.entities import Delays
from headrace_monitor.record.outcomes.entity_joins import EntityJoins
from headrace_monitor.record.outcomes.metrics import OutcomeMetrics
from headrace_monitor.record.outcomes.postgres import PostgresOutcomes
from headrace_monitor.record.outcomes.recorder import OutcomeRecorder
from headrace_monitor.record.outcomes.servicer import OutcomeServicer
from headrace_monitor.record.outcomes.store import EXPIRE_ROWS, OutcomeStore
from headrace_monitor.record.query.queries import Queries
from headrace_monitor.record.query.wiring import QueryFiles, open_queries, open_query_files
from headrace_monitor.record.traffic_servicer import TrafficServicer
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

OBSERVE_S = 5.0
EXPIRE_S = 600.0


@dataclass(frozen=True, slots=True)
class Record:
    """What the other rooms need of what was answered."""

    counters: Counters
    log: PredictionLog
    outcomes: KnownOutcomes
    queries: Queries
    query_files: QueryFiles


async def open_record(runtime: Runtime[MonitorSettings], server: Server, database: Database) -> Record:
    """Serve TrafficService and OutcomeService; maintain counters, log and outcomes. Raises StartError."""
    log = await open_log(runtime, database)
    files = await open_query_files(runtime, log.reader)
    queries = open_queries(runtime, database, log.reader, files)
    counters = open_counters(runtime, database)
    outcomes = open_outcomes(runtime, server, database, log.reader)
    servicer = TrafficServicer(counters.reading, queries, runtime.clock)
    monitor_pb2_grpc.add_TrafficServiceServicer_to_server(servicer, server)
    return Record(counters, log, outcomes, queries, files)


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

    async def expire() -> None:
        oldest = clock.now() - memory
        while await store.expire(oldest, names.first_prediction_id(oldest)) >= EXPIRE_ROWS:
            pass
        metrics.waiting(*await store.waiting())

    runtime.every("join entities", settings.outcomes_every_s, joins.step, after=database.there)
    runtime.every("expire outcomes", EXPIRE_S, expire, after=database.there)
    return KnownOutcomes(store, metrics, delays)


@dataclass(frozen=True, slots=True)
class Counters:
    """What RPCs need of counters."""

    intake: Intake
    reading: TrafficReader
    evidence: EvidenceReader


def open_counters(runtime: Runtime[MonitorSettings], database: Database) -> Counters:
    """Return counters over the database, and start observing and expiring them."""
    settings, clock = runtime.settings, runtime.clock
    metrics, losses = CounterMetrics(runtime.metrics), LostBatchCounts()
    policy = RetentionPolicy(
        minutes=timedelta(days=settings.counter_minutes_d),
        counts=timedelta(days=settings.counter_retention_d),
        silent=timedelta(days=settings.counter_silence_d),
    )
    observer = MinuteObserver(database, losses, metrics, clock)
    retention = CounterRetention(database, policy, metrics)

    async def expire() -> None:
        await database.there.wait()
        # Not at once: after a long absence of all monitors, data planes must have the time to report first.
        await clock.sleep(EXPIRE_S)
        await periodic("expire counters", retention.step, every_s=EXPIRE_S, clock=clock)

    runtime.every("observe counters", OBSERVE_S, observer.step, after=database.there)
    runtime.loop("expire counters", expire)
    limits = Limits(settings.max_processes, settings.counter_max_series)
    return Counters(
        Intake(database, limits, metrics, clock),
        TrafficReader(database, losses, minutes=policy.minutes),
        EvidenceReader(database, clock, minutes=policy.minutes),
    )

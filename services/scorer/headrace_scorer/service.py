"""The scorer put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from datetime import timedelta

from headrace.scorer.v1 import publications_pb2_grpc, schedules_pb2_grpc, scorer_pb2, scorer_pb2_grpc
from headrace_runtime.signatures import policy_file
from headrace_servicekit.client import channel
from headrace_servicekit.coordination.feeds import ChangeFeed, heed
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.coordination.revisions import no_snapshot
from headrace_servicekit.outbox.messages import webhook_kind
from headrace_servicekit.outbox.outbox import Outbox
from headrace_servicekit.outbox.webhooks import Webhooks
from headrace_servicekit.outbox.wiring import keep_lineage_receiver, start_deliveries
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.resources import serve_kind
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_scorer.creation import Creating
from headrace_scorer.estimates import Estimating
from headrace_scorer.job_engine import Engine
from headrace_scorer.job_runner import Runner
from headrace_scorer.job_work import JobWork
from headrace_scorer.lateness import Lateness
from headrace_scorer.metrics import ScorerMetrics
from headrace_scorer.notices import event_in
from headrace_scorer.outputs import Outputs
from headrace_scorer.peers import Registry
from headrace_scorer.publishing.publication_runner import PublicationRunner
from headrace_scorer.publishing.publication_work import PublicationWork
from headrace_scorer.publishing.publish_engine import PublishEngine
from headrace_scorer.publishing.review import Deciding
from headrace_scorer.publishing.servicer import PublicationServicer
from headrace_scorer.publishing.store import PublicationStore
from headrace_scorer.scheduling.scheduler import Scheduler
from headrace_scorer.scheduling.servicer import ScheduleServicer
from headrace_scorer.scheduling.store import ScheduleStore
from headrace_scorer.servicer import ScorerServicer
from headrace_scorer.settings import ScorerSettings
from headrace_scorer.store import Store, database
from headrace_scorer.version_holds import HOLD_EVERY_S, RELEASE_EVERY_S, Holding

EXPIRE_EVERY_S = 600.0


async def start(runtime: Runtime[ScorerSettings]) -> None:
    """Build the service. Nothing that it calls has to be up: calls are UNAVAILABLE, and jobs wait, until it is."""
    settings, clock = runtime.settings, runtime.clock
    connections = database(Address.of(settings), settings.database_connections)
    store = Store(await runtime.enter(connections), max_waiting=settings.max_waiting_jobs)
    runtime.migrated(connections)
    runtime.check("postgres", store.check)

    policy = policy_file.followed(runtime, settings.signing_policy_file)
    registry = Registry(await runtime.enter(channel(settings.registry_target, tls=Tls.of(settings))), policy)
    engine, outputs = Engine(settings), Outputs(settings)

    def work(lease: LeaderLease) -> JobWork:
        price = settings.price_per_cpu_hour
        return JobWork(store, engine, outputs, registry, lease, clock, metrics.rows, price)

    runner = Runner(store, connections, work, clock, most=settings.max_jobs)
    metrics = ScorerMetrics(runtime.metrics, lambda: runner.running)
    feed = ChangeFeed(store, no_snapshot, clock, owner="scorer", max_watches=settings.max_watches)
    others = frozenset(name.strip() for name in settings.buckets.split(",") if name.strip())
    creating = Creating(store, registry, engine, settings.s3_bucket, others)
    estimating = Estimating(creating, engine, settings.price_per_cpu_hour)
    control = await runtime.enter(channel(settings.control_target, tls=Tls.of(settings)))
    publications = PublicationStore(connections)
    work_of_publications = PublicationWork(store, publications, PublishEngine(settings, engine))
    publisher = PublicationRunner(publications, connections, work_of_publications, clock)
    deciding = Deciding(store, publications, control, publisher.wake)
    schedules = ScheduleStore(connections)
    scheduler = Scheduler(schedules, store, creating, LeaderLease(connections, "schedules", clock))
    outbox = Outbox(connections, event_in, hold=settings.webhook_hold)
    guard = await start_deliveries(runtime, settings, outbox, inside=settings.called, count=metrics.delivery)
    servicer = ScorerServicer(store, creating, estimating, feed, runner.wake, runtime.stopping)
    service = scorer_pb2.DESCRIPTOR.services_by_name["ScorerService"]
    serve_kind(servicer, service, webhook_kind("scoringWebhooks"), Webhooks(connections, guard))

    async def listen() -> None:
        await heed(store.wakes, runner.wake)

    server = runtime.server()
    scorer_pb2_grpc.add_ScorerServiceServicer_to_server(servicer, server)
    publications_pb2_grpc.add_ScoringPublicationServiceServicer_to_server(PublicationServicer(deciding), server)
    schedules_pb2_grpc.add_ScoringScheduleServiceServicer_to_server(ScheduleServicer(schedules, creating), server)
    keep_lineage_receiver(runtime, settings, connections, connections.there)
    runtime.every("lateness", 2.0, Lateness(store).look)
    runtime.every("expiry", EXPIRE_EVERY_S, lambda: store.expire(timedelta(days=settings.jobs_keep_d)))
    holding = Holding(store, registry)
    runtime.every("holds", HOLD_EVERY_S, holding.renew)
    runtime.every("releases", RELEASE_EVERY_S, holding.release)
    runtime.loop("jobs", runner.run)
    runtime.loop("publications", publisher.run)
    runtime.loop("schedules", scheduler.run)
    runtime.loop("feed", feed.run)
    runtime.every("bucket", 60.0, outputs.prepare)
    runtime.every("feed hints", 1.0, feed.listen)
    runtime.every("hints", 1.0, listen)

"""PrecomputedService put together."""

from __future__ import annotations

from headrace.router.v1 import precomputed_pb2_grpc
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_router.control.precomputed.garbage_collection import GarbageCollector
from headrace_router.control.precomputed.limits import PublishLimits
from headrace_router.control.precomputed.metrics import PrecomputedMetrics
from headrace_router.control.precomputed.postgres import PublishRows
from headrace_router.control.precomputed.publications import Publishing
from headrace_router.control.precomputed.reads import PublishReader
from headrace_router.control.precomputed.servicer import PrecomputedServicer
from headrace_router.control.precomputed.uploads import Uploading
from headrace_router.control.precomputed.valkey import AnswerStore
from headrace_router.control.routes.stored_answers import AnswerWriter
from headrace_router.control.routes.writes import CatchUp
from headrace_router.control.settings import ControlSettings
from headrace_router.control.state.view import View
from headrace_router.control.storage.postgres import PostgresStore

COLLECT_EVERY_S = 10.0


async def open_precomputed(
    runtime: Runtime[ControlSettings],
    server: Server,
    store: PostgresStore,
    view: View,
    answer_writer: AnswerWriter,
    catch_up: CatchUp,
) -> None:
    """Offer PrecomputedService: publishes in the database, their rows in Valkey."""
    settings, clock, limits = runtime.settings, runtime.clock, PublishLimits.of(runtime.settings)
    metrics, rows = PrecomputedMetrics(runtime.metrics), PublishRows(store.connections)
    kept = await runtime.enter(AnswerStore(settings.valkey_url, settings.valkey_password_file))
    publish_reader = PublishReader(view, rows, kept, clock, catch_up)
    publishing = Publishing(view, store, rows, kept, answer_writer, publish_reader, clock, limits, catch_up, metrics)
    uploading = Uploading(publishing, rows, kept, clock, limits, metrics)
    collector = GarbageCollector(view, rows, kept, answer_writer, publishing, clock, limits, metrics)
    precomputed_pb2_grpc.add_PrecomputedServiceServicer_to_server(
        PrecomputedServicer(view, publishing, uploading, publish_reader, clock), server
    )
    runtime.check("valkey", kept.ping, required=False)
    every_s = min(COLLECT_EVERY_S, settings.precomputed_settle_s or COLLECT_EVERY_S)
    runtime.every("collect", every_s, collector.step)

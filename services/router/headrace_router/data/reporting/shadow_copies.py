"""Copies of requests to shadows: sent when their callers have their answers, few at a time, compared by the monitor.

A copy goes straight to the batchers, so that its answer shares no execution, is counted for no caller, is no outcome,
and is in no cache, unless the shadow keeps its answers to have some when it gets callers. It is not hedged, not tried
twice, waits for no batcher that is away, and is the first to go where there is no room.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NoReturn, Protocol

import structlog
from headrace.batcher.v1 import batcher_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Code, ServiceError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.batchers.pools import MAX_ATTEMPTS
from headrace_router.data.batchers.work import SHADOW, Online, PipelineWork, Work, missing_in
from headrace_router.data.lookup.cache_lookup import CacheLookup
from headrace_router.data.reporting.decisions.shadow_pairs import PairBuffer, pair_of
from headrace_router.data.reporting.senders import Ingest, error_of
from headrace_router.data.request.request import ResolvedRequest, fitted
from headrace_router.data.tables.table import Shadow, Variant, point_of

log = structlog.get_logger()

# All copies have one client, so that those of a caller who asks much do not stand in for the caller.
CLIENT = "shadow"
DEADLINE_S = 5.0
SEND_EVERY_S, SEND_TIMEOUT_S = 1.0, 2.0

NO_ROOM, DOES_NOT_FIT = "NO_ROOM", "DOES_NOT_FIT"


# What a shadow that keeps its answers is asked for too.
_AT_HAND = frozenset((ServedFrom.CACHE, ServedFrom.PRECOMPUTED, ServedFrom.STALE))


class Cache(Protocol):
    """Cached answers, as shadows need them. Nothing here waits or raises."""

    def lacking(self, resolved: ResolvedRequest, variant: Variant) -> CacheLookup | None:
        """Return where an answer of a variant would be kept, unless it is not cached, or memory has one."""
        ...

    def keep(self, cache_lookup: CacheLookup, outputs: bytes) -> None:
        """Keep an answer that was computed just now."""
        ...


class Shadowing:
    """Sends copies; a prometheus_client collector. `consider` is for the predictor. cache: of what shadows keep.

    max_in_flight, max_bytes: of copies that have no answer. max_rows: of one request. Run `send` as long as the data
    plane lives.
    """

    def __init__(
        self,
        pools: Online,
        ingest: Ingest,
        cache: Cache,
        clock: Clock,
        *,
        max_in_flight: int,
        max_bytes: int,
        max_rows: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._pools, self._ingest, self._cache, self._clock, self._loop = pools, ingest, cache, clock, loop
        self._max_in_flight, self._max_bytes, self._max_rows = max_in_flight, max_bytes, max_rows
        self._pairs = PairBuffer()
        self._in_flight = self._bytes = 0
        self._answered = 0
        self._unsent: Counter[str] = Counter({NO_ROOM: 0, DOES_NOT_FIT: 0})
        self._failed: Counter[str] = Counter()
        self._lost_pairs = 0

    def consider(self, resolved: ResolvedRequest, answer: Answer) -> None:
        """Copy a request whose answer was computed, if its prediction is among those that are copied; for a shadow that
        keeps its answers, one whose answer memory had too.
        """
        shadow = resolved.table.shadow
        if shadow is None:
            return
        if answer.served_from is not ServedFrom.ONLINE and not (shadow.keeps and answer.served_from in _AT_HAND):
            return
        if resolved.variant.served is shadow.variant.served or point_of(answer.prediction_id) >= shadow.below:
            return
        # In the next turn of the loop, after the answer has gone to the caller.
        self._loop.call_soon(self._copy, resolved, answer, shadow)

    async def send(self) -> NoReturn:
        """Send pairs for ever."""
        while True:
            await self._clock.sleep(SEND_EVERY_S)
            await self.send_once()

    async def send_once(self) -> None:
        """Send what there is. What the monitor does not take is lost: it is a sample."""
        while pairs := self._pairs.take():
            message = telemetry_pb2.ReportShadowPairsRequest(pairs=pairs)
            error = await error_of(self._ingest.shadow_pairs(message, SEND_TIMEOUT_S))
            if error is not None:
                self._lost_pairs += len(pairs)
                log.warning("pairs of a shadow not taken", pairs=len(pairs), reason=str(error))
                return

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        unsent = CounterMetricFamily(
            "headrace_router_shadow_unsent", "Copies for shadows that were not sent, and why.", labels=("reason",)
        )
        for reason, count in self._unsent.items():
            unsent.add_metric((reason,), count)
        failed = CounterMetricFamily(
            "headrace_router_shadow_failed", "Copies that a shadow answered with an error.", labels=("code",)
        )
        for code, count in self._failed.items():
            failed.add_metric((code,), count)
        lost = self._lost_pairs + self._pairs.dropped
        yield from (unsent, failed)
        yield CounterMetricFamily("headrace_router_shadow_answered", "Copies that were answered.", value=self._answered)
        yield CounterMetricFamily("headrace_router_shadow_lost_pairs", "Pairs that were not compared.", value=lost)
        yield GaugeMetricFamily("headrace_router_shadow_in_flight", "Copies without an answer.", value=self._in_flight)

    def _copy(self, resolved: ResolvedRequest, answer: Answer, to: Shadow) -> None:
        shadow = to.variant
        if shadow.served.decoupled or resolved.variant.served.decoupled:
            self._unsent[DOES_NOT_FIT] += 1  # answers in parts have no one answer to compare
            return
        copy = fitted(resolved, shadow.served, self._max_rows)
        if copy is None:
            self._unsent[DOES_NOT_FIT] += 1
            return
        lacking = self._cache.lacking(copy, shadow) if to.keeps else None
        if lacking is None and answer.served_from is not ServedFrom.ONLINE:
            return
        size_bytes = sum(map(len, copy.inputs)) + len(answer.outputs)
        if self._in_flight >= self._max_in_flight or self._bytes + size_bytes > self._max_bytes:
            self._unsent[NO_ROOM] += 1
            return
        self._in_flight += 1
        self._bytes += size_bytes
        work = self._work(copy, shadow)
        work.answer.add_done_callback(partial(self._done, resolved, answer, shadow, lacking, work, size_bytes))
        self._pools.submit((work,))

    def _work(self, copy: ResolvedRequest, shadow: Variant) -> Work:
        layout = copy.layout
        future: asyncio.Future[batcher_pb2.InferResponse] = self._loop.create_future()
        deadline = self._loop.time() + DEADLINE_S
        work = Work(future, shadow.pool, shadow.served.digest, layout.rows, copy.inputs, deadline)
        work.absent, work.dims, work.outputs = layout.absent, layout.dims, copy.outputs
        work.max_wait_us, work.answers = copy.table.max_wait_us, shadow.served.answers
        work.client, work.priority, work.queue_timeout_s = CLIENT, SHADOW, 0.0
        # Nothing is earned for retries by it, and it is not tried again.
        work.again, work.attempts = True, MAX_ATTEMPTS - 1
        if shadow.served.pipeline is not None:
            work.pipeline = PipelineWork(shadow.served, copy.request.attributes)
        return work

    def _done(
        self,
        resolved: ResolvedRequest,
        answer: Answer,
        shadow: Variant,
        lacking: CacheLookup | None,
        work: Work,
        size_bytes: int,
        future: asyncio.Future[batcher_pb2.InferResponse],
    ) -> None:
        self._in_flight -= 1
        self._bytes -= size_bytes
        if future.cancelled():
            return
        error = future.exception()
        response = future.result() if error is None else _failure(error)
        # Of what had no room at the batchers, or no batcher, nothing is known of the version.
        if response.code in (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE):
            self._unsent[response.reason or NO_ROOM] += 1
            return
        if response.code:
            self._failed[Code(response.code).name] += 1
        else:
            self._answered += 1
            if lacking is not None and not missing_in(work):
                self._cache.keep(lacking, response.outputs)
        if answer.served_from is ServedFrom.ONLINE:
            self._pairs.add(pair_of(resolved, answer, shadow, response))


def _failure(error: BaseException) -> batcher_pb2.InferResponse:
    if isinstance(error, ServiceError):
        return batcher_pb2.InferResponse(code=error.code, reason=error.reason)
    return batcher_pb2.InferResponse(code=Code.INTERNAL)

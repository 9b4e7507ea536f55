"""Sends reports: batches until they are acknowledged, counters every second.

The monitor may be away, slow or hang: every call has a deadline, and only these loops wait.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import Any, NoReturn, Protocol

import grpc.aio
import structlog
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Code, ServiceError, Unavailable
from headrace_servicekit.loops import delay_s
from headrace_servicekit.peers import count, reason_of

from headrace_router.data.reporting.decisions.buffer import Buffer, SealedBatch
from headrace_router.data.reporting.decisions.series import CounterReports, Source

log = structlog.get_logger()

# Batches that are on their way at a time.
WINDOW = 4
BATCH_TIMEOUT_S, REPORT_TIMEOUT_S = 10.0, 2.0
RETRY_S, MAX_RETRY_S = 0.1, 5.0
REPORT_EVERY_S = 1.0


class Ingest(Protocol):
    """The monitor. Each call returns when it has what it was given. Raises AioRpcError."""

    def batch(self, message: bytes, timeout_s: float) -> Awaitable[object]:
        """Send an encoded ReportPredictionsRequest."""
        ...

    def counters(self, message: telemetry_pb2.ReportCountersRequest, timeout_s: float) -> Awaitable[object]:
        """Send a report of counters."""
        ...

    def shadow_pairs(self, message: telemetry_pb2.ReportShadowPairsRequest, timeout_s: float) -> Awaitable[object]:
        """Send pairs of answers."""
        ...


class GrpcIngest:
    """TelemetrySinkService over a channel. Batches are encoded when they come, once, however often they are sent."""

    def __init__(self, channel: Any) -> None:
        service = "/headrace.telemetry.v1.TelemetrySinkService"
        self._batch = channel.unary_unary(
            f"{service}/ReportPredictions",
            response_deserializer=telemetry_pb2.ReportPredictionsResponse.FromString,
        )
        self._counters = channel.unary_unary(
            f"{service}/ReportCounters",
            request_serializer=telemetry_pb2.ReportCountersRequest.SerializeToString,
            response_deserializer=telemetry_pb2.ReportCountersResponse.FromString,
        )

        self._pairs = channel.unary_unary(
            f"{service}/ReportShadowPairs",
            request_serializer=telemetry_pb2.ReportShadowPairsRequest.SerializeToString,
            response_deserializer=telemetry_pb2.ReportShadowPairsResponse.FromString,
        )

    def batch(self, message: bytes, timeout_s: float) -> Awaitable[object]:
        return self._batch(message, timeout=timeout_s)

    def counters(self, message: telemetry_pb2.ReportCountersRequest, timeout_s: float) -> Awaitable[object]:
        return self._counters(message, timeout=timeout_s)

    def shadow_pairs(self, message: telemetry_pb2.ReportShadowPairsRequest, timeout_s: float) -> Awaitable[object]:
        return self._pairs(message, timeout=timeout_s)


class BatchSender:
    """Sends the batches of a buffer, several at a time, each until it is settled.

    acknowledged, retried: batches, and sendings again, so far. predictions: acknowledged so far.
    """

    def __init__(self, source: Source, buffer: Buffer, ingest: Ingest, clock: Clock) -> None:
        self._source, self._buffer, self._ingest, self._clock = source, buffer, ingest, clock
        self._arrived = Wakeup()
        self.acknowledged = self.retried = self.predictions = 0

    def put(self, batch: SealedBatch) -> None:
        """Have a batch sent some time soon, or dropped."""
        self._buffer.put(batch)
        self._arrived.wake()

    async def send(self) -> NoReturn:
        """Send for ever what comes, in order."""
        async with asyncio.TaskGroup() as senders:
            for _ in range(WINDOW):
                senders.create_task(self._send_for_ever())
        raise AssertionError("a sender ended")

    async def send_all(self) -> None:
        """Send what is there, when no other loop sends any more, and return when it is settled."""
        self._buffer.recall()
        async with asyncio.TaskGroup() as senders:
            for _ in range(WINDOW):
                senders.create_task(self._send_in_turn())

    async def _send_for_ever(self) -> NoReturn:
        while True:
            count = self._arrived.count
            await self._send_in_turn()
            await self._arrived.after(count)

    async def _send_in_turn(self) -> None:
        while (batch := self._buffer.take()) is not None:
            await self._deliver(batch)

    async def _deliver(self, batch: SealedBatch) -> None:
        """Send a batch until the monitor has it, or says that it never will."""
        head = telemetry_pb2.ReportPredictionsRequest(
            data_plane=self._source.data_plane, process=self._source.process, sequence=batch.number
        )
        message = head.SerializeToString() + batch.data  # fields of a message may come in pieces
        failures = 0
        while (error := await error_of(self._ingest.batch(message, BATCH_TIMEOUT_S))) is not None:
            if error.code is Code.INVALID_ARGUMENT:
                log.error("batch refused", number=batch.number, predictions=batch.predictions, reason=str(error))
                self._buffer.refused(batch)
                return
            failures += 1
            self.retried += 1
            if failures == 1:
                log.warning("batch not taken", number=batch.number, reason=str(error))
            await self._clock.sleep(_pause_s(failures, error))
        self._buffer.acknowledged(batch)
        self.acknowledged += 1
        self.predictions += batch.predictions


class CounterSender:
    """Sends what changed every second. acknowledged, failed: reports so far."""

    def __init__(self, reports: CounterReports, ingest: Ingest, clock: Clock) -> None:
        self._reports, self._ingest, self._clock = reports, ingest, clock
        self.acknowledged = self.failed = 0

    async def send(self) -> NoReturn:
        """Report for ever."""
        failures = 0
        while True:
            error = await self.send_once()
            failures = 0 if error is None else failures + 1
            if failures == 1:
                log.warning("counters not taken", reason=str(error))
            await self._clock.sleep(REPORT_EVERY_S if error is None else max(REPORT_EVERY_S, _pause_s(failures, error)))

    async def send_once(self) -> ServiceError | None:
        """Report what changed; return why that failed. What was not taken is in the next report."""
        for report in self._reports.unreported():
            error = await error_of(self._ingest.counters(report.message, REPORT_TIMEOUT_S))
            if error is not None:
                self.failed += 1
                return error
            self._reports.acknowledged(report)
            self.acknowledged += 1
        return None

    async def send_all(self) -> None:
        """Report what changed, as often as it takes, and that it is the last report."""
        failures = 0
        while (error := await self.send_once()) is not None:
            failures += 1
            await self._clock.sleep(_pause_s(failures, error))
        await error_of(self._ingest.counters(self._reports.final().message, REPORT_TIMEOUT_S))


async def error_of(call: Awaitable[object]) -> ServiceError | None:
    """Return why a call failed, None when it did not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        count("monitor", error)
        return from_rpc_error(error)
    except Exception as error:  # of the connection, or of an answer of nonsense
        count("monitor", error)
        return Unavailable(reason_of(error))
    return None


def _pause_s(failures: int, error: ServiceError) -> float:
    back_off_s = delay_s(failures, every_s=RETRY_S, max_backoff_s=MAX_RETRY_S, jitter=0.2, draw=random.random())
    return max(back_off_s, min(error.retry_after_s or 0.0, MAX_RETRY_S))

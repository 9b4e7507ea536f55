"""A monitor that takes reports on a real port as a test tells it to, and keeps all that it was sent.

async with FakeIngest.serving() as monitor:
    ... start a data plane with monitor_target=monitor.target ...
    monitor.refuse = grpc.StatusCode.UNAVAILABLE
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple, Self

import grpc
import grpc.aio
from headrace.router.v1 import predict_pb2
from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc


class Recorded(NamedTuple):
    """One prediction as a batch has it. inputs: by name."""

    group: telemetry_pb2.PredictionGroup
    prediction_id: str
    answer_time_us: int
    request_id: str
    unit: str
    entity_id: str
    total_us: int
    queue_us: int
    compute_us: int
    age_ms: int
    probability: float
    rows: int
    inputs: dict[str, bytes]
    outputs: predict_pb2.PredictResponse
    attributes: str


class FakeIngest(telemetry_pb2_grpc.TelemetrySinkServiceServicer):
    """Serves TelemetrySinkService.

    refuse: the status of every answer; None takes what comes. lose: so many answers are lost: what comes is stored, and
    the caller is told UNAVAILABLE. going: while it is cleared, calls hang. received: batches as they came, repeated
    ones too. stored: by process and number. reports: of counters, those that were taken. pairs: of shadows, likewise.
    """

    def __init__(self) -> None:
        self.target = ""
        self.refuse: grpc.StatusCode | None = None
        self.lose = 0
        self.going = asyncio.Event()
        self.going.set()
        self.received: list[telemetry_pb2.ReportPredictionsRequest] = []
        self.stored: dict[tuple[str, int], telemetry_pb2.ReportPredictionsRequest] = {}
        self.reports: list[telemetry_pb2.ReportCountersRequest] = []
        self.pairs: list[telemetry_pb2.ShadowPair] = []
        self._server: grpc.aio.Server | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def serving(cls) -> AsyncIterator[Self]:
        """Serve on a free port of 127.0.0.1 until the block ends; `target` is its host:port."""
        monitor = cls()
        await monitor.open()
        try:
            yield monitor
        finally:
            monitor.going.set()
            await monitor.die()

    async def open(self, port: int = 0) -> None:
        """Listen, again after `die`."""
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", 16 * 1024 * 1024),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 500),
                ("grpc.http2.max_ping_strikes", 0),
            ]
        )
        telemetry_pb2_grpc.add_TelemetrySinkServiceServicer_to_server(self, self._server)
        self.target = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        await self._server.start()

    async def die(self) -> None:
        """Drop every call and close the port, as a process that is killed does."""
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    async def ReportPredictions(self, request, context):
        self.received.append(request)
        await self._agree(context)
        self.stored.setdefault((request.process, request.sequence), request)
        await self._answer(context)
        return telemetry_pb2.ReportPredictionsResponse()

    async def ReportCounters(self, request, context):
        await self._agree(context)
        self.reports.append(request)
        await self._answer(context)
        return telemetry_pb2.ReportCountersResponse()

    async def ReportShadowPairs(self, request, context):
        await self._agree(context)
        self.pairs.extend(request.pairs)
        return telemetry_pb2.ReportShadowPairsResponse()

    def predictions(self) -> list[Recorded]:
        """Return all predictions that are stored, in the order of their batches."""
        return [one for key in sorted(self.stored) for one in recorded(self.stored[key].batch)]

    def numbers(self) -> list[int]:
        """Return the numbers of the batches that are stored."""
        return sorted(number for _, number in self.stored)

    def counted(self) -> dict[tuple[str, str, int, int], int]:
        """Return how many answers were counted by model, version, source and code, over all processes."""
        latest: dict[tuple[object, ...], telemetry_pb2.CounterSeries] = {}
        for report in sorted(self.reports, key=lambda one: one.sequence):
            for one in report.series:
                key = (one.model, one.version, one.variant, one.served_from, one.code, one.layer, one.fallback_step)
                latest[report.process, *key] = one
        counts: dict[tuple[str, str, int, int], int] = {}
        for one in latest.values():
            key = (one.model, one.version, one.served_from, one.code)
            counts[key] = counts.get(key, 0) + sum(one.duration_counts)
        return counts

    def dropped(self) -> dict[str, int]:
        """Return how many predictions the last report says were dropped, by reason."""
        return {one.reason: one.count for one in self.reports[-1].dropped} if self.reports else {}

    async def _agree(self, context) -> None:
        await self.going.wait()
        if self.refuse is not None:
            await context.abort(self.refuse, "the test says so")

    async def _answer(self, context) -> None:
        if self.lose:
            self.lose -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")


def recorded(batch: telemetry_pb2.PredictionBatch) -> Iterator[Recorded]:
    """Yield the predictions of a batch. ValueError when its columns do not fit together."""
    contents = iter(batch.inputs)
    ids = [batch.prediction_ids[at : at + 16] for at in range(0, len(batch.prediction_ids), 16)]
    columns = zip(
        batch.group, ids, batch.answer_time_us, batch.request_id, batch.unit, batch.entity_id, batch.total_us,
        batch.queue_us, batch.compute_us, batch.age_ms, batch.probability, batch.rows, batch.outputs, batch.attributes,
        strict=True,
    )  # fmt: skip
    for index, prediction_id, *numbers_and_texts, outputs, attributes in columns:
        group = batch.groups[index]
        values = (
            group,
            str(uuid.UUID(bytes=prediction_id)),
            *numbers_and_texts,
            {one.name: next(contents) for one in group.inputs},
            predict_pb2.PredictResponse.FromString(outputs),
            attributes,
        )
        yield Recorded._make(values)
    if next(contents, None) is not None:
        raise ValueError("there are more inputs than the groups list")

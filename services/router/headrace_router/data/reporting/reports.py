"""Reporting put together: what is counted and recorded, and how the monitor gets it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.pipelines.surroundings import StepExecution
from headrace_router.data.reporting.decisions.buffer import Buffer
from headrace_router.data.reporting.decisions.recorder import Recorder, new_drops
from headrace_router.data.reporting.decisions.sampling import Sampling
from headrace_router.data.reporting.decisions.series import CounterReports, Source
from headrace_router.data.reporting.encoder import Encoder
from headrace_router.data.reporting.senders import BatchSender, CounterSender, Ingest
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.served import RecordedStep
from headrace_router.data.telemetry.counters import Counters

log = structlog.get_logger()

# Of the buffer, for predictions that are not encoded yet.
RECORDER_SHARE = 0.25


class Allowance(NamedTuple):
    """bytes_per_s: recorded, beyond which units are sampled. buffer_bytes: that are not acknowledged. flush_s: how old
    a prediction gets before it is sent."""

    bytes_per_s: float
    buffer_bytes: int
    flush_s: float


class Reporting:
    """The reports of one process; a prometheus_client collector. `record` is for the predictor, `record_step` for
    pipelines. new_id: makes prediction ids.

    Run `encode`, `send_predictions` and `send_counters` for as long as the data plane lives, within `flushed`.
    """

    def __init__(
        self,
        source: Source,
        counters: Counters,
        ingest: Ingest,
        allowed: Allowance,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._now, self._new_id = counters.clock, new_id
        self._dropped = new_drops()
        full = Wakeup()
        self._recorder = Recorder(int(allowed.buffer_bytes * RECORDER_SHARE), self._dropped, full.wake)
        self.record = self._recorder.add
        self._buffer = Buffer(allowed.buffer_bytes - int(allowed.buffer_bytes * RECORDER_SHARE), self._dropped)
        self._batches = BatchSender(source, self._buffer, ingest, clock)
        self._encoder = Encoder(
            self._recorder,
            full,
            Sampling(allowed.bytes_per_s, clock.monotonic()),
            self._dropped,
            self._batches.put,
            unix_s=lambda: counters.unix_s(0.0),
            now=clock.monotonic,
            flush_s=allowed.flush_s,
        )
        self._counters = CounterSender(CounterReports(source, counters, self._dropped), ingest, clock)
        self.encode, self.send_predictions, self.send_counters = (
            self._encoder.run, self._batches.send, self._counters.send,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def flushed(self, within_s: float) -> AsyncIterator[None]:
        """Send at the end what there still is, as far as the time allows. The loops have ended by then."""
        try:
            yield
        finally:
            await self._encoder.finish()
            try:
                async with asyncio.timeout(within_s), asyncio.TaskGroup() as sending:
                    sending.create_task(self._batches.send_all())
                    sending.create_task(self._counters.send_all())
            except TimeoutError:
                log.warning("not everything was reported", predictions=self._buffer.predictions)

    def record_step(self, step: RecordedStep, asked: ResolvedRequest, executed: StepExecution) -> None:
        """Record what a member of a pipeline computed, as its own: no caller is counted, billed or joined by it."""
        layout, inputs, response, took_s = executed
        answer = Answer(
            response.outputs,
            ServedFrom.ONLINE,
            step.served,
            queue_us=response.queue_us,
            compute_us=response.compute_us,
            request_id=asked.request.request_id or asked.call.request_id,
            prediction_id=self._new_id(),
            took_s=took_s,
        )
        self._recorder.add_step(step, asked, layout, inputs, answer, self._now() - took_s)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        yield from self._of_predictions()
        encoder, batches, counters = self._encoder, self._batches, self._counters
        counts = {
            "recorded_predictions": ("Predictions that were put into batches.", encoder.recorded),
            "sampled_out_predictions": ("Predictions that the budget left out, by unit.", self._recorder.left_out),
            "reported_predictions": ("Predictions that the monitor acknowledged.", batches.predictions),
            "reported_batches": ("Batches that the monitor acknowledged.", batches.acknowledged),
            "report_retries": ("Times that a batch was not taken, and sent again.", batches.retried),
            "traffic_reports": ("Reports of counters that the monitor acknowledged.", counters.acknowledged),
            "traffic_reports_failed": ("Reports of counters that it did not take.", counters.failed),
        }
        for name, (meaning, count) in counts.items():
            yield CounterMetricFamily(f"headrace_router_{name}", meaning, value=count)

    def _of_predictions(self) -> Iterator[Metric]:
        dropped = CounterMetricFamily(
            "headrace_router_dropped_predictions", "Predictions that are in no batch, and why.", labels=("reason",)
        )
        for reason, count in self._dropped.items():
            dropped.add_metric((reason,), count)
        yield dropped
        values = {
            "report_buffer_bytes": ("Bytes not acknowledged.", self._recorder.size_bytes + self._buffer.size_bytes),
            "report_buffer_batches": ("Batches not acknowledged.", len(self._buffer)),
            "report_probability": ("Probability that a unit is recorded.", self._encoder.sampling.probability),
        }
        for name, (meaning, value) in values.items():
            yield GaugeMetricFamily(f"headrace_router_{name}", meaning, value=value)

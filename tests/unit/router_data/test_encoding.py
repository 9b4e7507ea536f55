"""The loop between recorder and buffer: nothing that happens in it ends it, and everything is accounted for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from headrace.telemetry.v1 import telemetry_pb2
from headrace_router.data.reporting.decisions.buffer import SealedBatch
from headrace_router.data.reporting.decisions.recorder import Recorder, new_drops
from headrace_router.data.reporting.decisions.sampling import Sampling
from headrace_router.data.reporting.encoder import BATCH_BYTES, BATCH_ROWS, MAX_RECORD_BYTES, Encoder
from headrace_servicekit.coordination.wakeup import Wakeup

from tests.kit.router.digits import ROW
from tests.kit.router.fake_control import resolved_version
from tests.kit.router.recording import answered, spec, table_with

MIB = 1024 * 1024
IMAGES = table_with(resolved_version("images", "v1", inputs=[spec("x", "UINT8", -1)]))


class Bench:
    """An encoder whose batches stay here. bytes_per_s: the budget."""

    def __init__(self, bytes_per_s: float = 1e9) -> None:
        self.dropped = new_drops()
        self.batches: list[SealedBatch] = []
        self.now = 0.0
        self.recorder = Recorder(1 << 30, self.dropped, lambda: None)
        self.encoder = Encoder(
            self.recorder,
            Wakeup(),
            Sampling(bytes_per_s, 0.0),
            self.dropped,
            self.batches.append,
            unix_s=lambda: 1.7e9,
            now=lambda: self.now,
            flush_s=1.0,
        )

    def image(self, size_bytes: int, **how) -> None:
        self.recorder.add(*answered(IMAGES, inputs={"x": ("UINT8", [1, size_bytes], bytes(size_bytes))}, **how))

    def sizes(self) -> list[int]:
        return [len(one.data) for one in self.batches]


async def test_batches_of_large_inputs_stay_within_what_the_monitor_takes():
    bench = Bench()
    for _ in range(30):
        bench.image(600_000)
    bench.image(MAX_RECORD_BYTES - 1000)
    await bench.encoder.finish()
    assert sum(one.predictions for one in bench.batches) == 31
    assert max(bench.sizes()) < BATCH_BYTES + MAX_RECORD_BYTES + MIB < 16 * MIB
    assert len(bench.batches) > 10


async def test_what_was_being_encoded_when_the_loop_was_stopped_is_handed_on_at_the_end():
    bench = Bench()
    for _ in range(5):
        bench.image(600_000)
    encoding = asyncio.create_task(bench.encoder.encode())
    await asyncio.sleep(0)
    encoding.cancel()
    await asyncio.wait({encoding})
    assert 0 < bench.encoder.recorded < 5
    bench.image(100)
    await bench.encoder.finish()
    assert sum(one.predictions for one in bench.batches) == 6


async def test_a_prediction_that_fits_no_message_is_left_out_and_counted():
    bench = Bench()
    bench.image(100)
    bench.image(MAX_RECORD_BYTES + 1)
    await bench.encoder.finish()
    assert [one.predictions for one in bench.batches] == [1]
    assert bench.dropped["TOO_LARGE"] == 1


async def test_many_small_rows_are_spread_over_batches():
    bench = Bench()
    for _ in range(300):
        bench.recorder.add(*answered(IMAGES, inputs={"x": ("UINT8", [1024, 1], bytes(1024))}))
    await bench.encoder.finish()
    messages = [telemetry_pb2.ReportPredictionsRequest.FromString(one.data).batch for one in bench.batches]
    assert sum(len(one.rows) for one in messages) == 300
    assert max(sum(one.rows) for one in messages) <= BATCH_ROWS


async def test_a_fault_costs_a_batch_and_nothing_else():
    bench = Bench()
    resolved, answer = answered()
    bench.recorder.add(resolved, replace(answer, prediction_id="no id"))
    bench.recorder.add(resolved, answer)
    await bench.encoder.encode()
    assert bench.dropped["NOT_ENCODED"] == 2
    bench.recorder.add(resolved, answer)
    await bench.encoder.finish()
    assert [one.predictions for one in bench.batches] == [1]


async def test_beyond_the_budget_the_probability_is_recorded():
    bench = Bench(bytes_per_s=10_000)
    for tenth in range(1, 40):
        bench.now = tenth / 10
        for number in range(100):
            bench.recorder.add(*answered(user=f"user-{number}", inputs={"x": ("FP32", [1, 4], ROW)}))
        await bench.encoder.encode()
    await bench.encoder.finish()
    messages = [telemetry_pb2.ReportPredictionsRequest.FromString(one.data) for one in bench.batches]
    seen = [pair for one in messages for pair in zip(one.batch.unit, one.batch.probability, strict=True)]
    last = bench.encoder.sampling.probability
    assert last < 0.25
    assert (seen[0][1], seen[-1][1]) == (1.0, last)
    by_unit = [unit for unit, probability in seen if probability == last]
    assert len(set(by_unit)) < 40
    assert all(by_unit.count(unit) == by_unit.count(by_unit[0]) for unit in by_unit)
    assert bench.encoder.recorded + bench.recorder.left_out == 3900
    assert len(seen) == bench.encoder.recorded

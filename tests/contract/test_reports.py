"""What a data plane reports is what the monitor takes: neither imports the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import uuid_utils
from headrace.telemetry.v1 import telemetry_pb2
from headrace_monitor.record.counters.convert import report_of
from headrace_monitor.record.log import checks
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.reporting.decisions.batches import Batch
from headrace_router.data.reporting.decisions.recorder import Record, new_drops
from headrace_router.data.reporting.decisions.series import CounterReports, Source
from headrace_router.data.telemetry.counters import Counters, Key

from tests.kit.router.digits import ROW
from tests.kit.router.fake_control import resolved_version
from tests.kit.router.recording import OUTPUTS, record, spec, table_with

PROCESS = str(uuid_utils.uuid7())
TEXTS = resolved_version(
    "texts",
    "v1",
    inputs=[spec("a", "BYTES"), spec("b", "FP32", -1, optional=True), spec("c", "INT8", sensitive=True)],
    outputs=[spec("y", "FP32", 1)],
)
INPUTS = {"a": ("BYTES", [1], b"\1\0\0\0a"), "b": ("FP32", [1, 2], bytes(8)), "c": ("INT8", [1], b"\1")}
WITHOUT_B = {name: INPUTS[name] for name in ("a", "c")}


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(record(), id="plain"),
        pytest.param(record(inputs={"x": ("FP32", [1024, 4], ROW * 1024)}), id="many rows"),
        pytest.param(record(table_with(TEXTS), inputs=INPUTS, outputs=OUTPUTS), id="every kind of input"),
        pytest.param(record(table_with(TEXTS), inputs=WITHOUT_B, outputs=OUTPUTS), id="one left out"),
        pytest.param(
            record(given=True, served_from=ServedFrom.FALLBACK, fallback_step="constant"), id="given by the route"
        ),
        pytest.param(record(pinned="v1", request="\0" * 9999, attributes={"a\0": "\x1f" * 9999}), id="odd texts"),
        pytest.param(record(queue_us=-1, compute_us=2**62, age_ms=2**63, took_s=1e9, arrived=-1e9), id="odd numbers"),
    ],
)
def test_the_monitor_takes_every_batch(made: Record):
    now = datetime.now(UTC)
    batch = Batch()
    batch.add([made, record(), made], 2.0**-20, now.timestamp())
    request = telemetry_pb2.ReportPredictionsRequest.FromString(batch.encoded())
    request.MergeFrom(telemetry_pb2.ReportPredictionsRequest(data_plane="data-0", process=PROCESS, sequence=1))
    assert checks.check(request, now, timedelta(days=1)) == UUID(PROCESS)


def test_the_monitor_takes_every_report_of_counters():
    counters, dropped = Counters(), new_drops()
    for source in (0, *ServedFrom):
        for code in range(17):
            key = Key("digits", "v1", "a", source, code, "memory" if source == ServedFrom.CACHE else "", "step")
            counters.observe(key, 2.0 ** (code - 8), counters.clock()).computed(3, 2, 5, 7)
    counters.observe(Key("", "", "", 0, 5), 1e-9, counters.clock())
    dropped.update(dict.fromkeys(dropped, 1))
    (report,) = CounterReports(Source("data-0", PROCESS), counters, dropped).unreported()
    taken = report_of(report.message)
    assert len(taken.series) == 6 * 17 + 1
    assert taken.dropped == dict(dropped)

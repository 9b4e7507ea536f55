"""What no data plane sends is refused by the name of the field, before anything relies on it."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from headrace.telemetry.v1 import telemetry_pb2
from headrace_monitor.record.log import checks, envelopes
from headrace_servicekit.errors import InvalidArgument

from tests.kit.monitor.predictions import batch, joined, report
from tests.kit.rows import each

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
PROCESS = uuid.UUID(int=7)
Request = telemetry_pb2.ReportPredictionsRequest


def good() -> Request:
    start_us = int(NOW.timestamp() * 1e6) - 10_000
    numbers = batch(
        {"x": np.zeros((3, 2), "f4"), "t": ["a", "b", "c"]}, {"y": np.zeros(3)}, rows=[1, 2], start_us=start_us
    )
    return report(
        joined(numbers, batch({"z": np.zeros((1, 1))}, {"y": [1]}, version="v2", start_us=start_us)), PROCESS, 1
    )


def spoil(statement: str) -> Callable[[Request], None]:
    return lambda request: exec(statement, {"r": request, "b": request.batch, "g": request.batch.groups})


def test_a_good_batch_is_taken():
    assert checks.check(good(), NOW, MONTH) == PROCESS


@each(
    "statement,field",
    [
        ("r.process = 'me'", "process"),
        ("r.process = '00000000-0000-0000-0000-00000000000A'", "process"),
        ("r.process = ''", "process"),
        ("r.sequence = 0", "sequence"),
        ("r.sequence = 2**62", "sequence"),
        ("r.data_plane = ''", "data_plane"),
        ("r.data_plane = 'a\\0b'", "data_plane"),
        ("r.ClearField('batch')", "batch.group"),
        ("b.ClearField('groups')", "batch.groups"),
        ("b.group[1] = 2", "batch.group[1]"),
        ("del b.unit[0]", "batch.unit"),
        ("b.attributes.append('')", "batch.attributes"),
        ("b.outputs.append(b'')", "batch.outputs"),
        ("b.prediction_ids = b.prediction_ids[:-1]", "batch.prediction_ids"),
        ("b.answer_time_us[2] = -1", "batch.answer_time_us[2]"),
        ("b.answer_time_us[0] += 2 * 3600 * 10**6", "batch.answer_time_us[0]"),
        ("b.answer_time_us[1] -= 31 * 86400 * 10**6", "batch.answer_time_us[1]"),
        ("b.probability[0] = 0", "batch.probability[0]"),
        ("b.probability[2] = 1.5", "batch.probability[2]"),
        ("b.probability[1] = float('nan')", "batch.probability[1]"),
        ("b.age_ms[1] = 2**64 - 1", "batch.age_ms[1]"),
        ("b.rows[0] = 0", "batch.rows[0]"),
        ("b.rows[0] = 2**32 - 1", "batch.rows"),
        ("b.rows[1] = 3", "batch.inputs[2]"),
        ("del b.inputs[0]", "batch.inputs"),
        ("b.inputs[0] = b''", "batch.inputs[0]"),
        ("b.inputs[3] = b'\\0' * 7", "batch.inputs[3]"),
        ("g[0].model = 'Digits/..'", "batch.groups[0].model"),
        ("g[0].model = ''", "batch.groups[0].model"),
        ("g[1].version = 'a--b'", "batch.groups[1].version"),
        ("g[1].variant = 'v' * 257", "batch.groups[1].variant"),
        ("g[0].inputs[1].name = ''", "batch.groups[0].inputs[1].name"),
        ("g[0].inputs[1].name = 'x'", "batch.groups[0].inputs"),
        ("g[0].inputs[0].datatype = 'FP8'", "batch.groups[0].inputs[0].datatype"),
        ("g[0].inputs[0].shape[0] = -1", "batch.groups[0].inputs[0].shape"),
        ("g[0].inputs[0].shape.extend([2**40] * 7)", "batch.groups[0].inputs[0].shape"),
    ],
)
def test_what_is_wrong_is_named(statement: str, field: str):
    request = good()
    spoil(statement)(request)
    with pytest.raises(InvalidArgument) as caught:
        checks.check(request, NOW, MONTH)
    assert caught.value.violations[0].field == field
    assert caught.value.violations[0].description


def test_values_of_a_route_name_no_version():
    request = good()
    request.batch.groups[1].version = ""
    assert checks.check(request, NOW, MONTH) == PROCESS


def test_a_batch_is_stored_as_it_came_and_nothing_else_is_taken_for_one():
    request = good()
    packed = envelopes.pack(request)
    assert envelopes.unpack(packed) == request
    huge = packed[:4] + (2**40).to_bytes(8, "little") + packed[12:]
    longer = packed[:4] + (len(packed) + 2**20).to_bytes(8, "little") + packed[12:]
    for damaged in (b"", b"HRB1", packed[:-1], packed[:30] + b"\0\0" + packed[32:], huge, longer, b"PAR1" + packed):
        with pytest.raises(envelopes.DamagedError):
            envelopes.unpack(damaged)


def test_a_key_names_one_batch():
    key = envelopes.batch_key(PROCESS, 12)
    assert envelopes.batch_of(key) == (PROCESS, 12)
    for other in ("batches/12", f"batches/{PROCESS}/12", f"batches/{PROCESS}/x", f"{key}/x", "log/a"):
        assert envelopes.batch_of(other) is None

"""Which formats a pool of batchers runs."""

from datetime import UTC, datetime

from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2
from headrace_router.control.decisions.readiness import ONNX, Occupancy, Report, formats_by_pool
from headrace_router.control.messages.batchers import batcher_to_proto, reported_from_proto
from headrace_router.control.storage import documents

LATER = datetime(2026, 11, 29, 13, tzinfo=UTC)
PYTHON = registry_pb2.FORMAT_PYTHON


def report(pool: str, process: str, *formats: int) -> Report:
    return Report(pool, process, "127.0.0.1:1", LATER, {}, Occupancy(formats=formats))


def test_a_pool_runs_what_every_batcher_of_it_runs():
    reports = [report("default", "a", ONNX, PYTHON), report("default", "b", ONNX), report("code", "c", PYTHON)]
    assert formats_by_pool(reports) == {"code": {PYTHON}, "default": {ONNX}}


def test_a_batcher_of_a_release_before_formats_runs_onnx():
    assert registry_pb2.FORMAT_ONNX == ONNX
    assert formats_by_pool([report("default", "a")]) == {"default": {ONNX}}


def test_formats_are_kept_and_shown_as_they_were_reported_without_those_of_a_later_release():
    said = control_pb2.ReportVersionsRequest(formats=[registry_pb2.FORMAT_ONNX, PYTHON])
    said.formats.append(99)  # pyright: ignore[reportArgumentType] - of a later release
    held, occupancy = reported_from_proto(said)
    assert documents.occupancy_from_document(documents.occupancy_to_document(occupancy)).formats == (ONNX, PYTHON)
    shown = batcher_to_proto(Report("default", "p", "127.0.0.1:1", LATER, held, occupancy), {}, LATER)
    assert list(shown.formats) == [registry_pb2.FORMAT_ONNX, PYTHON]

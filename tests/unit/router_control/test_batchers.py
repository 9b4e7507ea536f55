"""What batchers say of themselves, as it is kept and as it is shown."""

import json
from datetime import UTC, datetime

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.router.v1 import compute_pb2, control_pb2, route_pb2
from headrace_router.control.decisions.readiness import Fleet, Held, Load, Occupancy, Phase, Report
from headrace_router.control.messages.batchers import batcher_to_proto, reported_from_proto
from headrace_router.control.storage import documents
from headrace_servicekit.errors import InvalidArgument

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 29, 13, tzinfo=UTC)
_Report = control_pb2.VersionReport
State = route_pb2.BatcherVersion


def load(rows: int, wait_s: int) -> route_pb2.BatcherLoad:
    return route_pb2.BatcherLoad(rows=rows, predicted_wait=Duration(seconds=wait_s))


def test_a_batcher_is_shown_with_what_it_holds_how_busy_it_is_and_how_long_its_loads_took():
    said = control_pb2.ReportVersionsRequest(
        versions=[
            _Report(digest="d2", state=_Report.STATE_READY, load=load(3, 2), load_duration=Duration(seconds=9)),
            _Report(digest="d1", state=_Report.STATE_FAILED, reason="not a\0model"),
        ],
        unwanted=[_Report(digest=digest, state=_Report.STATE_DRAINING) for digest in ("d0", "hidden")],
        draining=True,
        load=load(4, 30),
    )
    report = Report("default", "p1", "127.0.0.1:1", LATER, *reported_from_proto(said))
    names = {"d0": ("digits", "v0"), "d1": ("digits", "v1"), "d2": ("digits", "v2")}
    shown = batcher_to_proto(report, names, NOON)
    assert (shown.pool, shown.process, shown.address, shown.draining) == ("default", "p1", "127.0.0.1:1", True)
    assert (shown.load, shown.report_time.ToDatetime(UTC)) == (load(4, 30), NOON)
    assert [(one.version, one.state, one.reason, one.wanted) for one in shown.versions] == [
        ("v0", State.STATE_DRAINING, "", False),
        ("v1", State.STATE_FAILED, "not amodel", True),
        ("v2", State.STATE_READY, "", True),
    ]
    assert [(one.HasField("load"), one.HasField("load_duration")) for one in shown.versions] == [
        (False, False), (False, False), (True, True),
    ]  # fmt: skip
    assert (shown.versions[2].load, shown.versions[2].load_duration.seconds) == (load(3, 2), 9)


def test_what_a_version_was_asked_is_kept_and_shown_as_it_was_counted():
    counted = route_pb2.BatcherLoad(
        rows=3,
        predicted_wait=Duration(seconds=2),
        queued_rows=1,
        answered_requests=900,
        shed_requests=7,
        compute=Duration(seconds=60, nanos=500_000_000),
        variation=0.25,
    )
    said = control_pb2.ReportVersionsRequest(versions=[_Report(digest="d2", state=_Report.STATE_READY, load=counted)])
    held, occupancy = reported_from_proto(said)
    stored = documents.occupancy_from_document(documents.occupancy_to_document(occupancy))
    shown = batcher_to_proto(Report("default", "p1", "", LATER, held, stored), {"d2": ("digits", "v2")}, NOON)
    assert shown.versions[0].load == counted
    document = documents.occupancy_to_document(occupancy)
    assert Load(*document["loads"]["d2"]).answered == 900, "a control plane of the release before takes six values"
    del document["variations"]
    assert documents.occupancy_from_document(document).loads["d2"].variation == 0.0


def test_where_a_version_is_executed_is_stored_and_shown():
    inline = compute_pb2.Compute(way="COMPUTE_WAY_INLINE", reason="32 rows take 0.01 ms in process")
    said = control_pb2.ReportVersionsRequest()
    said.versions.add(digest="d1", state=_Report.STATE_READY, compute=inline)
    said.versions.add(digest="d2", state=_Report.STATE_READY).compute.reason = "of a later release"
    held, occupancy = reported_from_proto(said)
    stored = documents.occupancy_from_document(json.loads(json.dumps(documents.occupancy_to_document(occupancy))))
    names = {"d1": ("digits", "v1"), "d2": ("digits", "v2")}
    first, second = batcher_to_proto(Report("default", "p1", "", LATER, held, stored), names, NOON).versions
    assert first.compute == inline
    assert not second.HasField("compute")


@pytest.mark.parametrize(("utilisation", "shown"), [(0.75, True), (float("nan"), False), (75.0, False)])
def test_the_load_of_gpus_is_kept_and_shown_when_it_can_be(utilisation: float, shown: bool):
    gpu = route_pb2.GpuLoad(utilisation=utilisation, memory=0.5)
    held, occupancy = reported_from_proto(control_pb2.ReportVersionsRequest(gpu=gpu))
    stored = documents.occupancy_from_document(documents.occupancy_to_document(occupancy))
    told = batcher_to_proto(Report("default", "p1", "", LATER, held, stored), {}, NOON)
    assert told.HasField("gpu") == shown
    if shown:
        assert told.gpu == gpu


def test_a_batcher_of_a_release_before_says_nothing_of_its_load():
    report = Report("default", "p1", "", LATER, *reported_from_proto(control_pb2.ReportVersionsRequest()))
    assert not batcher_to_proto(report, {}, NOON).HasField("load")


@pytest.mark.parametrize(
    ("field", "state"),
    [("versions", _Report.STATE_DRAINING), ("versions", 9), ("unwanted", _Report.STATE_UNSPECIFIED)],
)
def test_a_state_that_cannot_be_is_refused_by_its_field(field: str, state: int):
    said = control_pb2.ReportVersionsRequest()
    getattr(said, field).add(digest="d1", state=state)
    with pytest.raises(InvalidArgument, match=rf"{field}\[0\].state"):
        reported_from_proto(said)


def test_times_beyond_reason_are_cut():
    said = control_pb2.ReportVersionsRequest(load=route_pb2.BatcherLoad(rows=-1))
    said.load.predicted_wait.seconds = 2**62
    said.versions.add(digest="d1", state=_Report.STATE_READY).load_duration.seconds = -5
    held, occupancy = reported_from_proto(said)
    assert (held["d1"].load_s, occupancy.load) == (0.0, Load(0, 1e6))


def test_documents_of_the_release_before_are_read():
    assert documents.held_from_document([2, ""]) == Held(Phase.READY)
    assert documents.occupancy_from_document({}) == Occupancy()


def test_the_batchers_of_a_pool_are_listed_by_address_and_those_whose_lease_ended_are_not():
    places = [("default", "b", LATER), ("cpu", "c", LATER), ("default", "a", LATER), ("default", "0", NOON)]
    fleet = Fleet([Report(pool, address, address, until) for pool, address, until in places], NOON)
    assert [one.address for one in fleet.batchers()] == ["c", "a", "b"]
    assert [one.address for one in fleet.batchers("default")] == ["a", "b"]
    assert fleet.batchers("none") == []

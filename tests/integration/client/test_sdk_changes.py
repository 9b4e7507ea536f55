"""Registering versions and changing routes by both clients over a real connection."""

import hashlib
import time
from pathlib import Path

import pytest
from headrace.router.v1 import route_pb2
from headrace_client import Condition, Example, InvalidArgument, Operator, PreconditionFailed, Rule, Variant, Version
from headrace_client import Production as FollowProduction
from headrace_servicekit import errors
from headrace_servicekit.testing import patience

from tests.kit.clients.both_clients import Call
from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_registry import FakeRegistry
from tests.kit.clients.fake_routes import FakeRoutes


def test_registering_streams_the_files_and_reports_progress(call: Call, registry: FakeRegistry, tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "labels.json").write_text("[]")
    seen: list[tuple[str, int, int]] = []
    call(
        "versions.register",
        "digits",
        "v3",
        tmp_path / "model.onnx",
        metrics={"accuracy": 0.9},
        artifacts={"labels.json": tmp_path / "labels.json"},
        progress=lambda *report: seen.append(report),
    )
    sha256 = hashlib.sha256(content).hexdigest()
    assert registry.uploads[sha256] == content
    created = registry.requests[-1].version
    assert created.artifacts[0].sha256 == sha256
    assert [artifact.name for artifact in created.artifacts] == ["model.onnx", "labels.json"]
    model_reports = [sent for name, sent, size in seen if name == "model.onnx" and size == len(content)]
    assert model_reports[0] == 0
    assert model_reports[-1] == len(content)
    assert model_reports == sorted(model_reports)


def test_an_upload_begins_anew_when_the_connection_fails(
    call: Call, door: FrontDoor, registry: FakeRegistry, tmp_path: Path
) -> None:
    door.fail("UploadArtifact", errors.Unavailable("cut"))
    (tmp_path / "model.onnx").write_bytes(b"whole file")
    call("versions.register", "digits", "v3", tmp_path / "model.onnx")
    assert list(registry.uploads.values()) == [b"whole file"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("model.pkl", "end in one of"), ("absent.json", "cannot read"), ("model.onnx", "the model itself")],
)
def test_a_file_that_cannot_be_sent_is_refused_before_anything_is(
    call: Call, door: FrontDoor, tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    (tmp_path / "model.pkl").write_bytes(b"pickle")
    with pytest.raises(InvalidArgument, match=words):
        call("versions.register", "digits", "v3", tmp_path / "model.onnx", artifacts={name: tmp_path / name})
    assert "CreateModelVersion" not in door.methods()


def test_a_split_keeps_what_it_does_not_change_and_carries_the_etag(call: Call, routes: FakeRoutes) -> None:
    routes.routes["digits"].etag = "read-before"
    routes.routes["digits"].max_wait.FromMilliseconds(3)
    done = call("routes.split", "digits", [Variant("stable", FollowProduction(), 90), Variant("v2", Version("v2"), 10)])
    (update,) = routes.updates
    assert update.route.etag == "read-before"
    assert update.route.max_wait.ToMilliseconds() == 3
    assert [variant.WhichOneof("serves") for variant in update.route.variants] == ["follow_production", "version"]
    assert done.moved_share == pytest.approx(0.1)


def test_waiting_for_an_epoch_goes_on_over_answers_that_come_too_early(
    call: Call, door: FrontDoor, routes: FakeRoutes
) -> None:
    door.fail("AwaitRegistryEpoch", errors.PreconditionFailed("loading", reason="VERSION_NOT_READY"), times=2)
    routes.serve_epoch("digits", 9)
    seen = []
    status = call("routes.await_epoch", "digits", 9, timeout=30.0, progress=seen.append)
    assert status.generation == 1
    assert len(seen) == 3  # while it waits, and at its end


def test_waiting_for_an_epoch_outlasts_a_control_plane_that_restarts(call: Call, door: FrontDoor) -> None:
    door.fail("AwaitRegistryEpoch", errors.Unavailable("starting", retry_after_s=1.0))
    assert call("routes.await_epoch", "digits", 1, timeout=30.0, progress=lambda status: None).generation == 1


def test_waiting_for_an_epoch_waits_for_connected_data_planes_and_for_no_others(call: Call, routes: FakeRoutes) -> None:
    status = routes.status["digits"]
    status.data_planes.add(name="gone", connected=False)
    late = status.data_planes.add(name="late", connected=True)
    status.unacknowledged_data_planes.extend(["gone", "late"])
    seen = []

    def progress(present: route_pb2.RouteStatus) -> None:
        seen.append(present)
        if len(seen) == 3:
            late.acknowledged = True
            status.unacknowledged_data_planes.remove("late")

    found = call("routes.await_epoch", "digits", 1, timeout=30.0, progress=progress)
    assert list(found.unacknowledged_data_planes) == ["gone"]
    assert len(seen) == 4


def test_rules_are_set_by_text_or_by_value_and_seen_before_they_are(call: Call, routes: FakeRoutes) -> None:
    foreseen = call(
        "routes.dry_run", "digits", rules=["country=DE -> v2"], examples=[Example("ada", attributes={"a": "b"})]
    )
    assert foreseen.moved_share == pytest.approx(0.1)
    assert routes.updates == []
    asked = routes.dry_runs[-1]
    assert [(rule.name, rule.variant) for rule in asked.route.rules] == [("country-de", "v2")]
    assert [variant.name for variant in asked.route.variants][-1] == "v2"
    assert dict(asked.examples[0].attributes) == {"a": "b"}

    rule = Rule((Condition("beta", Operator.PRESENT),), "v2", "testers")
    call("routes.set_rules", "digits", [rule], reason="testers first", force=True)
    update = routes.updates[-1]
    assert list(update.route.rules) == [rule.to_proto()]
    assert (update.reason, update.force) == ("testers first", True)
    (event,) = call("routes.history", "digits")
    assert (event.reason, event.displaced_manager) == ("testers first", "rollouts/6")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        call("routes.set_rules", "digits", ["country -> "])


def test_waiting_for_an_epoch_ends_with_the_callers_patience(call: Call) -> None:
    start = time.monotonic()
    with pytest.raises(PreconditionFailed, match="epoch 99 does not serve"):
        call("routes.await_epoch", "digits", 99, timeout=0.3)
    assert time.monotonic() - start < patience(3)


def test_a_list_of_at_most_nothing_is_empty_and_asks_nobody(call: Call, door: FrontDoor) -> None:
    assert call("routes.history", "digits", limit=0) == []
    assert door.calls == []

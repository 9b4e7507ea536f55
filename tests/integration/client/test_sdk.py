"""Both clients over a real connection: the same calls, the same answers, the same errors."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2, route_pb2
from headrace_client import (
    AsyncClient,
    Cancelled,
    Client,
    Condition,
    Example,
    InvalidArgument,
    NotFound,
    Operator,
    PreconditionFailed,
    RetryPolicy,
    Rule,
    ServedFrom,
    Unauthenticated,
    Unavailable,
    Variant,
    Version,
)
from headrace_client import Production as FollowProduction
from headrace_servicekit import errors
from headrace_servicekit.testing import eventually

from tests.kit.fake_registry import FakeRegistry
from tests.kit.fake_routes import TIMING_MS, FakePredictions, FakeRoutes, echo, labels
from tests.kit.front_door import FrontDoor

IMAGE = {"image": np.zeros((1, 4), np.float32)}
QUICK = RetryPolicy(initial_s=0.001, max_s=0.01)

# Runs one method of either client; the tests below are written once for both.
Call = Callable[..., Any]


@pytest.fixture(params=["blocking", "awaited"])
def call(request: pytest.FixtureRequest, door: FrontDoor) -> Call:
    """Return what calls a method of a new client, blocking or awaited."""

    def blocking(method: str, *args: Any, token: Any = "t", **kwargs: Any) -> Any:
        with Client(door.address, token=token, retry=QUICK) as client:
            return getattr(client, method)(*args, **kwargs)

    def awaited(method: str, *args: Any, token: Any = "t", **kwargs: Any) -> Any:
        async def run() -> Any:
            async with AsyncClient(door.address, token=token, retry=QUICK) as client:
                return await getattr(client, method)(*args, **kwargs)

        return asyncio.run(run())

    return blocking if request.param == "blocking" else awaited


def test_a_prediction_takes_arrays_and_returns_arrays_with_their_origin(
    call: Call, predictions: FakePredictions
) -> None:
    answer = call("predict", "digits", {"image": np.ones((2, 4), np.float32)}, user_id="ada", entity_id="e1")
    np.testing.assert_array_equal(answer.outputs["label"], [7, 7])
    assert (answer.version, answer.variant, answer.served_from, answer.generation) == ("v1", "stable", "online", 3)
    (request,) = predictions.requests
    assert (request.user_id, request.entity_id, request.model) == ("ada", "e1", "digits")
    assert answer.request_id == request.request_id != ""


def test_a_degraded_answer_says_so(call: Call, predictions: FakePredictions) -> None:
    assert not call("predict", "digits", IMAGE).degraded

    def degraded(request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        answer = labels(request)
        answer.rung, answer.degraded_reason, answer.age_ms = "yesterday", "NO_BACKEND", 1500
        answer.served_from = predict_pb2.PredictResponse.SERVED_FROM_STALE
        return answer

    predictions.answer = degraded
    answer = call("predict", "digits", IMAGE)
    assert (answer.degraded, answer.rung, answer.degraded_reason) == (True, "yesterday", "NO_BACKEND")
    assert (answer.served_from, answer.age) == (ServedFrom.STALE, timedelta(seconds=1.5))


def test_an_answer_is_explained_by_the_id_of_the_prediction_or_of_the_request(
    call: Call, predictions: FakePredictions
) -> None:
    told = predict_pb2.ExplainResponse(
        prediction_id="p-1", model="digits", variant="stable", version="v1", slot=0, total_us=4200,
        served_from=predict_pb2.PredictResponse.SERVED_FROM_ONLINE,
    )  # fmt: skip
    told.attempts.add(rung="primary", version="v1", batcher="b:1", took_us=4000, compute_us=1000, batch_mates=2)
    predictions.explanations = {"p-1": told, "r-1": told}
    for explained in (call("explain", "p-1"), call("explain", request_id="r-1")):
        assert (explained.prediction_id, explained.variant, explained.slot) == ("p-1", "stable", 0)
        assert explained.served_from == ServedFrom.ONLINE
        assert explained.total == timedelta(microseconds=4200)
        (attempt,) = explained.attempts
        assert (attempt.rung, attempt.batcher, attempt.batch_mates) == ("primary", "b:1", 2)
        assert attempt.compute == timedelta(milliseconds=1)
    with pytest.raises(NotFound) as refused:
        call("explain", "p-2")
    assert refused.value.reason == "EXPLANATION_NOT_FOUND"
    for wrong in ({}, {"prediction_id": "p-1", "request_id": "r-1"}):
        with pytest.raises(InvalidArgument):
            call("explain", **wrong)


def test_an_explanation_is_asked_for_with_the_prediction(call: Call, predictions: FakePredictions) -> None:
    call("predict", "digits", IMAGE)
    call("predict", "digits", IMAGE, explain=True)
    assert [request.explain for request in predictions.requests] == [False, True]


def test_all_tries_of_a_prediction_have_its_request_id_in_message_and_header(
    call: Call, door: FrontDoor, predictions: FakePredictions
) -> None:
    door.fail("Predict", errors.Unavailable("restarting"), times=2)
    answer = call("predict", "digits", IMAGE)
    assert {seen.metadata["x-request-id"] for seen in door.calls} == {answer.request_id}
    assert [request.request_id for request in predictions.requests] == [answer.request_id]


def test_a_late_prediction_is_sent_again_when_that_is_wanted_and_the_first_answer_counts(
    call: Call, predictions: FakePredictions
) -> None:
    over = threading.Event()

    def first_one_hangs(request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        if len(predictions.requests) == 1:
            over.wait(30)
        return labels(request)

    predictions.answer = first_one_hangs
    try:
        answer = call("predict", "digits", IMAGE, hedge_after=timedelta(milliseconds=50), timeout=20.0)
    finally:
        over.set()
    assert answer.version == "v1"
    assert [request.request_id for request in predictions.requests] == [answer.request_id] * 2


def test_a_prediction_that_is_answered_or_refused_in_time_is_sent_once(
    call: Call, door: FrontDoor, predictions: FakePredictions
) -> None:
    call("predict", "digits", IMAGE, hedge_after=timedelta(seconds=10))
    door.fail("Predict", errors.InvalidArgument("no"))
    with pytest.raises(InvalidArgument):
        call("predict", "digits", IMAGE, hedge_after=timedelta(seconds=10))
    assert len(predictions.requests) == 1
    assert door.methods() == ["Predict"] * 2


def test_when_both_of_two_hedged_requests_fail_the_error_arrives_typed(
    call: Call, predictions: FakePredictions
) -> None:
    both = threading.Barrier(2, timeout=30)

    def fail_together(_request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        both.wait()
        raise errors.InvalidArgument("no", reason="CONTRACT_VIOLATED")

    predictions.answer = fail_together
    with pytest.raises(InvalidArgument) as refused:
        call("predict", "digits", IMAGE, hedge_after=timedelta(milliseconds=20), timeout=20.0)
    assert refused.value.reason == "CONTRACT_VIOLATED"


@pytest.mark.parametrize("hedge_after", [None, timedelta(seconds=10)], ids=["once", "hedged"])
def test_an_answer_says_where_the_time_went_when_that_is_asked(
    call: Call, predictions: FakePredictions, hedge_after: timedelta | None
) -> None:
    asked = call("predict", "digits", IMAGE, timing=True, hedge_after=hedge_after)
    assert asked.timing_ms == TIMING_MS
    assert call("predict", "digits", IMAGE, hedge_after=hedge_after).timing_ms == {}
    predictions.timing = "total;dur=much, cache;dur=0.5;desc=x, compute"
    assert call("predict", "digits", IMAGE, timing=True).timing_ms == {"cache": 0.5}


def test_the_token_is_sent_with_every_call(call: Call, door: FrontDoor) -> None:
    call("get_model", "digits", token=lambda: "minted")
    assert [seen.metadata["authorization"] for seen in door.calls] == ["Bearer minted"]


def test_every_call_has_a_deadline(call: Call, door: FrontDoor) -> None:
    call("predict", "digits", IMAGE)
    call("get_model", "digits", timeout=3.0)
    remaining = [seen.remaining_s or 0.0 for seen in door.calls]
    # A deadline travels rounded up to what `grpc-timeout` can say.
    assert 8 < remaining[0] <= 10.2
    assert 1 < remaining[1] <= 3.2


def test_unavailable_is_tried_again_until_it_answers(call: Call, door: FrontDoor) -> None:
    door.fail("Predict", errors.Unavailable("restarting", retry_after_s=0.01), times=3)
    assert call("predict", "digits", IMAGE).version == "v1"
    assert door.methods() == ["Predict"] * 4


def test_a_repeated_write_carries_the_same_request_id(call: Call, door: FrontDoor, registry: FakeRegistry) -> None:
    door.fail("PromoteModelVersion", errors.Unavailable("restarting"))
    call("promote", "digits", "v2", reason="better")
    call("promote", "digits", "v2", request_id="mine")
    assert door.methods() == ["PromoteModelVersion"] * 3
    made, given = (request.request_id for request in registry.requests)
    assert len(made) == 36
    assert given == "mine"


def test_an_error_arrives_typed_with_reason_and_fields(call: Call, door: FrontDoor) -> None:
    violation = errors.FieldViolation("inputs[0].shape", "is [1, 3]; [rows, 4] is expected")
    door.fail("Predict", errors.InvalidArgument("shape", reason="CONTRACT_VIOLATION", violations=[violation]))
    with pytest.raises(InvalidArgument) as refused:
        call("predict", "digits", IMAGE)
    assert refused.value.reason == "CONTRACT_VIOLATION"
    assert [v.field for v in refused.value.violations] == ["inputs[0].shape"]
    assert "inputs[0].shape: is [1, 3]" in str(refused.value)


def test_a_failed_precondition_lists_each_condition(call: Call, door: FrontDoor) -> None:
    violations = [errors.FieldViolation("gates.accuracy", "low"), errors.FieldViolation("gates.latency", "high")]
    door.fail(
        "PromoteModelVersion", errors.PreconditionFailed("no", reason="PROMOTION_GATE_FAILED", violations=violations)
    )
    with pytest.raises(PreconditionFailed) as refused:
        call("promote", "digits", "v2")
    assert [v.field for v in refused.value.violations] == ["gates.accuracy", "gates.latency"]


def test_a_refused_token_is_fetched_once_more(call: Call, door: FrontDoor) -> None:
    door.fail("GetModel", errors.Unauthenticated("expired"))
    tokens = iter(["old", "new"])
    call("get_model", "digits", token=lambda: next(tokens))
    assert [seen.metadata["authorization"] for seen in door.calls] == ["Bearer old", "Bearer new"]

    door.fail("GetModel", errors.Unauthenticated("foreign"), times=2)
    with pytest.raises(Unauthenticated):
        call("get_model", "digits")


def test_lists_are_read_to_the_last_page(call: Call, registry: FakeRegistry) -> None:
    for number in range(450):
        registry.put(f"model-{number:03}", "v1")
    assert len(call("list_models")) == 451


def test_registering_streams_the_files_and_reports_progress(call: Call, registry: FakeRegistry, tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "labels.json").write_text("[]")
    seen: list[tuple[str, int, int]] = []
    call(
        "register_version",
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
    call("register_version", "digits", "v3", tmp_path / "model.onnx")
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
        call("register_version", "digits", "v3", tmp_path / "model.onnx", artifacts={name: tmp_path / name})
    assert "CreateModelVersion" not in door.methods()


def test_a_split_keeps_what_it_does_not_change_and_carries_the_etag(call: Call, routes: FakeRoutes) -> None:
    routes.routes["digits"].etag = "read-before"
    routes.routes["digits"].max_wait.FromMilliseconds(3)
    done = call("split", "digits", [Variant("stable", FollowProduction(), 90), Variant("v2", Version("v2"), 10)])
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
    status = call("await_epoch", "digits", 9, timeout=30.0, progress=seen.append)
    assert status.generation == 1
    assert len(seen) == 3  # while it waits, and at its end


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

    found = call("await_epoch", "digits", 1, timeout=30.0, progress=progress)
    assert list(found.unacknowledged_data_planes) == ["gone"]
    assert len(seen) == 4


def test_rules_are_set_by_text_or_by_value_and_seen_before_they_are(call: Call, routes: FakeRoutes) -> None:
    foreseen = call("dry_run", "digits", rules=["country=DE -> v2"], examples=[Example("ada", attributes={"a": "b"})])
    assert foreseen.moved_share == pytest.approx(0.1)
    assert routes.updates == []
    asked = routes.dry_runs[-1]
    assert [(rule.name, rule.variant) for rule in asked.route.rules] == [("country-de", "v2")]
    assert [variant.name for variant in asked.route.variants][-1] == "v2"
    assert dict(asked.examples[0].attributes) == {"a": "b"}

    rule = Rule((Condition("beta", Operator.PRESENT),), "v2", "testers")
    call("set_rules", "digits", [rule], reason="testers first", force=True)
    update = routes.updates[-1]
    assert list(update.route.rules) == [rule.to_proto()]
    assert (update.reason, update.force) == ("testers first", True)
    (event,) = call("route_history", "digits")
    assert (event.reason, event.displaced_manager) == ("testers first", "rollouts/6")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        call("set_rules", "digits", ["country -> "])


def test_waiting_for_an_epoch_ends_with_the_callers_patience(call: Call) -> None:
    start = time.monotonic()
    with pytest.raises(PreconditionFailed, match="epoch 99 does not serve"):
        call("await_epoch", "digits", 99, timeout=0.3)
    assert time.monotonic() - start < 3


def test_a_door_that_is_not_there_is_unavailable_after_a_few_tries() -> None:
    with Client("127.0.0.1:1", token="t", retry=QUICK) as client, pytest.raises(Unavailable):
        client.get_model("digits", timeout=5.0)


def test_an_unknown_model_is_not_found(call: Call) -> None:
    with pytest.raises(NotFound) as absent:
        call("get_model", "absent")
    assert absent.value.reason == "MODEL_NOT_FOUND"


async def test_many_tasks_share_one_async_client_and_its_token(door: FrontDoor) -> None:
    fetched = 0

    async def provider() -> str:
        nonlocal fetched
        fetched += 1
        return "t"

    async with AsyncClient(door.address, token=provider) as client:
        await client.get_model("digits")
        answers = await asyncio.gather(*(client.predict("digits", IMAGE, user_id=str(n)) for n in range(50)))
    assert len({answer.request_id for answer in answers}) == 50
    assert fetched == 1


async def test_cancelling_a_task_gives_the_call_up(door: FrontDoor, routes: FakeRoutes) -> None:
    async with AsyncClient(door.address, token="t") as client:
        waiting = asyncio.create_task(client.await_epoch("digits", 99, timeout=20.0))
        await eventually(lambda: "AwaitRegistryEpoch" in door.methods(), within=5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    routes.serve_epoch("digits", 99)


def test_closing_the_client_fails_what_is_in_progress() -> None:
    class Slow(FakePredictions):
        def Predict(self, request: Any, context: Any) -> Any:
            client.close()
            time.sleep(0.2)
            return echo(request)

    with FrontDoor.serving(Slow()) as door:
        client = Client(door.address, token="t")
        with pytest.raises(Cancelled):
            client.predict("digits", IMAGE)

"""Predictions and explanations by both clients over a real connection."""

import threading
from datetime import timedelta

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace_client import InvalidArgument, NotFound, Prediction, ServedFrom
from headrace_servicekit import errors

from tests.kit.clients.both_clients import IMAGE, Call
from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_routes import TIMING_MS, FakePredictions, echo, labels


def test_a_prediction_takes_arrays_and_returns_arrays_with_their_origin(
    call: Call, predictions: FakePredictions
) -> None:
    answer = call("predict", "digits", {"image": np.ones((2, 4), np.float32)}, user_id="ada", entity_id="e1")
    np.testing.assert_array_equal(answer.outputs["label"], [7, 7])
    assert (answer.version, answer.variant, answer.served_from, answer.generation) == ("v1", "stable", "online", 3)
    (request,) = predictions.requests
    assert (request.user_id, request.entity_id, request.model) == ("ada", "e1", "digits")
    assert request.request_id == ""  # the header has it: messages with the same inputs are the same


def test_a_degraded_answer_says_so(call: Call, predictions: FakePredictions) -> None:
    assert not call("predict", "digits", IMAGE).degraded

    def degraded(request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        answer = labels(request)
        answer.fallback_step, answer.degraded_reason, answer.age_ms = "yesterday", "NO_BACKEND", 1500
        answer.served_from = predict_pb2.PredictResponse.SERVED_FROM_STALE
        return answer

    predictions.answer = degraded
    answer = call("predict", "digits", IMAGE)
    assert (answer.degraded, answer.fallback_step, answer.degraded_reason) == (True, "yesterday", "NO_BACKEND")
    assert (answer.served_from, answer.age) == (ServedFrom.STALE, timedelta(seconds=1.5))


def test_an_answer_is_explained_by_the_id_of_the_prediction_or_of_the_request(
    call: Call, predictions: FakePredictions
) -> None:
    told = predict_pb2.ExplainResponse(
        prediction_id="p-1", model="digits", variant="stable", version="v1", bucket=0, total_us=4200,
        served_from=predict_pb2.PredictResponse.SERVED_FROM_ONLINE,
    )  # fmt: skip
    told.attempts.add(step="primary", version="v1", batcher="b:1", took_us=4000, compute_us=1000, batch_mates=2)
    predictions.explanations = {"p-1": told, "r-1": told}
    for explained in (call("explain", "p-1"), call("explain", request_id="r-1")):
        assert (explained.prediction_id, explained.variant, explained.bucket) == ("p-1", "stable", 0)
        assert explained.served_from == ServedFrom.ONLINE
        assert explained.total == timedelta(microseconds=4200)
        (attempt,) = explained.attempts
        assert (attempt.step, attempt.batcher, attempt.batch_mates) == ("primary", "b:1", 2)
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


def test_all_tries_of_a_prediction_have_one_request_id_which_the_message_has_where_it_is_given(
    call: Call, door: FrontDoor, predictions: FakePredictions
) -> None:
    door.fail("Predict", errors.Unavailable("restarting"), times=2)
    assert call("predict", "digits", IMAGE, request_id="r-1").request_id == "r-1"
    assert {seen.metadata["x-request-id"] for seen in door.calls} == {"r-1"}
    assert [request.request_id for request in predictions.requests] == ["r-1"]
    door.calls.clear()
    door.fail("Predict", errors.Unavailable("restarting"), times=2)
    answer = call("predict", "digits", IMAGE)
    assert {seen.metadata["x-request-id"] for seen in door.calls} == {answer.request_id}


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
        answer = call(
            "predict", "digits", IMAGE, request_id="r-1", hedge_after=timedelta(milliseconds=50), timeout=20.0
        )
    finally:
        over.set()
    assert answer.version == "v1"
    assert [request.request_id for request in predictions.requests] == ["r-1"] * 2


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


def test_many_rows_are_answered_in_parts_as_they_are_there(call: Call, predictions: FakePredictions) -> None:
    predictions.answer = echo
    rows = np.arange(20, dtype=np.float32).reshape(5, 4)
    parts: dict[int, Prediction] = {}
    call("predict_stream", "digits", {"image": rows}, parts.__setitem__, user_id="ada", outputs=["image"])
    assert list(parts) == [4, 2, 0]
    (found,) = {name for part in parts.values() for name in part.outputs}
    np.testing.assert_array_equal(np.concatenate([parts[first].outputs[found] for first in (0, 2, 4)]), rows)
    (request,) = predictions.requests
    assert (request.user_id, list(request.outputs)) == ("ada", ["image"])


def test_a_stream_that_breaks_is_asked_for_again_and_gives_no_part_twice(
    call: Call, predictions: FakePredictions
) -> None:
    answered = iter(range(100))

    def breaks_once(request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        if next(answered) == 2:
            raise errors.Unavailable("the data plane goes", reason="STOPPING", retry_after_s=0.01)
        return labels(request)

    predictions.answer = breaks_once
    given: list[int] = []
    rows = {"image": np.zeros((6, 4), np.float32)}
    call("predict_stream", "digits", rows, lambda first_row, _part: given.append(first_row))
    assert given == [4, 2, 0]
    assert len(predictions.requests) == 2


def test_what_the_receiver_of_parts_raises_ends_the_call(call: Call, predictions: FakePredictions) -> None:
    def full(first_row: int, part: Prediction) -> None:
        raise MemoryError("no room")

    with pytest.raises(MemoryError):
        call("predict_stream", "digits", {"image": np.zeros((6, 4), np.float32)}, full)
    assert len(predictions.requests) == 1

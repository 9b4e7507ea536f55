"""Predictions and explanations by both clients over a real connection."""

import threading
from datetime import timedelta

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace_client import InvalidArgument, NotFound, ServedFrom
from headrace_servicekit import errors

from tests.kit.both_clients import IMAGE, Call
from tests.kit.fake_routes import TIMING_MS, FakePredictions, labels
from tests.kit.front_door import FrontDoor


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

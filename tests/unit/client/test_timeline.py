"""An explanation as people read it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from headrace.router.v1 import predict_pb2
from headrace_client.cli.timeline import COMPUTE, OTHER, QUEUE, ROUTE, WIDTH, bars, duration, facts, heading
from headrace_client.operations.explanations import Explanation

ATTEMPT = predict_pb2.ExplainResponse.Attempt


def told(*attempts: predict_pb2.ExplainResponse.Attempt, **fields) -> Explanation:
    given = {
        "prediction_id": "p", "model": "digits", "generation": 7, "variant": "stable", "variant_version": "v2",
        "version": "v2", "digest": "d" * 64, "served_from": 1, "route_us": 1_000, "total_us": 10_000,
    }  # fmt: skip
    return Explanation.from_proto(predict_pb2.ExplainResponse(attempts=attempts, **(given | fields)))


def test_bars_are_as_long_as_what_they_stand_for_and_begin_where_it_began() -> None:
    one = ATTEMPT(step="primary", begin_us=1_000, took_us=8_000, queue_us=2_000, compute_us=4_000)
    deciding, primary = bars(told(one))
    assert deciding.bar.rstrip() == ROUTE * round(0.1 * WIDTH)
    begin = round(0.1 * WIDTH)
    assert primary.bar[:begin].isspace()
    assert primary.bar.count(QUEUE) == pytest.approx(0.2 * WIDTH, abs=1)
    assert primary.bar.count(COMPUTE) == pytest.approx(0.4 * WIDTH, abs=1)
    assert primary.bar.count(OTHER) == pytest.approx(0.2 * WIDTH, abs=1)
    assert len(deciding.bar) == len(primary.bar) == WIDTH


@pytest.mark.parametrize(
    ("begin_us", "took_us"),
    [
        pytest.param(0, 0, id="nothing"),
        pytest.param(10_000, 0, id="at the end"),
        pytest.param(9_999, 50_000, id="beyond the end"),
        pytest.param(0, 10_000, id="everything"),
        pytest.param(5_000, 1, id="a moment"),
    ],
)
def test_every_attempt_is_seen_and_no_bar_leaves_its_place(begin_us: int, took_us: int) -> None:
    bar = bars(told(ATTEMPT(step="primary", begin_us=begin_us, took_us=took_us)))[1].bar
    assert len(bar) == WIDTH
    assert bar.strip()


def test_a_published_answer_says_what_computed_it() -> None:
    origin = {"run": "jobs/nightly/runs/7", "manifest_digest": "abc"}
    said = dict(facts(told(publish="models/digits/versions/v2/publishes/7", origin=origin)))
    assert said["published"] == "models/digits/versions/v2/publishes/7 by jobs/nightly/runs/7, manifest abc"
    assert dict(facts(told()))["published"] == ""


def test_an_explanation_without_any_time_is_drawn_too() -> None:
    assert len(bars(told(total_us=0, route_us=0))[0].bar) == WIDTH


def test_an_attempt_says_who_was_asked_with_whom_and_why_it_failed() -> None:
    lost = ATTEMPT(step="primary", version="v2", pool="default", batcher="b:1", reason="BATCHER_LOST")
    backup = ATTEMPT(
        step="older", version="v1", pool="cpu", batcher="c:1", queue_us=100, compute_us=200, batch_rows=8,
        batch_mates=3, hedge=True, compute_way="COMPUTE_WAY_INLINE",
    )  # fmt: skip
    _, first, second = bars(told(lost, backup))
    assert first.what == "v2, b:1 of pool default, BATCHER_LOST"
    assert second.name == "older (hedge)"
    assert second.what == "v1, c:1 of pool cpu, queue 0.10 ms, compute 0.20 ms (inline), 8 rows with 3 other requests"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"bucket": 12}, "variant stable (bucket 12) → v2; generation 7 of the route", id="weights"),
        pytest.param(
            {"rule": "country-de"}, "variant stable (rule country-de) → v2; generation 7 of the route", id="rule"
        ),
        pytest.param({}, "variant stable (the only one) → v2; generation 7 of the route", id="one variant"),
        pytest.param({"variant": ""}, "version v2, which the caller named; generation 7 of the route", id="pinned"),
        pytest.param({"generation": 0}, "", id="never routed"),
    ],
)
def test_who_decided_is_said_in_a_line(fields: dict, expected: str) -> None:
    assert dict(facts(told(**fields)))["decided"] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, "digits: answered from online in 10.00 ms", id="answer"),
        pytest.param(
            {"served_from": 5, "fallback_step": "cpu", "degraded_reason": "NO_BACKEND"},
            "digits: answered from fallback in 10.00 ms, degraded: NO_BACKEND",
            id="degraded",
        ),
        pytest.param(
            {"served_from": 0, "code": 4, "reason": "DEADLINE_PASSED"},
            "digits: DEADLINE_EXCEEDED [DEADLINE_PASSED] after 10.00 ms",
            id="error",
        ),
        pytest.param(
            {"model": "", "served_from": 0, "code": 3},
            "a model without a name: INVALID_ARGUMENT after 10.00 ms",
            id="no model",
        ),
    ],
)  # fmt: skip
def test_what_became_of_it_is_said_first(fields: dict, expected: str) -> None:
    assert heading(told(**fields)) == expected


def test_a_kept_answer_says_its_age_and_an_answer_of_a_shared_flight_that_it_was() -> None:
    said = dict(facts(told(served_from=2, age_ms=90_500, lookup_outcome="MISS", shared_execution=True)))
    assert said["answered"] == f"version v2, 90.5 s old, digest {'d' * 16}"
    assert said["look-up"] == "MISS; computed for another request with the same key"


def test_durations_are_milliseconds_until_they_are_many() -> None:
    assert [duration(timedelta(milliseconds=ms)) for ms in (0.012, 950, 12_345)] == ["0.01 ms", "950.00 ms", "12.35 s"]

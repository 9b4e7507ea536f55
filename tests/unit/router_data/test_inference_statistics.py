"""What `ModelStatistics` makes of the counters."""

from __future__ import annotations

import pytest
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.protocols.oip.catalog import number_of, statistics_of
from headrace_router.data.telemetry.counters import Counters, Key
from headrace_servicekit.errors import Code

ONLINE = Key("m", "v1", "production", ServedFrom.ONLINE, Code.OK)


def test_what_was_computed_is_told_apart_from_what_was_kept_and_what_failed():
    counters = Counters()
    for variant in ("a", "b"):
        counters.observe(ONLINE._replace(variant=variant), 0.5, 1.0).computed(
            rows=3, batch_requests=4, queue_us=100, compute_us=200
        )
    counters.observe(ONLINE._replace(served_from=ServedFrom.CACHE), 0.25, 1.0)
    counters.observe(ONLINE._replace(served_from=0, code=Code.UNAVAILABLE), 0.125, 1.0)
    counters.observe(ONLINE._replace(model="other"), 1, 1.0)
    (seen,) = statistics_of([("m", "v1")], counters)
    assert (seen["inference_count"], seen["execution_count"]) == (6, 0)  # half an execution, as half of 4 requests
    assert seen["inference_stats"] == {
        "success": {"count": 3, "ns": 1_250_000_000},
        "fail": {"count": 1, "ns": 125_000_000},
        "queue": {"count": 3, "ns": 200_000},
        "compute_input": {"count": 2, "ns": 0},
        "compute_infer": {"count": 2, "ns": 400_000},
        "compute_output": {"count": 2, "ns": 0},
        "cache_hit": {"count": 1, "ns": 250_000_000},
        "cache_miss": {"count": 0, "ns": 0},
    }


def test_an_execution_is_counted_once_whoever_shared_it():
    counters = Counters()
    for _ in range(8):
        counters.observe(ONLINE, 0.5, 1.0).computed(rows=1, batch_requests=4, queue_us=1, compute_us=1)
    assert statistics_of([("m", "v1")], counters)[0]["execution_count"] == 2


def test_the_last_answer_has_a_time():
    counters = Counters(clock=lambda: 12.0, wall=lambda: 1_700_000_002.5)
    counters.observe(ONLINE, 0.5, 10.0)
    assert statistics_of([("m", "v1")], counters)[0]["last_inference"] == 1_700_000_000_500
    assert statistics_of([("m", "v2")], counters)[0]["last_inference"] == 0


LONG = "v" + "9" * 19


@pytest.mark.parametrize(
    ("name", "number"),
    [("1", "1"), ("v1", "1"), ("v12", "12"), ("0", "0"), ("v01", "v01"), ("may", "may"), (LONG, LONG)],
)
def test_versions_are_called_by_their_number_where_their_name_says_one(name: str, number: str):
    assert number_of(name) == number


def test_no_two_versions_of_a_model_are_called_alike():
    seen = statistics_of([("m", "v1"), ("m", "1"), ("other", "v1")], Counters())
    assert [(one["name"], one["version"]) for one in seen] == [("m", "v1"), ("m", "1"), ("other", "1")]

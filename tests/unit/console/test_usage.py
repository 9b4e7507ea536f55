"""Callers of models, summed over what the page does not show."""

from headrace.router.v1 import usage_pb2
from headrace_console.pages.usage import callers_of

Usage = usage_pb2.GetUsageResponse.Usage


def test_callers_are_summed_over_pools_versions_and_priorities_with_their_share():
    rows = [
        Usage(client="ada", model="digits", version="v1", pool="a", requests=10, rows=20, compute_s=1.0),
        Usage(client="ada", model="digits", version="v2", pool="b", requests=5, rows=5, compute_s=2.0),
        Usage(model="digits", version="v2", requests=1, rows=1, compute_s=1.0),
    ]
    ada, own = callers_of(rows, 4.0)
    assert (ada.client, ada.versions, ada.requests, ada.rows, ada.share) == ("ada", ("v1", "v2"), 15, 25, 0.75)
    assert (own.client, own.share) == ("", 0.25)


def test_nothing_executed_is_no_share():
    assert [one.share for one in callers_of([Usage(client="ada", model="digits")], 0.0)] == [0.0]

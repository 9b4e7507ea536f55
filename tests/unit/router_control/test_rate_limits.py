"""What a rate limit can be, and what tells client limits from others."""

import math

import pytest
from headrace.router.v1 import client_limits_pb2
from headrace_router.control.decisions.rate_limits import RateLimit, rate_limit_violations
from headrace_router.control.messages.rate_limits import rate_limit, to_watched
from headrace_router.outage import Outage
from headrace_servicekit.errors import InvalidArgument

from tests.kit.rows import each


def limit(
    name="l", client="ada", model="fraud", requests_per_second=10.0, burst=0, shadow_mode=False, outage=Outage.LOCAL
):
    return RateLimit(name, client, model, requests_per_second, burst, shadow_mode, outage)


@pytest.mark.parametrize(
    "right", [{}, {"client": "*", "model": "*"}, {"requests_per_second": 0.001}, {"burst": 1_000_000}], ids=str
)
def test_what_a_rate_limit_can_be(right):
    assert list(rate_limit_violations(limit(**right))) == []


@each(
    "wrong,field",
    [
        ({"client": ""}, "client"),
        ({"client": "a\n"}, "client"),
        ({"client": "a" * 257}, "client"),
        ({"model": ""}, "model"),
        ({"model": "no id"}, "model"),
        *(({"requests_per_second": number}, "requests_per_second") for number in (0.0, -1.0, 1e6, math.nan, math.inf)),
        ({"burst": -1}, "burst"),
        ({"burst": 1_000_001}, "burst"),
    ],
)
def test_what_is_wrong_with_one_is_told_by_its_field(wrong, field):
    assert [one.field for one in rate_limit_violations(limit(**wrong))] == [f"rate_limit.{field}"]


def test_client_limits_that_differ_in_anything_have_another_revision():
    changed = [
        *({"client": "eve"}, {"model": "*"}, {"requests_per_second": 11.0}, {"burst": 5}),
        *({"shadow_mode": True}, {"outage": Outage.OPEN}, {"name": "other"}),
    ]
    over = client_limits_pb2.BudgetOverrun(client="ada", action=client_limits_pb2.BudgetOverrun.ACTION_LOWER)
    revisions = {to_watched([limit(**how)], []).revision for how in changed}
    assert to_watched([limit()], []).revision == to_watched([limit()], []).revision
    assert len(revisions | {to_watched(*of).revision for of in (([limit()], []), ([], []), ([limit()], [over]))}) == 10


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "budgets/l"}, "rate_limit.name"),
        ({"name": "rateLimits/UP"}, "rate_limit.name"),
        ({"outage": 9}, "rate_limit.outage"),
        ({"requests_per_second": 0.0}, "rate_limit.requests_per_second"),
    ],
)
def test_what_is_no_rate_limit_is_refused_by_its_field(fields, field):
    made = {"name": "rateLimits/l", "client": "ada", "model": "m", "requests_per_second": 5.0, **fields}
    with pytest.raises(InvalidArgument) as refused:
        rate_limit(client_limits_pb2.RateLimit(**made))
    assert [one.field for one in refused.value.violations] == [field]

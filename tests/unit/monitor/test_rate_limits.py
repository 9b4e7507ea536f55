"""What a rate limit can be, and what tells rate limits from others."""

import math

import pytest
from headrace_monitor.usage.decisions.rate_limits import Outage, RateLimit, rate_limit_violations, revision

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


def test_rate_limits_that_differ_in_anything_have_another_revision_and_their_order_makes_none():
    one, other = limit(), limit("k", "bob")
    assert revision([one, other]) == revision([other, one])
    changed = [
        *({"client": "eve"}, {"model": "*"}, {"requests_per_second": 11.0}, {"burst": 5}),
        *({"shadow_mode": True}, {"outage": Outage.OPEN}, {"name": "other"}),
    ]
    assert len({revision([limit(**how)]) for how in changed} | {revision([one]), revision([])}) == len(changed) + 2

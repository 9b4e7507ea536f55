"""Rate limits by REST: what is wrong with one is 400 and named, and a call by the name of release 0.1.0 is answered."""

from __future__ import annotations

from typing import Any

import pytest
from headrace.router.v1 import client_limits_pb2 as pb

from tests.kit.stack.served_models import LINEAR, Served, assert_refused

RIGHT = {"client": "ada", "model": LINEAR, "requests_per_second": 5}


@pytest.mark.parametrize(
    ("name", "wrong", "field"),
    [
        ("UP", {}, "rate_limit.name"),
        ("served", {"client": ""}, "rate_limit.client"),
        ("served", {"requests_per_second": 0}, "rate_limit.requests_per_second"),
        ("served", {"burst": -1}, "rate_limit.burst"),
        ("served", {"outage": 9}, "rate_limit.outage"),
    ],
)
def test_what_is_wrong_with_a_rate_limit_is_named(served: Served, name: str, wrong: dict[str, Any], field: str):
    refusal = served.rest_refused("PUT", f"/v1/rateLimits/{name}", json={**RIGHT, **wrong})
    assert refusal.code.name == "INVALID_ARGUMENT"
    assert field in (*refusal.fields, refusal.message.partition(":")[0]), refusal


def test_what_is_wrong_with_a_question_about_rate_limits_is_refused(served: Served):
    assert served.rest("GET", "/v1/rateLimits?model=x").status_code == 400
    assert_refused(served.rest_refused("DELETE", "/v1/rateLimits/UP"), "INVALID_ARGUMENT", "INVALID_ARGUMENT", "name")


def test_a_client_of_0_1_0_sets_shows_and_removes_one(served: Served):
    limit = pb.RateLimit(name="rateLimits/of-0-1-0", client="nobody-at-all", model="*", requests_per_second=5)
    former = "/headrace.monitor.v1.UsageService"
    served.call(f"{former}/PutRateLimit", pb.PutRateLimitRequest(rate_limit=limit))
    path = f"/v1/{limit.name}"
    assert limit.name in str(served.rest("GET", "/v1/rateLimits").json())
    listed = pb.ListRateLimitsResponse.FromString(served.call(f"{former}/ListRateLimits", b""))
    assert [one.client for one in listed.rate_limits if one.name == limit.name] == [limit.client]
    served.call(f"{former}/DeleteRateLimit", pb.DeleteRateLimitRequest(name=limit.name))
    assert limit.name not in str(served.rest("GET", "/v1/rateLimits").json())
    assert served.rest("PUT", path, json=RIGHT).json()["rate_limit"]["requests_per_second"] == 5
    assert served.rest("DELETE", path).status_code == 200

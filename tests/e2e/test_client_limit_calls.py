"""Usage, budgets and rate limits by REST: what is wrong is 400 and named; calls by the names of 0.1.0 are answered."""

from __future__ import annotations

from typing import Any

import pytest
from headrace.router.v1 import budget_pb2, client_limits_pb2, usage_pb2

from tests.kit.stack.served_models import LINEAR, Served, assert_refused

RATE_LIMIT = {"client": "ada", "model": LINEAR, "requests_per_second": 5}
BUDGET = {"client": "ada", "model": LINEAR, "period": "PERIOD_DAY", "compute_s": 1}
BACKWARDS = "range.start_time=2026-01-02T00:00:00Z&range.end_time=2026-01-01T00:00:00Z"
FORMER = "/headrace.monitor.v1.UsageService"


@pytest.mark.parametrize(
    ("path", "wrong", "field"),
    [
        ("rateLimits/UP", {}, "rate_limit.name"),
        ("rateLimits/served", {"client": ""}, "rate_limit.client"),
        ("rateLimits/served", {"requests_per_second": 0}, "rate_limit.requests_per_second"),
        ("rateLimits/served", {"burst": -1}, "rate_limit.burst"),
        ("rateLimits/served", {"outage": 9}, "rate_limit.outage"),
        ("budgets/UP", {}, "budget.name"),
        ("budgets/served", {"client": ""}, "budget.client"),
        ("budgets/served", {"refuse_above_s": 0.5}, "budget.refuse_above_s"),
    ],
)
def test_what_is_wrong_with_a_limit_is_named(served: Served, path: str, wrong: dict[str, Any], field: str):
    right = RATE_LIMIT if path.startswith("rateLimits") else BUDGET
    refusal = served.rest_refused("PUT", f"/v1/{path}", json={**right, **wrong})
    assert refusal.code.name == "INVALID_ARGUMENT"
    assert field in (*refusal.fields, refusal.message.partition(":")[0]), refusal


@pytest.mark.parametrize(
    ("verb", "path", "field"),
    [
        ("GET", "rateLimits?model=x", ""),
        ("DELETE", "rateLimits/UP", "name"),
        ("GET", "budgets?model=x", ""),
        ("DELETE", "budgets/UP", "name"),
        ("GET", "usage?model=models/UP", "model"),
        ("GET", f"usage?{BACKWARDS}", "range"),
        ("GET", "usage:idle?price_per_hour=-1", "price_per_hour"),
        ("GET", "usage:idle?target_utilisation=2", "target_utilisation"),
    ],
)
def test_what_is_wrong_with_a_question_about_limits_and_usage_is_refused(
    served: Served, verb: str, path: str, field: str
):
    refusal = served.rest_refused(verb, f"/v1/{path}")
    assert refusal.code.name == "INVALID_ARGUMENT"
    assert not field or field in (*refusal.fields, refusal.message.partition(":")[0]), refusal


def test_a_client_of_0_1_0_sets_shows_and_removes_limits(served: Served):
    limit = client_limits_pb2.RateLimit(
        name="rateLimits/of-0-1-0", client="nobody-at-all", model="*", requests_per_second=5
    )
    served.call(f"{FORMER}/PutRateLimit", client_limits_pb2.PutRateLimitRequest(rate_limit=limit))
    assert limit.name in str(served.rest("GET", "/v1/rateLimits").json())
    listed = client_limits_pb2.ListRateLimitsResponse.FromString(served.call(f"{FORMER}/ListRateLimits", b""))
    assert limit.client in [one.client for one in listed.rate_limits]
    served.call(f"{FORMER}/DeleteRateLimit", client_limits_pb2.DeleteRateLimitRequest(name=limit.name))
    assert limit.name not in str(served.rest("GET", "/v1/rateLimits").json())

    budget = budget_pb2.Budget(
        name="budgets/of-0-1-0", client="nobody-at-all", model="*", period="PERIOD_DAY", compute_s=5
    )
    served.call(f"{FORMER}/PutBudget", budget_pb2.PutBudgetRequest(budget=budget))
    assert budget.name in str(served.rest("GET", "/v1/budgets").json())
    found = budget_pb2.ListBudgetsResponse.FromString(served.call(f"{FORMER}/ListBudgets", b"")).budgets
    assert budget in [one.budget for one in found]
    served.call(f"{FORMER}/DeleteBudget", budget_pb2.DeleteBudgetRequest(name=budget.name))
    assert budget.name not in str(served.rest("GET", "/v1/budgets").json())
    assert usage_pb2.GetUsageResponse.FromString(served.call(f"{FORMER}/GetUsage", b"")).HasField("start_time")


@pytest.mark.parametrize(("path", "right"), [("rateLimits/written", RATE_LIMIT), ("budgets/written", BUDGET)])
def test_a_limit_is_set_and_removed(served: Served, path: str, right: dict[str, Any]):
    assert served.rest("PUT", f"/v1/{path}", json=right).status_code == 200
    assert f"'{path}'" in str(served.rest("GET", f"/v1/{path.partition('/')[0]}").json())
    assert served.rest("DELETE", f"/v1/{path}").status_code == 200


def test_what_batchers_report_is_not_taken_from_outside(served: Served):
    for method in ("ReportUsage", "TakeOver"):
        path = f"/headrace.router.v1.UsageService/{method}"
        assert_refused(served.refused(path, usage_pb2.ReportUsageRequest()), "UNIMPLEMENTED", "METHOD_UNKNOWN")

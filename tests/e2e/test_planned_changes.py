"""`headrace plan` refuses what `headrace apply` would refuse, and changes nothing, on the whole stack."""

from __future__ import annotations

import pytest

from tests.kit.clients.headrace_cli import Headrace

pytestmark = pytest.mark.timeout(240)

FILE = """
models:
  {model}: {{promotion_policy: {{gates: [{{metric: auc}}]}}}}
routes:
  {model}: {{variants: [{{name: production, version: v9, weight: 1}}]}}
alert_rules:
  {model}: {{model: {model}, signal: latency, above: 0.5}}
rate_limits:
  {model}: {{client: ada, model: {model}, requests_per_second: -1}}
budgets:
  {model}: {{client: ada, model: {model}, period: PERIOD_HOUR, compute_s: 5}}
"""
NEW = """
models:
  {model}-new: {{description: made by a plan}}
routes:
  {model}-new: {{max_wait: 0.002s}}
"""


async def test_what_apply_would_refuse_the_plan_refuses_with_field_and_remedy(headrace: Headrace) -> None:
    headrace.two_versions(production="v1")
    model, file = headrace.model, headrace.folder / "production.yaml"
    file.write_text(FILE.format(model=model))
    before = headrace("models", "history", model)

    planned = {one["name"]: one for one in headrace("plan", str(file), code=4)["changes"]}
    refused = {name: one["refused"] for name, one in planned.items() if one["refused"]}
    assert {name: [field["field"] for field in one["violations"]] for name, one in refused.items()} == {
        f"models/{model}": ["model.promotion_policy.gates[0].bound"],
        f"routes/{model}": ["route.variants[0].version"],
        f"alertRules/{model}": ["rule.signal"],
        f"rateLimits/{model}": ["rate_limit.requests_per_second"],
    }
    assert refused[f"routes/{model}"]["reason"] == "VERSION_NOT_FOUND"
    assert all(one["remedy"] for one in refused.values())
    shown = headrace.run("plan", str(file))
    assert shown.exit_code == 4
    assert "4 of them would be refused" in shown.output
    assert "remedy" in shown.output

    assert headrace("models", "history", model) == before
    assert model not in str(headrace("usage", "budgets", "list")), "what is not refused is not made either"


async def test_a_route_of_a_model_that_the_plan_makes_is_validated_after_it(headrace: Headrace) -> None:
    file = headrace.folder / "new.yaml"
    file.write_text(NEW.format(model=headrace.model))
    made, route = headrace("plan", str(file))["changes"]
    assert (made["refused"], made["waits_for"]) == (None, "")
    assert (route["refused"], route["waits_for"]) == (None, f"models/{headrace.model}-new")
    assert "validated once" in headrace.run("plan", str(file)).output
    assert f"{headrace.model}-new" not in str(headrace("models", "list"))

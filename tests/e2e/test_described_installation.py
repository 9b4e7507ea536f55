"""An installation as a file describes it, who used its batchers, a budget and a rate limit, on the whole stack."""

from __future__ import annotations

import pytest
from headrace_servicekit.testing import eventually

from tests.kit.clients.headrace_cli import ROWS, Headrace

pytestmark = pytest.mark.timeout(240)

DESCRIBED = """
models:
  {model}:
    description: told by a file
    promotion_policy: {{gates: [accuracy>=0.9]}}
routes:
  {model}:
    variants:
      - {{name: production, follow_production: true, weight: 90}}
      - {{name: v2, version: v2, weight: {weight}}}
    max_wait: 0.002s
alert_rules:
  {model}:
    {{model: {model}, signal: error_rate, above: 0.5, hold: 60s, severity: SEVERITY_HIGH}}
budgets:
  {model}: {{client: nobody-yet, model: {model}, period: PERIOD_HOUR, compute_s: 5}}
rate_limits:
  {model}: {{client: nobody-yet, model: {model}, requests_per_second: 5, outage: OUTAGE_CLOSED}}
"""


async def test_what_a_file_describes_is_planned_made_once_and_changed_where_it_differs(headrace: Headrace) -> None:
    headrace.two_versions(production="v1")
    model, file = headrace.model, headrace.folder / "production.yaml"
    file.write_text(DESCRIBED.format(model=model, weight=10))

    planned = {one["name"]: one for one in headrace("plan", str(file), "--check", code=4)["changes"]}
    assert set(planned) == {
        f"models/{model}", f"routes/{model}", f"alertRules/{model}", f"budgets/{model}", f"rateLimits/{model}"
    }  # fmt: skip
    assert planned[f"routes/{model}"]["moved_share"] == pytest.approx(0.1)
    unasked = headrace.run("apply", str(file), "--json")
    assert (unasked.exit_code, "pass --yes" in unasked.output) == (2, True)
    assert len(headrace("apply", str(file), "--yes", "--reason", "by file")["changed"]) == len(planned)
    assert headrace("apply", str(file))["changed"] == [], "applied again it changes nothing"
    assert headrace("plan", str(file), "--check")["changes"] == []
    assert headrace("routes", "history", model)["events"][0]["reason"] == "by file"

    file.write_text(DESCRIBED.format(model=model, weight=30))
    (changed,) = headrace("apply", str(file), "--yes")["changed"]
    assert changed["name"] == f"routes/{model}"
    assert changed["moved_share"] == pytest.approx(0.15)

    # Who asked is known by its client, and what it used is told within seconds.
    for n in range(20):
        headrace.predict("--user", f"u{n}")

    found: list[dict] = []

    async def used() -> bool:
        found[:] = headrace("usage", "show", "--model", model).get("usage", [])
        return bool(found)

    await eventually(used, within=60, every=1.0)
    assert sum(int(one["requests"]) for one in found) <= 20
    assert all(one["client"] and one["compute_s"] > 0 for one in found)
    pools = headrace("usage", "idle")["pools"]
    assert {one["pool"] for one in pools} >= {"default"}
    headrace("usage", "budgets", "delete", model)
    assert model not in str(headrace("usage", "budgets", "list"))


async def test_a_rate_limit_holds_at_the_front_door_within_seconds_and_is_lifted_with_it(
    headrace: Headrace,
):
    headrace.two_versions(production="v1")
    model = headrace.model
    made = headrace("usage", "limits", "set", model, "--client", "*", "--model", model, "--per-second", "0.01")
    assert (made["client"], made["requests_per_second"]) == ("*", 0.01)

    async def refused() -> str:
        answer = headrace.run("predict", model, "--rows", ROWS, "--json")
        return answer.output if answer.exit_code else ""

    told = await eventually(refused, within=30, every=0.5)
    assert "RATE_LIMITED" in told
    assert "headrace usage limits list" in told, "and what to do about it"
    assert model in str(headrace("usage", "limits", "list"))
    headrace("usage", "limits", "delete", model)

    async def answered() -> bool:
        return not await refused()

    await eventually(answered, within=30, every=0.5)

"""What gates and approvals refuse gets no more traffic by a split either, through the front door of the whole stack."""

from __future__ import annotations

from tests.kit.clients.headrace_cli import Headrace
from tests.kit.models import onnx_models


def shares(headrace: Headrace) -> dict[str, float]:
    """Return the weights in force by version."""
    variants = headrace("routes", "show", headrace.model)["route"]["variants"]
    return {one["serving_version"]: one.get("weight", 0.0) for one in variants}


async def test_a_version_that_a_gate_refuses_gets_no_more_than_the_bound_by_a_split_or_a_rollout(headrace: Headrace):
    headrace.two_versions("v1")
    model, file = headrace.model, headrace.file("v3.onnx", onnx_models.linear(seed=3))
    headrace("models", "register", model, "v3", file, "--metric", "accuracy=0.1")
    kept = headrace("models", "gates", model, "--set", "accuracy>=0.85")["model"]
    assert kept["max_unpromoted_share"] == 0.5
    assert headrace.run("models", "promote", model, "v3").exit_code == 4
    for arms in (["v3=100"], ["v1=40", "v2=30", "v3=30"]):
        refused = headrace.run("routes", "split", model, *arms)
        assert refused.exit_code == 4
        for told in ("max_unpromoted_share", "50 %", f"headrace rollouts start {model}"):
            assert told in " ".join(refused.output.split())
        assert "it would be refused" in headrace.run("routes", "dry-run", model, *arms).output
    headrace("routes", "split", model, "v1=50", "v3=50")
    headrace("routes", "split", model, "control:v1=100")
    gated = headrace.run("rollouts", "start", model, "v3", "--strategy", "big-bang")
    assert (gated.exit_code, "accuracy is 0.1" in gated.output) == (4, True)
    headrace("rollouts", "start", model, "v2", "--strategy", "big-bang")
    assert headrace("rollouts", "watch", model)["state"] == "STATE_SUCCEEDED"
    assert shares(headrace) == {"v2": 100.0}, "a rollout asked before its first step"
    headrace("routes", "split", model, "v1=100")
    headrace("models", "gates", model, "--max-unpromoted-share", "1")
    headrace("routes", "split", model, "v3=100")


async def test_a_version_that_nobody_approved_gets_half_of_the_traffic_until_the_glass_is_broken(headrace: Headrace):
    headrace.two_versions("v1")
    model = headrace.model
    assert headrace("models", "approval-policy", model, "--approvals", "1")["policy"]["max_unpromoted_share"] == 0.5
    assert headrace.run("routes", "split", model, "v2=100").exit_code == 4
    headrace("models", "break-glass", model, "v2", "--reason", "v1 answers nonsense")
    headrace("routes", "split", model, "v2=100")
    assert shares(headrace) == {"v2": 100.0}
    events = headrace("models", "history", model)["events"]
    assert "ACTION_APPROVAL_OVERRIDDEN" in [one["action"] for one in events]
    headrace("routes", "split", model, "v1=100")

"""Of refusals that people meet, the command that is printed is run as it is printed: it works, or leads on."""

from __future__ import annotations

import json
import re
import shlex
import uuid
from typing import Any

import numpy as np
import pytest
from headrace_client import Client
from headrace_servicekit.testing import eventually

from tests.kit.clients.headrace_cli import GOOD, ROWS, Headrace
from tests.kit.models import onnx_models

SLOW_STEPS = "strategy: rolling\nsteps:\n  - {percent: 50, dwell: 1h}\n  - {percent: 100, dwell: 1h}\n"


def refused(headrace: Headrace, *words: str) -> dict[str, Any]:
    """Run a command that is refused, and return the error."""
    return headrace(*words, code=4)["error"]


def printed(error: dict[str, Any], command: str, **names: str) -> list[str]:
    """Return a command of an error's remedy, as somebody types it. names: for the words of capitals that it leaves."""
    found = [one for one in re.findall(r"`(headrace [^`]*)`", error["remedy"]) if command in one]
    assert found, error["remedy"]
    return [names.get(word, word) for word in shlex.split(found[0])[1:]]


def rolling(headrace: Headrace) -> str:
    """Start a rollout of v2 that stays at its first step, and return its name."""
    policy = headrace.folder / "rollout.yaml"
    policy.write_text(SLOW_STEPS)
    return headrace("rollouts", "start", headrace.model, "v2", "--policy", str(policy))["name"]


async def managed(headrace: Headrace) -> None:
    """Wait until something manages the route."""
    await eventually(
        lambda: headrace("routes", "show", headrace.model)["route"].get("managed_by"), within=60, every=0.2
    )


async def over(headrace: Headrace) -> None:
    """Wait until no rollout of the model runs."""
    running = ("rollouts", "list", "--model", headrace.model, "--running")
    await eventually(lambda: not headrace(*running)["rollouts"], within=60, every=0.2)


async def test_a_model_whose_route_names_versions_is_deleted(headrace: Headrace):
    headrace.two_versions("v1")
    headrace("routes", "split", headrace.model, "control:v1=100")
    error = refused(headrace, "models", "delete", headrace.model, "--yes")
    assert error["reason"] == "MODEL_IN_USE"
    assert headrace(*printed(error, "models delete"), "--yes") == {"deleted": headrace.model}
    await eventually(
        lambda: headrace.run("predict", headrace.model, "--rows", ROWS).exit_code == 3, within=30, every=0.2
    )


async def test_a_model_that_only_its_route_serves_is_deleted(headrace: Headrace):
    """So that there is no version in production which the route could follow instead."""
    file = headrace.file("v1.onnx", onnx_models.linear())
    headrace("models", "register", headrace.model, "v1", file, *GOOD)
    headrace("models", "gates", headrace.model, "--none")
    headrace("routes", "split", headrace.model, "only:v1=100")
    error = refused(headrace, "models", "delete", headrace.model, "--yes")
    headrace(*printed(error, "models delete"), "--yes")
    await eventually(
        lambda: headrace.run("predict", headrace.model, "--rows", ROWS).exit_code == 3, within=30, every=0.2
    )


async def test_what_a_rollout_keeps_from_being_done_can_be_done(headrace: Headrace):
    headrace.two_versions("v1")
    rolling(headrace)
    await managed(headrace)
    route = ("routes", "split", headrace.model, "production=100")
    managed_error = refused(headrace, *route)
    assert managed_error["reason"] == "ROUTE_MANAGED"
    promote = refused(headrace, "models", "promote", headrace.model, "v2")
    assert promote["reason"] == "ROLLOUT_RUNNING"
    second = refused(headrace, "rollouts", "start", headrace.model, "v2")
    assert second["reason"] == "ROLLOUT_RUNNING"
    deleting = refused(headrace, "models", "delete", headrace.model, "--yes", "--with-route")
    assert deleting["reason"] == "MODEL_IN_USE"

    assert headrace(*printed(promote, "--end-rollout"))["serving"] is True
    await over(headrace)
    late = refused(headrace, "rollouts", "resume", headrace.model)
    assert late["reason"] == "ROLLOUT_OVER"
    assert headrace(*printed(late, "rollouts history"))["events"]
    headrace(*route)
    # The other way out of a rollout, and the one that takes its route.
    headrace("rollouts", "start", headrace.model, "v1", "--policy", str(headrace.folder / "rollout.yaml"))
    await managed(headrace)
    headrace(*route, *printed_option(managed_error))
    await over(headrace)
    headrace("rollouts", "start", headrace.model, "v1", "--policy", str(headrace.folder / "rollout.yaml"))
    headrace(*printed(second, "rollouts abort"))
    await eventually(
        lambda: headrace.run("models", "delete", headrace.model, "--yes").exit_code == 0, within=60, every=0.2
    )


def printed_option(error: dict[str, Any]) -> list[str]:
    """Return the option that a remedy says to add."""
    return re.findall(r"`(--[a-z-]+)`", error["remedy"])


async def test_a_promotion_that_others_must_agree_to_is_asked_for(headrace: Headrace):
    headrace.two_versions("v1")
    headrace("models", "approval-policy", headrace.model, "--approvals", "1")
    error = refused(headrace, "models", "promote", headrace.model, "v2")
    assert error["reason"] == "APPROVAL_REQUIRED"
    words = printed(error, "models request", **{"…": "better on sevens"})
    assert headrace(*words)["request"]["state"] == "STATE_PENDING"


def test_a_version_that_misses_a_gate_is_promoted_without_gates(headrace: Headrace):
    file = headrace.file("v1.onnx", onnx_models.linear())
    headrace("models", "register", headrace.model, "v1", file)
    error = refused(headrace, "models", "promote", headrace.model, "v1")
    assert error["reason"] == "PROMOTION_GATE_FAILED"
    lines = [line.strip() for line in error["remedy"].splitlines() if line.strip().startswith("headrace ")]
    gates, promote = (shlex.split(line)[1:] for line in lines[-2:])
    headrace(*gates)
    assert headrace(*promote)["serving"] is True


@pytest.mark.long
async def test_an_experiment_that_another_one_keeps_from_starting_starts(headrace: Headrace):
    headrace.two_versions("v1")
    headrace("routes", "split", headrace.model, "control:v1=50", "new:v2=50")
    for name in ("first", "second"):
        headrace("experiments", "create", headrace.model, name, "--metric", "conversion")
    headrace("experiments", "start", headrace.model, "first")
    error = refused(headrace, "experiments", "start", headrace.model, "second")
    assert error["reason"] == "EXPERIMENT_RUNNING"
    listed = headrace(*printed(error, "experiments list"))["experiments"]
    (running,) = [one["name"].rpartition("/")[2] for one in listed if one["state"] == "STATE_RUNNING"]
    headrace(*printed(error, "experiments conclude", EXPERIMENT=running))
    headrace("routes", "split", headrace.model, "control:v1=50", "new:v2=50")
    assert headrace("experiments", "start", headrace.model, "second")["state"] == "STATE_RUNNING"


async def test_a_rollout_of_a_model_that_serves_nothing_starts_once_a_version_is_promoted(headrace: Headrace):
    for version, seed in (("v1", 1), ("v2", 2)):
        file = headrace.file(f"{version}.onnx", onnx_models.linear(seed=seed))
        headrace("models", "register", headrace.model, version, file, *GOOD)
    error = refused(headrace, "rollouts", "start", headrace.model, "v2")
    assert error["reason"] == "NOT_SERVING"
    headrace(*printed(error, "routes status"))
    headrace(*printed(error, "models promote"))
    assert headrace("rollouts", "start", headrace.model, "v1", "--strategy", "big-bang")["name"]


def test_a_version_that_a_pipeline_needs_is_archived_after_the_pipeline(headrace: Headrace):
    headrace.two_versions("v1")
    file = headrace.folder / "pipeline.yaml"
    member = f"{headrace.model}@v2"
    file.write_text(
        f"steps:\n  only:\n    model: {member}\n    inputs: {{features: request.features}}\n"
        "outputs:\n  scores: only.scores\n"
    )
    pipeline = f"{headrace.model[:40]}-whole"
    headrace("models", "register", pipeline, "p1", str(file), *GOOD)
    error = refused(headrace, "models", "promote", headrace.model, "v2", "--to", "archived")
    assert error["reason"] == "VERSION_IN_USE"
    headrace(*printed(error, "models promote"))
    headrace("models", "promote", headrace.model, "v2", "--to", "archived")


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_shares_that_an_alert_freezes_grow_once_it_is_resolved(headrace: Headrace):
    headrace.two_versions("v1")
    headrace("routes", "split", headrace.model, "control:v1=50", "new:v2=50")
    headrace("experiments", "create", headrace.model, "ranking", "--metric", "conversion")
    headrace("routes", "split", headrace.model, "control:v1=80", "new:v2=20")  # so that a start lets the new one grow
    rule = f"freeze-{uuid.uuid4().hex[:8]}"
    put = ("monitor", "alerts", "put-rule", rule, "--model", headrace.model, "--signal", "latency_p99_us")
    headrace(*put, "--above", "0", "--window", "60s", "--freeze")
    try:
        with Client(headrace.stack.address, token=headrace.stack.token("shop")) as client:
            row = np.array([[0, 1, 2, 3]], np.float32)

            def opened() -> bool:
                client.predict(headrace.model, {"features": row})
                return bool(headrace("monitor", "alerts", "list", "--model", headrace.model)["alerts"])

            await eventually(opened, within=90, every=0.2)
        starting = ("experiments", "start", headrace.model, "ranking")
        plan = ("rollouts", "plan", headrace.model, "v2", "--variant", "control", "--json")
        await eventually(lambda: json.loads(headrace.run(*plan).stdout)["kept_back"], within=30, every=0.2)
        error = refused(headrace, *starting)
        assert error["reason"] == "TRAFFIC_FROZEN"
        listed = headrace(*printed(error, "alerts list"))["alerts"]
        alerts = [one["name"].rpartition("/")[2] for one in listed if rule in one["rule"]]  # one for each version
        headrace("monitor", "alerts", "silence", headrace.model, "--for", "1h")
        assert refused(headrace, *starting)["reason"] == "TRAFFIC_FROZEN", "a silence ends no freeze"
        headrace(*put, "--above", "1e12", "--window", "60s", "--freeze")  # its cause is mended
        for alert in alerts:
            headrace(*printed(error, "alerts resolve", ALERT=alert))
        await eventually(lambda: headrace.run(*starting).exit_code == 0, within=30, every=0.2)
    finally:
        headrace("monitor", "alerts", "delete-rule", rule)

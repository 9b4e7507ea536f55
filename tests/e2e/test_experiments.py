"""An experiment from the command line, over a whole stack: two versions, users, conversions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from headrace_client import Client
from headrace_observe import Outcome
from headrace_servicekit.testing import eventually

from tests.kit.clients.headrace_cli import Headrace

pytestmark = pytest.mark.timeout(240)

# Of each variant 200 at least, before anything is said of means.
USERS = 600
ROW = np.array([[0, 1, 2, 3]], np.float32)


async def test_the_version_that_converts_is_found_from_the_command_line(headrace: Headrace, tmp_path: Path) -> None:
    headrace.two_versions("v1")
    headrace("routes", "split", headrace.model, "control:v1=50", "new:v2=50")
    made = headrace("experiments", "create", headrace.model, "ranking", "--metric", "conversion", "--effect", "0.5")
    assert [one["name"] for one in made["variants"]] == ["control", "new"]
    assert headrace("experiments", "start", headrace.model, "ranking")["state"] == "STATE_RUNNING"
    held = headrace.run("routes", "split", headrace.model, "control:v1=90", "new:v2=10")
    assert (held.exit_code != 0, "experiments/ranking" in held.output) == (True, True)
    with Client(headrace.stack.address, token=headrace.stack.token("shop")) as client:
        answers = [client.predict(headrace.model, {"features": ROW}, user_id=f"u{n}") for n in range(USERS)]
        # Every user of the new version converts, and one in ten of the other's.
        converts = [one.variant == "new" or number % 10 == 0 for number, one in enumerate(answers)]
        told = [
            Outcome(float(does), kind="conversion", prediction_id=one.prediction_id)
            for does, one in zip(converts, answers, strict=True)
        ]
        assert client.outcomes.record(headrace.model, told).counts == {"recorded": USERS}

    async def counted() -> bool:
        found = headrace("experiments", "analyse", headrace.model, "ranking")
        # Asserted, so that a failure says how many there are.
        assert sum(int(one["units"]) for one in found["assigned"]) == USERS
        return True

    await eventually(counted, within=60, every=1.0)
    found = headrace("experiments", "watch", headrace.model, "ranking", "--for", "1s")
    assert (found["verdict"], found["variant"]) == ("VERDICT_BETTER", "new")
    shown = headrace.run("experiments", "analyse", headrace.model, "ranking").output
    assert "new is better, and harms no guardrail" in shown
    assert "compatible with the data" in shown
    last = headrace("experiments", "history", headrace.model, "ranking")["points"][-1]
    assert [one["finding"] for one in last["results"]] == [one["finding"] for one in found["results"]]
    page, units = tmp_path / "ranking.html", tmp_path / "units.parquet"
    headrace("experiments", "report", headrace.model, "ranking", "--html", str(page))
    assert "new is better" in page.read_text()
    assert headrace("experiments", "export", headrace.model, "ranking", str(units), "--parts", "2")["units"] == USERS
    assert pyarrow.parquet.read_table(units)["metric.conversion"].to_pylist().count(1.0) == sum(converts)
    plan = headrace.run("experiments", "plan", headrace.model, "--metric", "conversion", "--json")
    assert int(json.loads(plan.stdout)["single_look_units"]) > 100
    assert int(json.loads(plan.stdout)["settled_units"]) >= 1, "the furthest unit is measured too"
    slow = headrace.run(
        *("experiments", "create", headrace.model, "slow", "--metric", "conversion", "--effect", "0.001"),
        *("--variant", "control=1", "--variant", "new=1"),
    )
    assert (slow.exit_code, "choose a larger --effect" in slow.output) == (0, True), slow.output
    refused = headrace.run("experiments", "conclude", headrace.model, "ranking", "--promote", "control")
    assert (refused.exit_code, "beside the control: new" in refused.output) == (4, True)
    done = headrace("experiments", "conclude", headrace.model, "ranking", "--promote", "new", "--strategy", "big-bang")
    assert (done["stopped_variants"], done["rollout"]["version"]) == (["new"], "v2")
    followed = headrace("rollouts", "watch", headrace.model)
    assert (followed["state"], followed["variant"]) == ("STATE_SUCCEEDED", "control")
    variants = {one["name"]: one for one in headrace("routes", "show", headrace.model)["route"]["variants"]}
    assert (variants["control"]["serving_version"], variants["new"].get("weight", 0)) == ("v2", 0)
    listed = headrace.run("experiments", "list", headrace.model).output
    assert "ranking" in listed
    assert "ended" in listed


@pytest.mark.long
async def test_an_experiment_that_harms_a_guardrail_gives_its_traffic_back_by_itself(headrace: Headrace) -> None:
    headrace.two_versions("v1")
    headrace("routes", "split", headrace.model, "control:v1=50", "new:v2=50")
    metrics = ("--metric", "conversion", "--guardrail", "visit", "--stop-on-harm")
    headrace("experiments", "create", headrace.model, "ranking", *metrics)
    headrace("experiments", "start", headrace.model, "ranking")
    with Client(headrace.stack.address, token=headrace.stack.token("shop")) as client:
        answers = [client.predict(headrace.model, {"features": ROW}, user_id=f"u{n}") for n in range(USERS)]
        # Less is worse: few of the new version do what the guardrail counts, and most of the other's.
        visits = [(number % 10 == 0) == (one.variant == "new") for number, one in enumerate(answers)]
        told = [Outcome(does, one.prediction_id, kind="visit") for does, one in zip(visits, answers, strict=True)]
        client.outcomes.record(headrace.model, told)

    def ended() -> bool:
        return headrace("experiments", "list", headrace.model)["experiments"][0]["state"] == "STATE_ENDED"

    await eventually(ended, within=150, every=2.0)
    (left,) = headrace("routes", "show", headrace.model)["route"]["variants"]
    assert left["name"] == "control"
    assert "guardrail" in headrace("experiments", "list", headrace.model)["experiments"][0]["end_reason"]

"""A rollout is paused, goes on, and leaves a step, through gRPC, REST and the command line."""

from __future__ import annotations

import json

import grpc
import pytest
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace.rollout.v1 import rollout_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.clients.headrace_cli import Headrace
from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import metadata
from tests.kit.stack.served_models import Served

# Nothing goes on by itself.
POLICY = """
strategy: rolling
steps:
  - {percent: 50, dwell: 1h}
  - {percent: 100, dwell: 1h}
"""


async def test_a_rollout_is_paused_resumed_and_skipped_by_grpc_rest_and_the_command_line(
    headrace: Headrace, served: Served
):
    headrace.two_versions("v1")
    policy = headrace.folder / "rollout.yaml"
    policy.write_text(POLICY)
    started = headrace("rollouts", "start", headrace.model, "v2", "--policy", str(policy))["name"]
    short = f"{headrace.model}/{started.rpartition('/')[2]}"
    stub, bearer = rollout_pb2_grpc.RolloutServiceStub(served.channel), metadata(served.stack.token())

    def rest(verb: str, **body: str) -> dict[str, object]:
        return served.rest("POST", f"/v1/{started}:{verb}", json=body).json()["rollout"]

    def at(step: int) -> bool:
        found = headrace("rollouts", "watch", short, "--for", "1s")
        return found.get("step", 0) == step and not found.get("moving") and found.get("percent", 0) == 50 * (step + 1)

    await eventually(lambda: at(0), within=60, every=0.2)
    paused = stub.PauseRollout(pb.PauseRolloutRequest(name=started, reason="lunch"), timeout=20, metadata=bearer)
    assert (paused.rollout.paused, paused.rollout.reason) == (True, "paused: lunch")
    assert rest("pause")["paused"], "repeating it is safe"
    shown = headrace.run("rollouts", "resume", short, "--reason", "back").output
    assert ("resumed: back" in shown, "paused:" in shown) == (True, False)
    assert headrace("rollouts", "pause", short)["paused"]
    assert not rest("resume", reason="by REST")["paused"]
    assert rest("pause")["paused"]
    resumed = stub.ResumeRollout(pb.ResumeRolloutRequest(name=started), timeout=20, metadata=bearer)
    assert not resumed.rollout.paused

    other = pb.PromoteRolloutRequest(name=started, reason="x", step=1)
    with pytest.raises(grpc.RpcError) as refused:
        stub.PromoteRollout(other, timeout=20, metadata=bearer)
    assert grpc_refusal(refused.value).reason == "STEP_CHANGED"
    assert headrace.run("rollouts", "promote", short).exit_code == 2, "without a reason nobody skips a judgement"
    headrace("rollouts", "promote", short, "--step", "1", "--reason", "seen elsewhere")
    await eventually(lambda: at(1), within=60, every=0.2)
    assert "skips" in str(rest("promote", reason="and the last")["reason"])
    over = headrace("rollouts", "watch", short)
    assert over["state"] == "STATE_SUCCEEDED"
    events = [one["type"] for one in headrace("rollouts", "history", short)["events"]]
    assert (events.count("paused"), events.count("resumed"), events.count("skipped")) == (3, 3, 2)
    late = headrace("rollouts", "pause", short, code=4)["error"]
    assert (late["reason"], "rollouts history" in late["remedy"]) == ("ROLLOUT_OVER", True)


def test_the_template_of_a_models_rollouts_is_read_and_removed(headrace: Headrace):
    headrace.two_versions("v1")
    policy = headrace.folder / "rollout.yaml"
    policy.write_text(POLICY)
    headrace("rollouts", "template", headrace.model, "--set", str(policy))
    assert headrace("rollouts", "template", headrace.model)["strategy"] == "STRATEGY_ROLLING"
    planned = json.loads(headrace.run("rollouts", "plan", headrace.model, "v2", "--json").stdout)
    assert planned["policy"]["strategy"] == "STRATEGY_ROLLING"
    headrace("rollouts", "template", headrace.model, "--remove")
    assert headrace("rollouts", "template", headrace.model).get("strategy") != "STRATEGY_ROLLING"

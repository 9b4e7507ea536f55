"""Head-room on the whole stack: what a plan says of a pool, and a rollout that waits for it."""

from __future__ import annotations

import grpc.aio
import pytest
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit.models.onnx_models import table
from tests.kit.rollout.rollouts import Rollouts, Traffic
from tests.kit.stack.served_models import Served, register, serve

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(300)]

MODEL = "rollouts-headroom"
RATE = 40.0
STEPS = [{"percent": 50, "dwell": "1s"}, {"percent": 100}]


async def test_a_rollout_to_a_cold_version_waits_for_room_and_its_plan_says_so(served: Served):
    serve(served.client, MODEL, {"v1": table(8)})
    register(served.client, MODEL, "v2", table(9))
    async with (
        grpc.aio.insecure_channel(served.stack.address) as channel,
        Traffic.running(served.stack, MODEL, rate=RATE, cached=True),
    ):
        rollouts = Rollouts(served.stack, channel, MODEL)
        full = pb.RolloutPolicy(strategy=pb.RolloutPolicy.STRATEGY_ROLLING, max_utilisation_percent=0.0001)
        full.steps.add(percent=100)
        asked = pb.PlanRolloutRequest(parent=f"models/{MODEL}", version="v2", policy=full)

        async def known() -> pb.PlanRolloutResponse | None:
            plan = await rollouts.call("PlanRollout", asked)
            return plan if plan.HasField("pool_utilisation") else None

        # Traffic is counted by the minute.
        plan = await eventually(known, within=150, every=2)
        assert plan is not None
        (step,) = plan.steps
        assert step.extra_online_per_second > 0.5 * plan.requests_per_second > 0
        assert (plan.kept_share, step.fitting_percent) == (0, 0)
        assert plan.room_per_second < 0.01, "of a pool where nothing is computed a millionth may be"
        roomy = pb.PlanRolloutRequest(parent=f"models/{MODEL}", version="v2")
        assert not any(one.HasField("fitting_percent") for one in (await rollouts.call("PlanRollout", roomy)).steps)

        policy = {"strategy": "STRATEGY_ROLLING", "steps": STEPS, "max_utilisation_percent": 0.0001}
        waiting = await rollouts.start("v2", policy)

        async def waits() -> bool:
            return "room for" in (await rollouts.get(waiting.name)).reason

        await eventually(waits, within=60)
        found = await rollouts.get(waiting.name)
        assert (found.state, found.percent) == (pb.Rollout.STATE_PREPARING, 0), found
        await rollouts.call("AbortRollout", pb.AbortRolloutRequest(name=waiting.name))
        over = await rollouts.over((await rollouts.start("v2", {**policy, "max_utilisation_percent": 80})).name)
    assert over.state == pb.Rollout.STATE_SUCCEEDED, over

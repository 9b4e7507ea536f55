"""Rollouts as a user meets them, through the front door of the whole stack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import numpy as np
import pytest
from headrace.registry.v1 import registry_pb2
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace.router.v1 import predict_pb2
from headrace.webhook.v1.webhook_pb2 import Webhook
from headrace_client.errors import PreconditionFailed
from headrace_servicekit.testing import eventually, patience

from tests.kit.clients.headrace_cli import Headrace
from tests.kit.clients.refusals import refused
from tests.kit.models.onnx_models import TinyModel, linear, slow_table, table
from tests.kit.monitor.alerting import SECRET, Receiver
from tests.kit.rollout.rollouts import Rollouts, Traffic
from tests.kit.stack.running import RECEIVERS
from tests.kit.stack.served_models import ROW, Served, register, request, serve

MODEL = "rollouts-unjudged"
JUDGED = "rollouts-judged"
SHADOWED = "rollouts-shadowed"
FAILING = "rollouts-failing-at-times"
RATE = 200.0
# As short as evidence allows at this rate, for tests have no minutes.
QUICK = {
    "strategy": "STRATEGY_CANARY",
    "steps": [{"percent": 5, "dwell": "2s"}, {"percent": 50, "dwell": "1s"}, {"percent": 100, "dwell": "1s"}],
    "margin_percent": 10,
    "no_data_timeout": "30s",
}


@pytest.fixture
async def rollouts(served: Served) -> AsyncIterator[Rollouts]:
    """A model whose v1 is in production."""
    serve(served.client, MODEL, {"v1": linear(seed=1)})
    register(served.client, MODEL, "v2", linear(seed=2))
    async with grpc.aio.insecure_channel(served.stack.address) as channel:
        yield Rollouts(served.stack, channel, MODEL)


async def test_a_big_bang_moves_all_traffic_promotes_the_version_and_tells_webhooks(rollouts: Rollouts, served: Served):
    async with Receiver.started(host=RECEIVERS) as receiver:
        name = "rolloutWebhooks/big-bang"
        hook = Webhook(name=name, url=receiver.url(), secret=SECRET, model=MODEL)
        await rollouts.call("PutRolloutWebhook", pb.PutRolloutWebhookRequest(webhook=hook))
        started = await rollouts.start("v2", {"strategy": "STRATEGY_BIG_BANG"}, reason="first")
        over = await rollouts.over(started.name)
        told = ["started", "step", "promoting", "succeeded"]
        await eventually(
            lambda: [one.json["type"] for one in receiver.received] == [f"headrace.rollout.{one}" for one in told],
            within=30,
        )
        assert {one.json["data"]["version"] for one in receiver.received} == {"v2"}
        assert receiver.received[0].json["subject"] == started.name
        listed = (await rollouts.call("ListRolloutWebhooks", pb.ListRolloutWebhooksRequest())).webhooks
        assert [(one.name, one.secret, one.last_error) for one in listed if one.model == MODEL] == [(name, "", "")]
        await rollouts.call("DeleteRolloutWebhook", pb.DeleteRolloutWebhookRequest(name=name))
    assert (over.state, over.percent) == (pb.Rollout.STATE_SUCCEEDED, 100), over
    assert await rollouts.events(started.name) == ["started", "step", "promoting", "succeeded"]
    assert served.client.models.get(MODEL).production_version == "v2"
    route = served.client.routes.get(MODEL).route
    assert (route.managed_by, [one.name for one in route.variants]) == ("", ["production"])
    assert answered_by(served) == "v2"


async def test_an_aborted_rollout_leaves_the_route_as_it_was(rollouts: Rollouts, served: Served):
    steps = [{"percent": 50, "dwell": "60s"}, {"percent": 100}]
    started = await rollouts.start("v2", {"strategy": "STRATEGY_ROLLING", "steps": steps})

    async def half() -> bool:
        return (await rollouts.get(started.name)).percent == 50

    await eventually(half, within=60)
    held = served.client.routes.get(MODEL).route
    assert held.managed_by == f"rollouts/{started.name.rpartition('/')[2]}"
    assert {one.serving_version: one.weight for one in held.variants} == {"v1": 0.5, "v2": 0.5}
    second = await refused(rollouts.start("v2", {"strategy": "STRATEGY_BIG_BANG"}))
    assert second.reason == "ROLLOUT_RUNNING"

    await rollouts.call("AbortRollout", pb.AbortRolloutRequest(name=started.name, reason="enough"))
    over = await rollouts.over(started.name)
    assert over.state == pb.Rollout.STATE_ABORTED, over
    assert await rollouts.events(started.name) == ["started", "step", "rolling_back", "aborted"]
    route = served.client.routes.get(MODEL).route
    assert (route.managed_by, [one.serving_version for one in route.variants]) == ("", ["v1"])
    assert answered_by(served) == "v1"


async def test_a_promotion_by_hand_is_refused_or_ends_the_rollout(rollouts: Rollouts, served: Served):
    steps = [{"percent": 50, "dwell": "60s"}, {"percent": 100}]
    started = await rollouts.start("v2", {"strategy": "STRATEGY_ROLLING", "steps": steps})

    async def moved() -> bool:
        return (await rollouts.get(started.name)).percent == 50

    await eventually(moved, within=60)
    with pytest.raises(PreconditionFailed) as refused_by_hand:
        served.client.models.promote(MODEL, "v2")
    assert refused_by_hand.value.reason == "ROLLOUT_RUNNING"
    promoted = served.client.models.promote(MODEL, "v2", end_rollout=True)
    over = await rollouts.over(started.name)
    assert over.state == pb.Rollout.STATE_DISPLACED, over
    served.client.routes.await_epoch(MODEL, promoted.model.epoch, timeout=60)
    assert served.client.routes.get(MODEL).route.managed_by == ""
    assert answered_by(served) == "v2"


async def test_a_watch_sees_a_rollout_to_its_end(rollouts: Rollouts, served: Served):
    started = await rollouts.start("v2", {"strategy": "STRATEGY_BIG_BANG"})
    states = [seen.state async for seen in rollouts.watch(started.name)]
    assert states[-1] == pb.Rollout.STATE_SUCCEEDED


async def test_the_command_line_plans_starts_follows_and_tells(headrace: Headrace):
    headrace.two_versions("v1")
    policy = headrace.folder / "rollout.yaml"
    policy.write_text("strategy: rolling\nsteps:\n  - percent: 50\n    dwell: 100ms\n  - percent: 100\n")
    plan = headrace("rollouts", "plan", headrace.model, "v2", "--policy", str(policy))
    assert [step["moved_share"] for step in plan["steps"]] == [0.5, 0.5]
    assert (plan["baseline_version"], plan["variant"], plan["obstacles"]) == ("v1", "production", [])
    followed = headrace.run("rollouts", "start", headrace.model, "v2", "--policy", str(policy), "--watch")
    assert followed.exit_code == 0, followed.output
    assert "version v2 serves" in followed.output
    events = headrace("rollouts", "history", headrace.model)["events"]
    assert [one["type"] for one in reversed(events)] == ["started", "step", "step", "promoting", "succeeded"]
    again = headrace("rollouts", "plan", headrace.model, "v2", code=1)
    assert "serves variant 'production' already" in again["obstacles"][0]
    policy.write_text("steps:\n  - percent: 50\n  - percent: 40\n")
    refused = headrace.run("rollouts", "start", headrace.model, "v1", "--policy", str(policy))
    assert "rollout.yaml:3" in refused.output


@pytest.fixture
async def judged(served: Served) -> AsyncIterator[Rollouts]:
    """A model whose v1 is in production, with a good v2 and a v3 that fails on what callers ask."""
    serve(served.client, JUDGED, {"v1": table(8)})
    register(served.client, JUDGED, "v2", table(9))
    register(served.client, JUDGED, "v3", table(2))
    async with grpc.aio.insecure_channel(served.stack.address) as channel:
        yield Rollouts(served.stack, channel, JUDGED)


async def test_a_version_that_returns_errors_is_rolled_back_by_itself(judged: Rollouts, served: Served):
    kept = request(JUDGED, index=np.array([5], np.int64))
    kept.ClearField("max_age")
    served.predict(kept)
    async with Traffic.running(served.stack, JUDGED, rate=RATE) as traffic:
        await eventually(lambda: len(traffic.good) > RATE, within=30)
        started = await judged.start("v3", QUICK)
        over = await judged.over(started.name, within=90)
        await eventually(lambda: len(traffic.good) and traffic.good[-1] > traffic.bad[-1] + 1, within=10)
    assert over.state == pb.Rollout.STATE_ROLLED_BACK, over
    assert "errors" in over.reason
    assert over.verdict.decision == pb.Verdict.DECISION_ROLL_BACK
    assert {one.metric: one.candidate_bad_count for one in over.verdict.metrics}["errors"] > 0
    assert await judged.events(started.name) == ["started", "step", "rolling_back", "rolled_back"]
    # What callers saw, and what the record says of it.
    seen_s, told_s = traffic.bad[-1] - traffic.bad[0], over.bad_time.ToTimedelta().total_seconds()
    assert seen_s < patience(10)
    assert seen_s - 0.5 <= told_s <= seen_s + 4, (seen_s, told_s)
    assert served.client.models.get(JUDGED).production_version == "v1"
    # The route is back, and with it what was cached of the version that serves.
    again = served.predict(kept)
    assert (again.version, again.served_from) == ("v1", predict_pb2.PredictResponse.SERVED_FROM_CACHE)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_canary_of_which_one_answer_in_twenty_fails_is_rolled_back_and_the_baseline_notices_nothing(
    served: Served,
):
    """At 5 % of the traffic: 1 in 400 of all requests fails."""
    serve(served.client, FAILING, {"v1": table(24)})
    register(served.client, FAILING, "v2", table(23))
    policy = {"strategy": "STRATEGY_CANARY", "steps": [{"percent": 5, "dwell": "600s"}, {"percent": 100}]}
    async with (
        grpc.aio.insecure_channel(served.stack.address) as channel,
        Traffic.running(served.stack, FAILING, rate=RATE, entries=20) as traffic,
    ):
        rollouts = Rollouts(served.stack, channel, FAILING)
        await eventually(lambda: len(traffic.good) > RATE, within=30)
        over = await rollouts.over((await rollouts.start("v2", policy)).name, within=180)
        at_end = len(traffic.bad)
        await eventually(lambda: traffic.good[-1] > traffic.bad[-1] + 2, within=20)
    assert over.state == pb.Rollout.STATE_ROLLED_BACK, over
    (errors,) = [one for one in over.verdict.metrics if one.metric == "errors"]
    assert errors.baseline_bad_count == 0
    assert 0.01 < errors.candidate_bad_count / errors.candidate_count < 0.2, errors
    # Of all callers only those noticed whom the canary answered.
    assert errors.candidate_bad_count <= at_end == len(traffic.bad)
    assert len(traffic.bad) / len(traffic.good) < 0.01
    assert served.client.models.get(FAILING).production_version == "v1"


@pytest.mark.long
async def test_a_blue_green_switch_to_a_broken_version_is_undone_by_itself(judged: Rollouts, served: Served):
    policy = {"strategy": "STRATEGY_BLUE_GREEN", "steps": [{"percent": 100, "dwell": "5s"}]}
    async with Traffic.running(served.stack, JUDGED, rate=RATE / 4) as traffic:
        await eventually(lambda: len(traffic.good) > RATE / 4, within=30)
        started = await judged.start("v3", policy)
        over = await judged.over(started.name, within=90)
    assert over.state == pb.Rollout.STATE_ROLLED_BACK, over
    assert await judged.events(started.name) == ["started", "step", "rolling_back", "rolled_back"]
    assert traffic.bad[-1] - traffic.bad[0] < patience(10)


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_blue_green_switch_to_a_version_that_is_slow_or_predicts_garbage_is_undone_by_itself(
    judged: Rollouts, served: Served
):
    register(served.client, JUDGED, "switched-nan", table(8, spoilt_from=4))
    register(served.client, JUDGED, "switched-slow", slow_table(300))
    policy = {"strategy": "STRATEGY_BLUE_GREEN", "steps": [{"percent": 100, "dwell": "60s"}]}
    async with Traffic.running(served.stack, JUDGED, rate=RATE / 4) as traffic:
        # Of the hour before whole minutes are known, and a thousand requests are enough.
        await eventually(lambda: len(traffic.good) > 90 * RATE / 4, within=180)
        for version, metric in (("switched-nan", "invalid_outputs"), ("switched-slow", "slo")):
            over = await judged.over((await judged.start(version, policy)).name, within=120)
            assert over.state == pb.Rollout.STATE_ROLLED_BACK, over
            assert over.reason.startswith(metric), over.reason
            (told,) = [one for one in over.verdict.metrics if one.metric == metric]
            assert told.baseline_count >= 1000, "held against the hour before"
            assert over.bad_time.ToTimedelta().total_seconds() < patience(60)
    assert served.client.models.get(JUDGED).production_version == "v1"


async def test_a_sticky_rollout_gives_a_user_the_same_version_each_time(rollouts: Rollouts, served: Served):
    steps = [{"percent": 50, "dwell": "60s"}, {"percent": 100}]
    started = await rollouts.start("v2", {"strategy": "STRATEGY_ROLLING", "steps": steps, "sticky": True})

    async def half() -> bool:
        return (await rollouts.get(started.name)).percent == 50

    await eventually(half, within=60)
    versions = {}
    for user in range(30):
        asked = request(MODEL, features=ROW)
        asked.user_id = f"user-{user}"
        versions[user] = {served.predict(asked).version for _ in range(3)}
    assert {len(one) for one in versions.values()} == {1}
    assert set.union(*versions.values()) == {"v1", "v2"}
    await rollouts.call("AbortRollout", pb.AbortRolloutRequest(name=started.name))
    assert (await rollouts.over(started.name)).state == pb.Rollout.STATE_ABORTED


@pytest.mark.long
async def test_a_sticky_canary_is_judged_by_how_many_users_met_errors(judged: Rollouts, served: Served):
    async with Traffic.running(served.stack, JUDGED, rate=RATE) as traffic:
        await eventually(lambda: len(traffic.good) > RATE, within=30)
        started = await judged.start("v3", {**QUICK, "sticky": True})
        over = await judged.over(started.name, within=90)
    assert over.state == pb.Rollout.STATE_ROLLED_BACK, over
    (errors,) = over.verdict.metrics
    assert errors.metric == "errors"
    # Each user once, of some 50 of 997 that have the new version, however often they were answered by an error.
    assert 0 < errors.candidate_bad_count < 150


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("version", "file", "metric"),
    [
        pytest.param("nan", table(8, spoilt_from=4), "invalid_outputs", id="garbage"),
        pytest.param("slow", slow_table(300), "slo", id="slow"),
    ],
)
async def test_a_version_that_predicts_garbage_or_is_slow_is_rolled_back_by_itself(
    judged: Rollouts, served: Served, version: str, file: TinyModel, metric: str
):
    register(served.client, JUDGED, version, file)
    async with Traffic.running(served.stack, JUDGED, rate=RATE) as traffic:
        await eventually(lambda: len(traffic.good) > RATE, within=30)
        started = await judged.start(version, QUICK)
        over = await judged.over(started.name, within=120)
    assert over.state == pb.Rollout.STATE_ROLLED_BACK, over
    assert over.reason.startswith(metric), over.reason
    assert over.bad_time.ToTimedelta().total_seconds() < patience(60)


@pytest.mark.long
async def test_a_shadow_that_fails_is_taken_back_before_any_caller_gets_it_and_a_good_one_passes(served: Served):
    serve(served.client, SHADOWED, {"v1": table(8)})
    register(served.client, SHADOWED, "v2", table(9))
    register(served.client, SHADOWED, "v3", table(2))
    # What is measured by copies alone is not asked of a rollout that sends copies alone.
    gate = registry_pb2.PromotionGate(metric="shadow_pairs", minimum=1e9, measured_only=True)
    served.client.models.set_gates(SHADOWED, [gate])
    shadow = {"dwell": "1s", "min_pairs": 20, "then": "THEN_NOTHING"}
    policy = {"strategy": "STRATEGY_SHADOW", "shadow": shadow}
    async with (
        grpc.aio.insecure_channel(served.stack.address) as channel,
        Traffic.running(served.stack, SHADOWED, rate=RATE / 4) as traffic,
    ):
        rollouts = Rollouts(served.stack, channel, SHADOWED)
        await eventually(lambda: len(traffic.good) > RATE / 4, within=30)
        gated = await refused(rollouts.start("v2", QUICK))
        bad = await rollouts.over((await rollouts.start("v3", policy)).name, within=90)
        left = served.client.routes.get(SHADOWED).route
        good = await rollouts.over((await rollouts.start("v2", policy)).name, within=90)
        told = [await rollouts.events(one.name) for one in (bad, good)]
        served.client.routes.set_shadow(SHADOWED, "v2")
        second = await refused(rollouts.start("v2", policy))
    assert (gated.reason, second.reason) == ("PROMOTION_GATE_FAILED", "SHADOWING_IN_USE")
    assert told == [["started", "shadowing", "rolling_back", "rolled_back"], ["started", "shadowing", "shadowed"]]
    assert (bad.state, bad.reason.partition(": ")[2].startswith("errors to copies")) == (
        pb.Rollout.STATE_ROLLED_BACK,
        True,
    ), bad
    assert (left.managed_by, left.HasField("shadowing"), len(left.variants)) == ("", False, 1)
    assert good.state == pb.Rollout.STATE_SHADOWED, good
    assert traffic.bad == []
    assert served.client.models.get(SHADOWED).production_version == "v1"


async def test_a_good_version_is_promoted_on_evidence(judged: Rollouts, served: Served):
    async with Traffic.running(served.stack, JUDGED, rate=RATE) as traffic:
        started = await judged.start("v2", QUICK)
        over = await judged.over(started.name, within=120)
    assert over.state == pb.Rollout.STATE_SUCCEEDED, over
    assert traffic.bad == []
    types = await judged.events(started.name)
    assert [one for one in types if one == "step"] == ["step"] * 3
    assert served.client.models.get(JUDGED).production_version == "v2"


def answered_by(served: Served) -> str:
    """Return which version answers."""
    return served.predict(request(MODEL, features=ROW)).version

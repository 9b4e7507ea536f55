"""Promotions that others must agree to, as callers of ApprovalService meet them."""

import asyncio
from datetime import timedelta

import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict
from headrace.registry.v1 import approval_pb2 as pb
from headrace.registry.v1 import approval_pb2_grpc, registry_pb2
from headrace_servicekit.errors import Code

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.models.onnx_models import linear
from tests.kit.registry.service import Registry, caller

State = pb.PromotionRequest
PRODUCTION = registry_pb2.ModelVersion.STAGE_PRODUCTION
STAGING = registry_pb2.ModelVersion.STAGE_STAGING
# Read by rollouts alone.
CANARY = {"strategy": "STRATEGY_CANARY", "tolerated_ratio": 2.5, "steps": [{"percent": 5.0, "dwell": "60s"}]}


@pytest.fixture
async def approvals(registry: Registry):
    """The stub of ApprovalService, with a model of two versions that asks for two approvals."""
    async with grpc.aio.insecure_channel(registry.target) as channel:
        stub = approval_pb2_grpc.ApprovalServiceStub(channel)
        await registry.register("digits", "v1", metadata=caller("ann"))
        await registry.register("digits", "v2", metadata=caller("ann"))
        await registry.promote("digits", "v1")
        await put_policy(stub, approvals=2)
        yield stub


async def put_policy(stub, **fields) -> pb.ApprovalPolicy:
    request = pb.PutApprovalPolicyRequest(parent="models/digits", policy=pb.ApprovalPolicy(**fields), reason="rule 7")
    return (await stub.PutApprovalPolicy(request, timeout=20, metadata=caller("root"))).policy


async def ask(stub, version: str = "v2", who: str = "bob", **fields) -> pb.RequestPromotionResponse:
    request = pb.RequestPromotionRequest(name=f"models/digits/versions/{version}", reason="better on sevens", **fields)
    return await stub.RequestPromotion(request, timeout=20, metadata=caller(who))


async def approve(stub, name: str, who: str, **fields) -> pb.ApprovePromotionResponse:
    return await stub.ApprovePromotion(
        pb.ApprovePromotionRequest(name=name, **fields), timeout=20, metadata=caller(who)
    )


async def test_two_other_people_promote_and_nobody_alone(registry, approvals):
    error = await refused(registry.promote("digits", "v2"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "APPROVAL_REQUIRED")
    assert "headrace models request digits v2" in error.public_message
    asked = await ask(approvals)
    name = asked.request.name
    assert (asked.request.state, asked.request.author) == (State.STATE_PENDING, "bob")
    assert asked.review.missing_approvals == 2
    assert [(one.gate.metric, one.problem) for one in asked.review.gates] == [("accuracy", ""), ("latency_p99_ms", "")]
    for author in ("bob", "ann"):
        refusal = await refused(approve(approvals, name, author))
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "APPROVER_IS_AUTHOR")
    once = await approve(approvals, name, "cid", reason="looked at it")
    assert await approve(approvals, name, "cid") == once
    assert (await registry.model("digits")).production_version == "v1"
    done = await approve(approvals, name, "dora")
    assert done.request.state == State.STATE_PROMOTED
    assert done.model.production_version == "v2"
    assert [one.client for one in done.request.approvals] == ["cid", "dora"]
    assert (await approve(approvals, name, "dora")).request == done.request
    events = [event for event in await registry.events("digits") if event.promotion_request]
    actions = [registry_pb2.ModelEvent.Action.Name(event.action).removeprefix("ACTION_") for event in events]
    assert actions == ["STAGE_CHANGED", "PROMOTION_APPROVED", "PROMOTION_APPROVED", "PROMOTION_REQUESTED"]
    assert [event.client for event in events] == ["dora", "dora", "cid", "bob"]


async def test_a_rollback_waits_for_nobody(registry, approvals):
    name = (await ask(approvals)).request.name
    for who in ("cid", "dora"):
        await approve(approvals, name, who)
    assert (await registry.rollback("digits")).model.production_version == "v1"


async def test_gates_are_asked_again_when_the_last_approval_comes(registry, approvals):
    name = (await ask(approvals)).request.name
    await approve(approvals, name, "cid")
    version = (
        await registry.stub.GetModelVersion(
            registry_pb2.GetModelVersionRequest(name="models/digits/versions/v2"), timeout=20
        )
    ).version
    measured = registry_pb2.RecordMeasuredMetricsRequest(
        name=version.name,
        digest=version.digest,
        metrics=[registry_pb2.Metric(name="latency_p99_ms", value=900.0)],
        source_process="batcher/a",
    )
    await registry.stub.RecordMeasuredMetrics(measured, timeout=20)
    error = await refused(approve(approvals, name, "dora"))
    assert error.reason == "PROMOTION_GATE_FAILED"
    found = await approvals.GetPromotionRequest(pb.GetPromotionRequestRequest(name=name), timeout=20)
    assert (found.request.state, found.review.missing_approvals) == (State.STATE_PENDING, 1)
    assert "latency_p99_ms is 900" in found.review.obstacles[0]
    assert (await registry.model("digits")).production_version == "v1"


async def test_only_whom_the_policy_names_counts(approvals):
    kept = await put_policy(approvals, approvals=1, approvers=["release-*", "cid"])
    assert kept.expire_after.ToTimedelta() == timedelta(days=7)
    assert list(kept.stages) == [PRODUCTION]
    name = (await ask(approvals)).request.name
    error = await refused(approve(approvals, name, "dora"))
    assert (error.code, error.reason) == (Code.PERMISSION_DENIED, "NOT_AN_APPROVER")
    assert (await approve(approvals, name, "release-bot")).request.state == State.STATE_PROMOTED


async def test_services_have_no_say(approvals):
    name = (await ask(approvals)).request.name
    assert await reason_of(approvals.ApprovePromotion(pb.ApprovePromotionRequest(name=name), timeout=20)) == (
        "NOT_A_PERSON"
    )


async def test_a_rejection_ends_a_request_and_says_why(approvals):
    name = (await ask(approvals)).request.name
    without = pb.RejectPromotionRequest(name=name)
    assert (await refused(approvals.RejectPromotion(without, timeout=20, metadata=caller("cid")))).violations
    rejecting = pb.RejectPromotionRequest(name=name, reason="worse on ones")
    ended = (await approvals.RejectPromotion(rejecting, timeout=20, metadata=caller("cid"))).request
    assert (ended.state, ended.end_client, ended.end_reason) == (State.STATE_REJECTED, "cid", "worse on ones")
    error = await refused(approve(approvals, name, "dora"))
    assert error.reason == "PROMOTION_REQUEST_CLOSED"
    assert "worse on ones" in error.public_message
    assert (await ask(approvals)).request.name != name


async def test_only_its_author_takes_a_request_back(approvals):
    name = (await ask(approvals)).request.name
    request = pb.WithdrawPromotionRequest(name=name)
    error = await refused(approvals.WithdrawPromotion(request, timeout=20, metadata=caller("cid")))
    assert error.reason == "NOT_THE_AUTHOR"
    ended = (await approvals.WithdrawPromotion(request, timeout=20, metadata=caller("bob"))).request
    assert ended.state == State.STATE_WITHDRAWN


async def test_a_version_has_one_open_request(approvals):
    name = (await ask(approvals)).request.name
    error = await refused(ask(approvals, who="eve"))
    assert (error.code, error.reason) == (Code.ALREADY_EXISTS, "PROMOTION_REQUESTED")
    assert error.metadata["promotion_request"] == name


async def test_a_request_is_repeated_by_its_request_id(approvals):
    first = await ask(approvals, request_id="r1")
    assert (await ask(approvals, request_id="r1")).request == first.request


async def test_glass_is_broken_with_a_reason_and_history_tells(registry, approvals):
    request = pb.BreakGlassRequest(name="models/digits/versions/v2")
    error = await refused(approvals.BreakGlass(request, timeout=20, metadata=caller("eve")))
    assert error.violations[0].field == "reason"
    request.reason = "v1 answers NaN and nobody is awake"
    done = await approvals.BreakGlass(request, timeout=20, metadata=caller("eve"))
    assert done.model.production_version == "v2"
    overridden = [e for e in await registry.events("digits") if e.action == e.ACTION_APPROVAL_OVERRIDDEN]
    assert [(one.client, one.reason, one.version) for one in overridden] == [("eve", request.reason, "v2")]


async def test_glass_is_not_broken_where_the_policy_forbids_it(approvals):
    await put_policy(approvals, approvals=2, forbid_break_glass=True)
    request = pb.BreakGlassRequest(name="models/digits/versions/v2", reason="now")
    assert await reason_of(approvals.BreakGlass(request, timeout=20, metadata=caller("eve"))) == "BREAK_GLASS_FORBIDDEN"


async def test_differences_that_nobody_was_asked_about_refuse_the_last_approval(registry, approvals):
    await put_policy(approvals, approvals=1)
    await registry.register("digits", "v3", linear(5, 3), metadata=caller("ann"))
    asked = await ask(approvals, "v3", allow_incompatible_signature=True)
    assert asked.request.signature_breaks
    await registry.register("digits", "v4", linear(7, 2), metadata=caller("ann"))
    other = await ask(approvals, "v4", who="eve", allow_incompatible_signature=True)
    await approve(approvals, other.request.name, "cid")
    error = await refused(approve(approvals, asked.request.name, "cid"))
    assert error.reason == "SIGNATURE_INCOMPATIBLE"


async def test_an_approved_rollout_is_one_rollout_s_and_promotes_in_the_end(registry, approvals):
    name = (await ask(approvals, rollout_policy=CANARY, variant="main")).request.name
    for who in ("cid", "dora"):
        approved = (await approve(approvals, name, who)).request
    assert (approved.state, MessageToDict(approved.rollout_policy)) == (State.STATE_APPROVED, CANARY)
    assert (await registry.model("digits")).production_version == "v1"
    told = {"rollout": "rollouts/7"}
    check = await reason_of(registry.promote("digits", "v2", validate_only=True, **told))
    assert check == "APPROVAL_REQUIRED"
    await registry.promote("digits", "v2", validate_only=True, promotion_request=name, **told)
    assert await reason_of(registry.promote("digits", "v2", promotion_request=name, **told)) == "INVALID_ARGUMENT"
    hold = registry_pb2.HoldVersionRequest(name="models/digits/versions/v2", holder="rollouts/7")
    hold.ttl.FromSeconds(600)
    await registry.stub.HoldVersion(hold, timeout=20)
    claim = pb.ClaimPromotionRequestRequest(name=name, rollout="rollouts/7")
    for _ in range(2):
        claimed = (await approvals.ClaimPromotionRequest(claim, timeout=20)).request
        assert (claimed.state, claimed.rollout) == (State.STATE_ROLLING_OUT, "rollouts/7")
    claim.rollout = "rollouts/8"
    assert await reason_of(approvals.ClaimPromotionRequest(claim, timeout=20)) == "PROMOTION_REQUEST_CLOSED"
    assert await reason_of(registry.promote("digits", "v2", rollout="rollouts/8")) == "ROLLOUT_RUNNING"
    done = await registry.promote("digits", "v2", **told)
    assert done.model.production_version == "v2"
    found = await approvals.GetPromotionRequest(pb.GetPromotionRequestRequest(name=name), timeout=20)
    assert found.request.state == State.STATE_PROMOTED
    assert not found.HasField("review")


async def test_a_request_that_lacks_approvals_by_a_new_policy_waits_for_them_again(approvals):
    name = (await ask(approvals, rollout_policy=CANARY, variant="main")).request.name
    for who in ("cid", "dora"):
        approved = (await approve(approvals, name, who)).request
    assert approved.state == State.STATE_APPROVED
    await put_policy(approvals, approvals=2, approvers=["cid", "eve"])
    claim = pb.ClaimPromotionRequestRequest(name=name, rollout="rollouts/7")
    assert await reason_of(approvals.ClaimPromotionRequest(claim, timeout=20)) == "PROMOTION_REQUEST_CLOSED"
    found = await approvals.GetPromotionRequest(pb.GetPromotionRequestRequest(name=name), timeout=20)
    assert (found.request.state, found.review.missing_approvals) == (State.STATE_PENDING, 1)
    # Its rollout is another one than what might have begun before.
    assert (approved.rounds, found.request.rounds) == (0, 1)
    assert (await approve(approvals, name, "eve")).request.state == State.STATE_APPROVED
    await approvals.ClaimPromotionRequest(claim, timeout=20)


async def rolling_out(registry: Registry, stub, rollout: str = "rollouts/7") -> str:
    """Have a request approved that a rollout claims, which holds the version; return its name."""
    name = (await ask(stub, rollout_policy=CANARY, variant="main")).request.name
    for who in ("cid", "dora"):
        await approve(stub, name, who)
    hold = registry_pb2.HoldVersionRequest(name="models/digits/versions/v2", holder=rollout)
    hold.ttl.FromSeconds(600)
    await registry.stub.HoldVersion(hold, timeout=20)
    await stub.ClaimPromotionRequest(pb.ClaimPromotionRequestRequest(name=name, rollout=rollout), timeout=20)
    return name


async def test_a_rollout_that_promotes_nothing_ends_its_request_as_rolled_out(registry, approvals):
    name = await rolling_out(registry, approvals)
    done = pb.ClaimPromotionRequestRequest(name=name, rollout="rollouts/8", rolled_out=True)
    assert await reason_of(approvals.ClaimPromotionRequest(done, timeout=20)) == "PROMOTION_REQUEST_CLOSED"
    done.rollout = "rollouts/7"
    ended = (await approvals.ClaimPromotionRequest(done, timeout=20)).request
    assert (ended.state, ended.HasField("end_time")) == (State.STATE_ROLLED_OUT, True)
    assert (await approvals.ClaimPromotionRequest(done, timeout=20)).request == ended
    event = (await registry.events("digits"))[0]
    assert (event.action, event.reason) == (registry_pb2.ModelEvent.ACTION_PROMOTION_ROLLED_OUT, ended.end_reason)
    assert (await registry.model("digits")).production_version == "v1"


async def test_a_rollout_that_stops_asks_once_for_all_approvals_anew(registry, approvals):
    name = await rolling_out(registry, approvals)
    again = pb.ReopenPromotionRequestRequest(name=name, rollout="rollouts/7", reason="drift of amount")
    for _ in range(2):
        waits = (await approvals.ReopenPromotionRequest(again, timeout=20)).request
        assert (waits.state, waits.approvals, waits.rollout) == (State.STATE_PENDING, [], "rollouts/7")
    assert (await registry.events("digits"))[0].reason == "drift of amount"
    assert await reason_of(registry.promote("digits", "v2", rollout="rollouts/7")) == "APPROVAL_REQUIRED"
    assert (await approve(approvals, name, "cid")).request.state == State.STATE_PENDING
    # The rollout that holds the version is the one that asks.
    assert (await approve(approvals, name, "eve")).request.state == State.STATE_APPROVED
    other = pb.ClaimPromotionRequestRequest(name=name, rollout="rollouts/8")
    assert await reason_of(approvals.ClaimPromotionRequest(other, timeout=20)) == "PROMOTION_REQUEST_CLOSED"
    other.rollout = "rollouts/7"
    await approvals.ClaimPromotionRequest(other, timeout=20)
    agreed = (await approvals.ReopenPromotionRequest(again, timeout=20)).request
    assert (agreed.state, agreed.rounds) == (State.STATE_ROLLING_OUT, 1)
    assert (await registry.promote("digits", "v2", rollout="rollouts/7")).model.production_version == "v2"


async def test_a_rollout_that_asks_anew_hears_of_a_rejection(registry, approvals):
    name = await rolling_out(registry, approvals)
    again = pb.ReopenPromotionRequestRequest(name=name, rollout="rollouts/7", reason="drift of amount")
    await approvals.ReopenPromotionRequest(again, timeout=20)
    reject = pb.RejectPromotionRequest(name=name, reason="not with that drift")
    await approvals.RejectPromotion(reject, timeout=20, metadata=caller("cid"))
    refusal = await refused(approvals.ReopenPromotionRequest(again, timeout=20))
    assert (refusal.reason, "not with that drift" in refusal.public_message) == ("PROMOTION_REQUEST_CLOSED", True)
    again.rollout, again.reason = "rollouts/8", ""
    assert await reason_of(approvals.ReopenPromotionRequest(again, timeout=20)) == "INVALID_ARGUMENT"


async def test_requests_are_listed_by_state_and_only_those_that_a_caller_may_see(registry, approvals):
    await registry.register("other", "v1", metadata=caller("ann"))
    name = (await ask(approvals)).request.name

    async def listed(who=("bob",), **fields) -> list[str]:
        request = pb.ListPromotionRequestsRequest(**fields)
        answer = await approvals.ListPromotionRequests(request, timeout=20, metadata=caller(*who))
        return [one.name for one in answer.requests]

    assert await listed() == await listed(model="digits", state=State.STATE_PENDING) == [name]
    assert await listed(state=State.STATE_REJECTED) == await listed(model="other") == await listed(("bob", "o*")) == []


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        pytest.param({"approvals": 11}, "policy.approvals", id="too many"),
        pytest.param({"approvals": -1}, "policy.approvals", id="fewer than none"),
        pytest.param({"approvals": 2, "approvers": ["cid"]}, "policy.approvers", id="more than there are people"),
        pytest.param({"approvers": ["a\nb"]}, "policy.approvers[0]", id="no subject"),
        pytest.param({"stages": [1]}, "policy.stages[0]", id="a stage that nothing moves to"),
        pytest.param({"stages": [77]}, "policy.stages[0]", id="no stage"),
        pytest.param({"expire_after": {"seconds": 1}}, "policy.expire_after", id="too soon"),
    ],
)
async def test_a_policy_that_cannot_be_kept_is_refused_by_field(approvals, policy, field):
    error = await refused(put_policy(approvals, **policy))
    assert error.code is Code.INVALID_ARGUMENT
    assert [violation.field for violation in error.violations] == [field]


async def test_of_two_last_approvals_at_once_one_promotes(real):
    async with grpc.aio.insecure_channel(real.target) as channel:
        stub = approval_pb2_grpc.ApprovalServiceStub(channel)
        await real.register("digits", "v1", metadata=caller("ann"))
        await put_policy(stub, approvals=1)
        name = (await ask(stub, "v1")).request.name
        answers = await asyncio.gather(*(approve(stub, name, who) for who in ("cid", "dora")), return_exceptions=True)
        promoted = [one for one in answers if not isinstance(one, BaseException)]
        assert len(promoted) == 1
        events = [event for event in await real.events("digits") if event.promotion_request]
        assert len(events) == 3


async def test_a_version_is_reviewed_without_asking_anybody_for_anything(registry, approvals):
    async def reviewed(name: str, **fields) -> pb.PromotionReview:
        request = pb.ReviewPromotionRequest(name=f"models/digits/versions/{name}", **fields)
        return (await approvals.ReviewPromotion(request, timeout=20, metadata=caller("eve"))).review

    events = await registry.events("digits")
    found = await reviewed("v2")
    assert (found.missing_approvals, found.production_version, list(found.obstacles)) == (2, "v1", [])
    assert [(one.gate.metric, one.problem) for one in found.gates] == [("accuracy", ""), ("latency_p99_ms", "")]
    await registry.register("digits", "v3", metrics={"accuracy": 0.2, "latency_p99_ms": 1.0})
    worse = await reviewed("v3")
    assert "accuracy is 0.2" in worse.gates[0].problem
    assert "accuracy is 0.2" in worse.obstacles[0]
    assert [one.problem for one in (await reviewed("v3", target_stage=STAGING)).gates] == []
    assert (await refused(reviewed("v9"))).reason == "VERSION_NOT_FOUND"
    assert len(await registry.events("digits")) == len(events) + 1, "the new version alone"


async def test_the_bound_on_traffic_before_a_promotion_stands_with_the_model_and_follows_its_policies(
    registry, approvals
):
    assert (await registry.model("digits")).max_unpromoted_share == 0.5
    assert (await put_policy(approvals, approvals=1, max_unpromoted_share=0.2)).max_unpromoted_share == 0.2
    gates = [registry_pb2.PromotionGate(metric="accuracy", minimum=0.85)]
    policy = registry_pb2.PromotionPolicy(gates=gates, max_unpromoted_share=0.1)
    request = registry_pb2.UpdateModelRequest(model=registry_pb2.Model(name="models/digits", promotion_policy=policy))
    model = (await registry.stub.UpdateModel(request, timeout=20)).model
    assert (model.promotion_policy.max_unpromoted_share, model.max_unpromoted_share) == (0.1, 0.1)
    assert list(model.rollback_versions) == []
    for field, asked in (
        ("policy.max_unpromoted_share", put_policy(approvals, max_unpromoted_share=1.5)),
        ("model.promotion_policy.max_unpromoted_share", registry.stub.UpdateModel(beyond(), timeout=20)),
    ):
        error = await refused(asked)
        assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, field)


def beyond() -> registry_pb2.UpdateModelRequest:
    """Return a change of a model to a bound that is none."""
    policy = registry_pb2.PromotionPolicy(max_unpromoted_share=float("nan"))
    return registry_pb2.UpdateModelRequest(model=registry_pb2.Model(name="models/digits", promotion_policy=policy))

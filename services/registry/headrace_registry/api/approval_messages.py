"""Requests for promotion and their policies: from the API's messages to values, and back."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import DecodeError
from headrace.registry.v1 import approval_pb2 as pb
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.resource_names import invalid, is_id

from headrace_registry.api import answers, convert, former_policies
from headrace_registry.api.enums import STAGE_NUMBERS, STAGES
from headrace_registry.decisions import names
from headrace_registry.decisions.approvals import Approval, PromotionRequest, RequestState
from headrace_registry.decisions.models import ApprovalPolicy, Stage
from headrace_registry.promotion.approvals import RequestedPromotion
from headrace_registry.promotion.promotion_requests import Review
from headrace_registry.promotion.promotions import ROLLOUTS

MAX_POLICY_CHARS = 64 * 1024
_MAX_ROLLOUT_CHARS = 128

_STATES: dict[RequestState, Any] = {
    state: pb.PromotionRequest.State.Value(f"STATE_{state.name}") for state in RequestState
}
_BY_NUMBER: dict[int, RequestState] = {number: state for state, number in _STATES.items()}


def policy_of(message: pb.PutApprovalPolicyRequest) -> ApprovalPolicy | None:
    """Return the policy to set, with every default filled in; None to remove it. Raises InvalidArgument."""
    if not message.HasField("policy"):
        return None
    policy = message.policy
    found: list[FieldViolation] = []
    stages = []
    for index, number in enumerate(policy.stages):
        stage = STAGES.get(number)
        if stage is None:
            found.append(FieldViolation(f"policy.stages[{index}]", f"{number} is not a stage"))
        elif stage not in stages:
            stages.append(stage)
    refuse(found)
    default = ApprovalPolicy(1)
    expires = policy.HasField("expire_after")
    return ApprovalPolicy(
        approvals=policy.approvals or default.approvals,
        approvers=tuple(dict.fromkeys(policy.approvers)),
        stages=tuple(stages) or default.stages,
        expire_after=convert.duration(policy.expire_after, "policy.expire_after") if expires else default.expire_after,
        forbid_break_glass=policy.forbid_break_glass,
        max_unpromoted_share=(
            policy.max_unpromoted_share if policy.HasField("max_unpromoted_share") else default.max_unpromoted_share
        ),
    )


def wanted_of(message: pb.RequestPromotionRequest) -> RequestedPromotion:
    """Return what is asked for. Raises InvalidArgument. Whether a policy of rollouts is a good one, rollouts say."""
    target, policy = target_of(message), _policy_json(message)
    if policy:
        if target is not Stage.PRODUCTION:
            raise invalid("rollout_policy", "rollouts lead to production only")
        if len(policy) > MAX_POLICY_CHARS:
            raise invalid("rollout_policy", f"has {len(policy)} characters as JSON; at most {MAX_POLICY_CHARS}")
    elif message.variant:
        raise invalid("variant", "is of a rollout: set `rollout_policy`, or leave it out")
    if message.variant and not is_id(message.variant):
        raise invalid("variant", "is not the name of a variant")
    return RequestedPromotion(
        ref=names.version_ref(message.name, "name"),
        target=target,
        allow_incompatible=message.allow_incompatible_signature,
        rollout_policy=policy,
        variant=message.variant,
    )


def target_of(message: pb.RequestPromotionRequest | pb.ReviewPromotionRequest | pb.BreakGlassRequest) -> Stage:
    """Return the stage to move to, production where none is named. Raises InvalidArgument."""
    if message.target_stage == registry_pb2.ModelVersion.STAGE_UNSPECIFIED:
        return Stage.PRODUCTION
    return convert.target_stage(message.target_stage)


def filters_of(message: pb.ListPromotionRequestsRequest) -> tuple[str, RequestState | None]:
    """Return of which model, and in which state, requests are listed. Raises InvalidArgument."""
    model = names.model_id(f"models/{message.model}", "model") if message.model else ""
    if message.state == pb.PromotionRequest.STATE_UNSPECIFIED:
        return model, None
    if message.state not in _BY_NUMBER:
        raise invalid("state", f"{message.state} is not a state")
    return model, _BY_NUMBER[message.state]


def rollout_of(message: pb.ClaimPromotionRequestRequest | pb.ReopenPromotionRequestRequest) -> str:
    """Return the rollout whose request it is. Raises InvalidArgument."""
    if not message.rollout.startswith(ROLLOUTS) or len(message.rollout) > _MAX_ROLLOUT_CHARS:
        raise invalid("rollout", "is not of the form rollouts/{id}")
    return message.rollout


def to_policy(policy: ApprovalPolicy | None) -> pb.ApprovalPolicy | None:
    """Return a policy as the API shows it."""
    if policy is None:
        return None
    message = pb.ApprovalPolicy(
        approvals=policy.approvals,
        approvers=policy.approvers,
        stages=[STAGE_NUMBERS[stage] for stage in policy.stages],
        forbid_break_glass=policy.forbid_break_glass,
        max_unpromoted_share=policy.max_unpromoted_share,
    )
    message.expire_after.FromTimedelta(policy.expire_after)
    return message


def to_request(request: PromotionRequest) -> pb.PromotionRequest:
    """Return a request as the API shows it."""
    message = pb.PromotionRequest(
        name=request.name,
        version=request.ref.version,
        target_stage=STAGE_NUMBERS[request.target],
        state=_STATES[request.state],
        author=request.author,
        reason=request.reason,
        approvals=[_to_approval(one) for one in request.approvals],
        allow_incompatible_signature=request.allow_incompatible,
        signature_breaks=request.signature_breaks,
        variant=request.variant,
        rollout=request.rollout,
        create_time=answers.timestamp(request.create_time),
        expire_time=answers.timestamp(request.expire_time),
        end_client=request.end_client,
        end_reason=request.end_reason,
        rounds=request.rounds,
    )
    if request.rollout_policy:
        message.rollout_policy.CopyFrom(json_format.Parse(request.rollout_policy, struct_pb2.Struct()))
        former_policies.add_to(message, request.rollout_policy)
    if request.end_time is not None:
        message.end_time.CopyFrom(answers.timestamp(request.end_time))
    return message


def to_review(review: Review | None) -> pb.PromotionReview | None:
    """Return the review of a promotion request as a message: what still blocks it."""
    if review is None:
        return None
    message = pb.PromotionReview(
        missing_approvals=review.missing,
        production_version=review.production,
        signature_breaks=review.breaks,
        signature_additions=review.additions,
        obstacles=review.obstacles,
    )
    for result in review.gates:
        message.gates.add(gate=answers.to_gate(result.gate), problem=result.problem)
    return message


def _to_approval(approval: Approval) -> pb.Approval:
    return pb.Approval(
        client=approval.client, comment=approval.comment, create_time=answers.timestamp(approval.create_time)
    )


def _policy_json(message: pb.RequestPromotionRequest) -> str:
    """Return a policy as it is stored, empty for none. Raises InvalidArgument for one that JSON cannot say."""
    try:
        if message.HasField("rollout_policy"):
            return json_format.MessageToJson(message.rollout_policy, indent=None, sort_keys=True)
        return former_policies.policy_in(message)
    except (json_format.Error, DecodeError, ValueError, OverflowError):
        raise invalid("rollout_policy", "is no policy that JSON can express") from None

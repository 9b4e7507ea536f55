"""The registry: promotions that others must agree to."""

from __future__ import annotations

import uuid

from google.protobuf import json_format, struct_pb2
from headrace.registry.v1 import approval_pb2, registry_pb2
from headrace.rollout.v1 import rollout_pb2
from headrace_client.calls import Operation, Session, invoke
from headrace_client.operations.list_pages import list_all
from headrace_client.operations.models import DEFAULT_TIMEOUT_S

Stage = registry_pb2.ModelVersion.Stage
_PRODUCTION = registry_pb2.ModelVersion.STAGE_PRODUCTION


def get_approval_policy(
    session: Session, model: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[approval_pb2.ApprovalPolicy | None]:
    """Return the approval policy of a model's promotions; None when they need no approval."""
    request = approval_pb2.GetApprovalPolicyRequest(parent=f"models/{model}")
    answer = yield from invoke(session, approval_pb2.GetApprovalPolicyResponse, request, timeout_s=timeout)
    return answer.policy if answer.HasField("policy") else None


def put_approval_policy(
    session: Session,
    model: str,
    policy: approval_pb2.ApprovalPolicy | None,
    *,
    etag: str = "",
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[approval_pb2.ApprovalPolicy | None]:
    """Set who must agree to promotions of a model; None removes that."""
    request = approval_pb2.PutApprovalPolicyRequest(
        parent=f"models/{model}", policy=policy, etag=etag, reason=reason, request_id=request_id or str(uuid.uuid4())
    )
    answer = yield from invoke(session, approval_pb2.PutApprovalPolicyResponse, request, timeout_s=timeout)
    return answer.policy if answer.HasField("policy") else None


def request_promotion(
    session: Session,
    model: str,
    version: str,
    *,
    stage: Stage = _PRODUCTION,
    reason: str = "",
    allow_incompatible_signature: bool = False,
    rollout_policy: rollout_pb2.RolloutPolicy | None = None,
    variant: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[approval_pb2.RequestPromotionResponse]:
    """Ask others to agree to a promotion. rollout_policy: of a rollout that takes effect, instead of a move at once."""
    request = approval_pb2.RequestPromotionRequest(
        name=f"models/{model}/versions/{version}",
        target_stage=stage,
        reason=reason,
        allow_incompatible_signature=allow_incompatible_signature,
        rollout_policy=None if rollout_policy is None else _document(rollout_policy),
        variant=variant,
        request_id=request_id or str(uuid.uuid4()),
    )
    return (yield from invoke(session, approval_pb2.RequestPromotionResponse, request, timeout_s=timeout))


def get_promotion_request(
    session: Session, model: str, number: int, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[approval_pb2.GetPromotionRequestResponse]:
    """Return a request, with its present blockers."""
    request = approval_pb2.GetPromotionRequestRequest(name=_name(model, number))
    return (yield from invoke(session, approval_pb2.GetPromotionRequestResponse, request, timeout_s=timeout))


def review_promotion(
    session: Session, model: str, version: str, *, stage: Stage = _PRODUCTION, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[approval_pb2.PromotionReview]:
    """Return what a promotion of a version would be asked now: gates, signature, approvals, and why it is refused."""
    request = approval_pb2.ReviewPromotionRequest(name=f"models/{model}/versions/{version}", target_stage=stage)
    return (yield from invoke(session, approval_pb2.ReviewPromotionResponse, request, timeout_s=timeout)).review


def list_promotion_requests(
    session: Session,
    *,
    model: str = "",
    state: approval_pb2.PromotionRequest.State = approval_pb2.PromotionRequest.STATE_UNSPECIFIED,
    limit: int | None = 100,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[list[approval_pb2.PromotionRequest]]:
    """Return requests of one model or all, by model, the latest first."""
    request = approval_pb2.ListPromotionRequestsRequest(model=model, state=state)
    return (
        yield from list_all(
            session, approval_pb2.ListPromotionRequestsResponse, request, "requests", timeout_s=timeout, limit=limit
        )
    )


def approve_promotion(
    session: Session,
    model: str,
    number: int,
    *,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[approval_pb2.ApprovePromotionResponse]:
    """Agree to a request; the last agreement that was missing takes effect."""
    request = approval_pb2.ApprovePromotionRequest(
        name=_name(model, number), reason=reason, request_id=request_id or str(uuid.uuid4())
    )
    return (yield from invoke(session, approval_pb2.ApprovePromotionResponse, request, timeout_s=timeout))


def reject_promotion(
    session: Session,
    model: str,
    number: int,
    reason: str,
    *,
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[approval_pb2.PromotionRequest]:
    """End a request without a promotion."""
    request = approval_pb2.RejectPromotionRequest(
        name=_name(model, number), reason=reason, request_id=request_id or str(uuid.uuid4())
    )
    return (yield from invoke(session, approval_pb2.RejectPromotionResponse, request, timeout_s=timeout)).request


def withdraw_promotion(
    session: Session,
    model: str,
    number: int,
    *,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[approval_pb2.PromotionRequest]:
    """Take one's own request back."""
    request = approval_pb2.WithdrawPromotionRequest(
        name=_name(model, number), reason=reason, request_id=request_id or str(uuid.uuid4())
    )
    return (yield from invoke(session, approval_pb2.WithdrawPromotionResponse, request, timeout_s=timeout)).request


def break_glass(
    session: Session,
    model: str,
    version: str,
    reason: str,
    *,
    stage: Stage = _PRODUCTION,
    allow_incompatible_signature: bool = False,
    end_rollout: bool = False,
    etag: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[approval_pb2.BreakGlassResponse]:
    """Promote without the approvals that are asked for, in an emergency: history and webhooks tell of it."""
    request = approval_pb2.BreakGlassRequest(
        name=f"models/{model}/versions/{version}",
        target_stage=stage,
        etag=etag,
        reason=reason,
        request_id=request_id or str(uuid.uuid4()),
        allow_incompatible_signature=allow_incompatible_signature,
        end_rollout=end_rollout,
    )
    return (yield from invoke(session, approval_pb2.BreakGlassResponse, request, timeout_s=timeout))


def _document(policy: rollout_pb2.RolloutPolicy) -> struct_pb2.Struct:
    fields = json_format.MessageToDict(policy, preserving_proto_field_name=True)
    return json_format.ParseDict(fields, struct_pb2.Struct())


def _name(model: str, number: int) -> str:
    return f"models/{model}/promotionRequests/{number}"

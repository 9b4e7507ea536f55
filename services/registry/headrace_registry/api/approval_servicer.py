"""The RPCs of ApprovalService: convert, call, convert."""

from __future__ import annotations

from headrace.registry.v1 import approval_pb2 as pb
from headrace.registry.v1 import approval_pb2_grpc
from headrace_servicekit.errors import PermissionDenied
from headrace_servicekit.identity import identity
from headrace_servicekit.request_fields import kept_text
from headrace_servicekit.resource_names import invalid

from headrace_registry.api import answers, approval_messages
from headrace_registry.api.requests import write_of
from headrace_registry.catalog.pages import PageRequest, fit
from headrace_registry.catalog.reads import Catalog
from headrace_registry.catalog.writes import Write
from headrace_registry.decisions import names
from headrace_registry.metrics import Metrics
from headrace_registry.promotion.approvals import Approvals


class ApprovalServicer(approval_pb2_grpc.ApprovalServiceServicer):
    """ApprovalService over its use cases."""

    def __init__(self, catalog: Catalog, approvals: Approvals, metrics: Metrics) -> None:
        self._catalog, self._approvals, self._metrics = catalog, approvals, metrics

    async def GetApprovalPolicy(self, request, context):
        model = await self._catalog.model(names.model_id(request.parent, "parent"))
        return pb.GetApprovalPolicyResponse(policy=approval_messages.to_policy(model.approvals))

    async def PutApprovalPolicy(self, request, context):
        model = names.model_id(request.parent, "parent")
        policy = approval_messages.policy_of(request)
        write = write_of("PutApprovalPolicy", request)
        outcome = await self._approvals.put_policy(model, policy, request.etag, write)
        return pb.PutApprovalPolicyResponse(
            policy=approval_messages.to_policy(outcome.model.approvals), model=answers.to_model(outcome.model)
        )

    async def RequestPromotion(self, request, context):
        wanted, write = approval_messages.wanted_of(request), _of_a_person("RequestPromotion", request)
        made = await self._approvals.request(wanted, write)
        current, review = await self._approvals.read(made.ref.model, made.number)
        return pb.RequestPromotionResponse(
            request=approval_messages.to_request(current), review=approval_messages.to_review(review)
        )

    async def GetPromotionRequest(self, request, context):
        found, review = await self._approvals.read(*names.promotion_request(request.name, "name"))
        return pb.GetPromotionRequestResponse(
            request=approval_messages.to_request(found), review=approval_messages.to_review(review)
        )

    async def ListPromotionRequests(self, request, context):
        model, state = approval_messages.filters_of(request)
        asked = PageRequest(request.page_size, request.page_token)
        page = await self._catalog.promotion_requests(model, state, asked, identity().sees)
        found, token = fit(page, approval_messages.to_request)
        return pb.ListPromotionRequestsResponse(requests=found, next_page_token=token)

    async def ReviewPromotion(self, request, context):
        ref, target = names.version_ref(request.name, "name"), approval_messages.target_of(request)
        return pb.ReviewPromotionResponse(review=approval_messages.to_review(await self._approvals.review(ref, target)))

    async def ApprovePromotion(self, request, context):
        model, number = names.promotion_request(request.name, "name")
        outcome = await self._approvals.approve(model, number, _of_a_person("ApprovePromotion", request))
        return pb.ApprovePromotionResponse(
            request=approval_messages.to_request(outcome.promotion), model=answers.to_model(outcome.model)
        )

    async def RejectPromotion(self, request, context):
        model, number = names.promotion_request(request.name, "name")
        write = _reasoned(_of_a_person("RejectPromotion", request), "is needed to reject a promotion")
        ended = await self._approvals.reject(model, number, write)
        return pb.RejectPromotionResponse(request=approval_messages.to_request(ended))

    async def WithdrawPromotion(self, request, context):
        model, number = names.promotion_request(request.name, "name")
        ended = await self._approvals.withdraw(model, number, _of_a_person("WithdrawPromotion", request))
        return pb.WithdrawPromotionResponse(request=approval_messages.to_request(ended))

    async def BreakGlass(self, request, context):
        ref, target = names.version_ref(request.name, "name"), approval_messages.target_of(request)
        write = _reasoned(write_of("BreakGlass", request), "is needed to promote without approvals")
        with self._metrics.move(target), self._metrics.overriding():
            outcome = await self._approvals.break_glass(
                ref,
                target,
                request.etag,
                write,
                allow_incompatible=request.allow_incompatible_signature,
                end_rollout=request.end_rollout,
            )
        return pb.BreakGlassResponse(version=answers.to_version(outcome.subject), model=answers.to_model(outcome.model))

    async def ClaimPromotionRequest(self, request, context):
        model, number = names.promotion_request(request.name, "name")
        rollout = approval_messages.rollout_of(request)
        if request.rolled_out:
            claimed = await self._approvals.roll_out(model, number, rollout, identity().client)
        else:
            claimed = await self._approvals.claim(model, number, rollout)
        return pb.ClaimPromotionRequestResponse(request=approval_messages.to_request(claimed))

    async def ReopenPromotionRequest(self, request, context):
        model, number = names.promotion_request(request.name, "name")
        write = _reasoned(
            Write(identity().client, kept_text(request.reason, "reason")), "is needed to request approvals again"
        )
        reopened = await self._approvals.reopen(model, number, approval_messages.rollout_of(request), write)
        return pb.ReopenPromotionRequestResponse(request=approval_messages.to_request(reopened))


def _of_a_person(method: str, request) -> Write:
    """Return who writes and why. Raises PermissionDenied for a service, which cannot answer for a promotion."""
    if identity().internal:
        raise PermissionDenied("a service has no say in approvals: call through the front door", reason="NOT_A_PERSON")
    return write_of(method, request)


def _reasoned(write: Write, remedy: str) -> Write:
    if not write.reason.strip():
        raise invalid("reason", f"must not be empty: {remedy}")
    return write

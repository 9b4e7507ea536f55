"""Requests for promotion: who may agree, when that is enough, and what becomes of a request. Pure functions."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headrace_servicekit.errors import (
    FieldViolation,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    ResourceExhausted,
)
from headrace_servicekit.identity import matches

from headrace_registry.decisions.models import ApprovalPolicy, Model, Stage, VersionRef

MAX_APPROVALS = 10
MAX_APPROVERS = 100
MAX_APPROVER_CHARS = 256
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=90)
# Open requests of one model; each was made by a caller who may promote.
MAX_OPEN = 100


class RequestState(enum.StrEnum):
    """Where a request is; approval.proto says what each means."""

    PENDING = "pending"
    APPROVED = "approved"
    ROLLING_OUT = "rolling_out"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    FAILED = "failed"
    ROLLED_OUT = "rolled_out"

    @property
    def over(self) -> bool:
        """Whether nothing follows."""
        return self not in OPEN

    @property
    def waits(self) -> bool:
        """Whether it expires without further action."""
        return self in (RequestState.PENDING, RequestState.APPROVED)


OPEN = frozenset({RequestState.PENDING, RequestState.APPROVED, RequestState.ROLLING_OUT})


# What no approval led to.
REFUSED = frozenset({RequestState.REJECTED, RequestState.WITHDRAWN, RequestState.EXPIRED, RequestState.FAILED})


@dataclass(frozen=True, slots=True)
class Approval:
    """One agreement."""

    client: str
    comment: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class PromotionRequest:
    """A request for promotion. number: the epoch of the model that it made.

    signature_breaks: those that are allowed, where `allow_incompatible`. rollout_policy: JSON of the policy of a
    rollout that takes effect, empty for a promotion at once. rollout: the one that did. asked_again: the rollout that
    sent it back for approvals after it had begun. rounds: how often it went back to wait for approvals.
    """

    ref: VersionRef
    number: int
    target: Stage
    author: str
    reason: str
    create_time: datetime
    expire_time: datetime
    state: RequestState = RequestState.PENDING
    approvals: tuple[Approval, ...] = ()
    allow_incompatible: bool = False
    signature_breaks: tuple[str, ...] = ()
    rollout_policy: str = ""
    variant: str = ""
    rollout: str = ""
    end_time: datetime | None = None
    end_client: str = ""
    end_reason: str = ""
    asked_again: str = ""
    rounds: int = 0

    @property
    def name(self) -> str:
        """Return its resource name."""
        return f"models/{self.ref.model}/promotionRequests/{self.number}"


def policy_violations(policy: ApprovalPolicy, field: str) -> list[FieldViolation]:
    """Return what is wrong with a policy, by field."""
    found = []
    if not 1 <= policy.approvals <= MAX_APPROVALS:
        found.append(FieldViolation(f"{field}.approvals", f"{policy.approvals} is not between 1 and {MAX_APPROVALS}"))
    if len(policy.approvers) > MAX_APPROVERS:
        message = f"{len(policy.approvers)} items; at most {MAX_APPROVERS}"
        found.append(FieldViolation(f"{field}.approvers", message))
    for index, pattern in enumerate(policy.approvers[:MAX_APPROVERS]):
        if not 0 < len(pattern) <= MAX_APPROVER_CHARS or not pattern.isprintable():
            message = (
                f"must be 1 to {MAX_APPROVER_CHARS} printable characters: a subject, where * stands for any characters"
            )
            found.append(FieldViolation(f"{field}.approvers[{index}]", message))
    named = sum("*" not in pattern for pattern in set(policy.approvers))
    if policy.approvers and named == len(set(policy.approvers)) and named < policy.approvals:
        message = f"{policy.approvals} approvals of {named} approvers can never come: name more, or ask for fewer"
        found.append(FieldViolation(f"{field}.approvers", message))
    for index, stage in enumerate(policy.stages):
        if stage is Stage.REGISTERED:
            found.append(FieldViolation(f"{field}.stages[{index}]", "nothing is promoted to registered"))
    if not SHORTEST <= policy.expire_after <= LONGEST:
        message = f"{policy.expire_after.total_seconds():g} s is not between 1 minute and {LONGEST.days} days"
        found.append(FieldViolation(f"{field}.expire_after", message))
    if not 0 <= policy.max_unpromoted_share <= 1:
        message = f"{policy.max_unpromoted_share:.15g} is not between 0 and 1"
        found.append(FieldViolation(f"{field}.max_unpromoted_share", message))
    return found


def asked(model: Model, target: Stage) -> ApprovalPolicy | None:
    """Return the policy that a promotion to a stage is subject to; None when it is to none."""
    policy = model.approvals
    return policy if policy is not None and target in policy.stages else None


def required(model: Model, version: str, target: Stage) -> PreconditionFailed:
    """Return the refusal of a promotion that others must agree to first."""
    policy = asked(model, target)
    count = 1 if policy is None else policy.approvals
    who = f"{count} people" if count > 1 else "another person"
    return PreconditionFailed(
        f"model '{model.name}' asks that {who} approve before a version reaches {target}: request the promotion of "
        f"'{version}' (RequestPromotion, `headrace models request {model.name} {version}`)",
        reason="APPROVAL_REQUIRED",
        metadata={"model": model.name, "version": version, "approvals": str(count)},
    )


def not_required(model: Model, target: Stage) -> PreconditionFailed:
    """Return the refusal of a request, or its like, that the model does not ask for."""
    return PreconditionFailed(
        f"model '{model.name}' asks for no approvals before a version reaches {target}: promote it",
        reason="APPROVAL_NOT_REQUIRED",
    )


def check_room(model: str, version: str, others: Sequence[PromotionRequest]) -> None:
    """Raise ResourceExhausted, reason TOO_MANY_REQUESTS, unless there is room for another open request."""
    if len(others) >= MAX_OPEN:
        message = f"model '{model}' has {MAX_OPEN} open requests for promotion: withdraw one before that of '{version}'"
        raise ResourceExhausted(message, reason="TOO_MANY_REQUESTS", retry_after_s=60.0)


def as_of(request: PromotionRequest, now: datetime) -> PromotionRequest:
    """Return a request as it is at a time: one that waited for too long has expired, whether that is written or not."""
    if not request.state.waits or now < request.expire_time:
        return request
    lacked = "its approvals" if request.state is RequestState.PENDING else "its rollout"
    message = f"{lacked} did not come until {request.expire_time:%Y-%m-%d %H:%M} UTC"
    return ended(request, RequestState.EXPIRED, request.expire_time, reason=message)


def missing(request: PromotionRequest, policy: ApprovalPolicy, registrant: str) -> int:
    """Return how many approvals are missing by a policy. registrant: who registered the version."""
    counted = [one for one in request.approvals if not _excluded(one.client, request, policy, registrant)]
    return max(0, policy.approvals - len(counted))


def judged_anew(request: PromotionRequest, policy: ApprovalPolicy | None, registrant: str) -> PromotionRequest:
    """Return a request under a new policy: an approved one that now lacks approvals is pending again. A rollout that
    has begun continues."""
    if request.state is RequestState.APPROVED and policy is not None and missing(request, policy, registrant):
        return replace(request, state=RequestState.PENDING, rounds=request.rounds + 1)
    return request


def reopened(request: PromotionRequest, rollout: str, policy: ApprovalPolicy, now: datetime) -> PromotionRequest:
    """Return a request that needs all approvals again before its rollout continues; at most once for each rollout.

    Raises PreconditionFailed, reason PROMOTION_REQUEST_CLOSED or _EXPIRED, for one that is over, or another rollout's.
    """
    current = as_of(request, now)
    if current.state.over or current.rollout != rollout:
        raise closed(current)
    if current.asked_again == rollout:
        return current
    return replace(
        current,
        state=RequestState.PENDING,
        approvals=(),
        expire_time=now + policy.expire_after,
        asked_again=rollout,
        rounds=current.rounds + 1,
    )


def check_voter(client: str, request: PromotionRequest, policy: ApprovalPolicy, registrant: str) -> None:
    """Raise PermissionDenied, reason APPROVER_IS_AUTHOR or NOT_AN_APPROVER, for who may not answer a request."""
    if problem := _excluded(client, request, policy, registrant):
        raise problem


def check_author(client: str, request: PromotionRequest) -> None:
    """Raise PermissionDenied, reason NOT_THE_AUTHOR, unless a client made a request."""
    if client != request.author:
        message = f"'{request.author}' made the request: only the author takes it back; reject it instead"
        raise PermissionDenied(message, reason="NOT_THE_AUTHOR")


def check_emergency(model: Model, policy: ApprovalPolicy) -> None:
    """Raise PreconditionFailed, reason BREAK_GLASS_FORBIDDEN, where a policy has no exception for emergencies."""
    if policy.forbid_break_glass:
        message = (
            f"the approval policy of '{model.name}' forbids promotions without approvals: request one, or roll back"
        )
        raise PreconditionFailed(message, reason="BREAK_GLASS_FORBIDDEN")


def approved(request: PromotionRequest, client: str, comment: str, now: datetime) -> PromotionRequest:
    """Return a request with one more approval; the same when the client approved before.

    Raises PreconditionFailed, reason PROMOTION_REQUEST_CLOSED or PROMOTION_REQUEST_EXPIRED.
    """
    current = as_of(request, now)
    if any(one.client == client for one in request.approvals) and current.state not in REFUSED:
        return request
    if current.state is not RequestState.PENDING:
        raise closed(current)
    return replace(request, approvals=(*request.approvals, Approval(client, comment, now)))


def claimed(request: PromotionRequest, rollout: str, now: datetime) -> PromotionRequest:
    """Return an approved request as the one of a rollout. Raises PreconditionFailed for one that is not to be had."""
    current = as_of(request, now)
    if current.state is RequestState.ROLLING_OUT and current.rollout == rollout:
        return current
    if current.state is not RequestState.APPROVED or current.rollout not in ("", rollout):
        raise closed(current)
    return replace(current, state=RequestState.ROLLING_OUT, rollout=rollout)


def rolled_out(request: PromotionRequest, rollout: str, now: datetime) -> PromotionRequest:
    """Return the request of a rollout that has reached its end without a promotion to make. Raises as `claimed`."""
    if (request.state, request.rollout) == (RequestState.ROLLED_OUT, rollout):
        return request
    reason = f"{rollout} reached its end, of a variant that does not follow production: no stage changed"
    return ended(claimed(request, rollout, now), RequestState.ROLLED_OUT, now, reason=reason)


def ended(
    request: PromotionRequest, state: RequestState, now: datetime, *, client: str = "", reason: str = ""
) -> PromotionRequest:
    """Return a request that is over."""
    return replace(request, state=state, end_time=now, end_client=client, end_reason=reason)


def closed(request: PromotionRequest) -> PreconditionFailed:
    """Return the refusal of what comes too late."""
    expired = request.state is RequestState.EXPIRED
    message = f"request {request.number} of '{request.ref.version}' is {request.state.replace('_', ' ')}"
    if request.end_client:
        message += f" by {request.end_client}"
    if request.end_reason:
        message += f": {request.end_reason}"
    return PreconditionFailed(
        f"{message}; make a new request" if request.state.over else message,
        reason="PROMOTION_REQUEST_EXPIRED" if expired else "PROMOTION_REQUEST_CLOSED",
        metadata={"state": request.state.value},
    )


def unknown(model: str, number: int) -> NotFound:
    """Return the error for a request that a model does not have."""
    return NotFound(f"model '{model}' has no promotion request {number}", reason="PROMOTION_REQUEST_NOT_FOUND")


def check_breaks(request: PromotionRequest, breaks: Iterable[str]) -> None:
    """Raise PreconditionFailed, reason SIGNATURE_INCOMPATIBLE, for signature differences that no approver has seen."""
    new = [one for one in breaks if one not in request.signature_breaks]
    if new:
        raise PreconditionFailed(
            f"version '{request.ref.version}' breaks the signature in production otherwise than the request allows: "
            + "; ".join(new)
            + "; make a new request",
            reason="SIGNATURE_INCOMPATIBLE",
        )


def _excluded(
    client: str, request: PromotionRequest, policy: ApprovalPolicy, registrant: str
) -> PermissionDenied | None:
    if client in (request.author, registrant):
        did = "made the request" if client == request.author else "registered the version"
        message = f"'{client}' {did}: another client has to answer it"
        return PermissionDenied(message, reason="APPROVER_IS_AUTHOR")
    if policy.approvers and not matches(policy.approvers, client):
        message = f"'{client}' is not one of the approvers in the policy: {', '.join(policy.approvers[:10])}"
        return PermissionDenied(message, reason="NOT_AN_APPROVER")
    return None

"""Promotions that others must agree to: asked for, agreed to, rejected, taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from headrace_console.pages.model import STAGES, model_page, number_of
from headrace_console.pages.strategies import STRATEGIES, policy_of
from headrace_console.pages.visits import WRITE_S, Visit, signed_in


@signed_in
async def ask(visit: Visit) -> Response:
    """Ask others to agree to a promotion; what the registry refuses is shown with its reasons."""
    name, form = visit.argument("model"), visit.form
    stage, how = STAGES.get(form.get("stage", "")), form.get("how", "")
    if stage is None:
        visit.refuse("stage", f"is not one of {', '.join(STAGES)}")
        return await model_page(visit)
    if how and how not in STRATEGIES:
        visit.refuse("how", f"is not one of {', '.join(STRATEGIES)}")
        return await model_page(visit)
    asking = visit.client.approvals.request(
        name,
        form.get("version", ""),
        stage=stage,
        reason=form.get("reason", ""),
        allow_incompatible_signature=form.get("allow_incompatible_signature") == "yes",
        rollout_policy=policy_of(how),
        request_id=form.get("request_id", ""),
        timeout=WRITE_S,
    )
    if await visit.tried(asking):
        return visit.go_to(f"/console/models/{name}", done="asked")
    return await model_page(visit)


@signed_in
async def answer(visit: Visit) -> Response:
    """Agree to a request for promotion, reject it or take it back; refusals are shown with their reasons."""
    name, client, form = visit.argument("model"), visit.client, visit.form
    request, reason, request_id = (
        number_of(visit.argument("request")),
        form.get("reason", ""),
        form.get("request_id", ""),
    )
    action = form.get("action", "")
    answers: dict[str, Callable[[], Awaitable[object]]] = {
        "approve": lambda: client.approvals.approve(
            name, request, reason=reason, request_id=request_id, timeout=WRITE_S
        ),
        "reject": lambda: client.approvals.reject(name, request, reason, request_id=request_id, timeout=WRITE_S),
        "withdraw": lambda: client.approvals.withdraw(
            name, request, reason=reason, request_id=request_id, timeout=WRITE_S
        ),
    }
    if action not in answers:
        visit.refuse("action", f"is not one of {', '.join(answers)}")
    elif await visit.tried(answers[action]()):
        return visit.go_to(f"/console/models/{name}", done=action)
    return await model_page(visit)

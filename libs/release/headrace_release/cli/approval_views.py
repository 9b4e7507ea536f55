"""Requests for promotion as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.registry.v1 import approval_pb2 as pb
from headrace.registry.v1 import registry_pb2
from headrace_client.cli.output import Output, last, shown, when
from headrace_client.cli.views import gate as gate_text
from headrace_client.cli.views import stage
from headrace_client.client import Client
from headrace_client.errors import HeadraceError
from headrace_client.operations.routes import Variant, Version
from headrace_client.served_shares import percent


def state_of(request: pb.PromotionRequest) -> str:
    """Return where a request is, in a word or two."""
    return _word(pb.PromotionRequest.State.Name(request.state), "STATE_")


def show_policy(output: Output, model: str, policy: pb.ApprovalPolicy | None) -> None:
    """Print who must agree."""
    if policy is None:
        output.say(f"{model}: promotions need no approval")
        return
    output.facts(
        [
            ("approvals", str(policy.approvals)),
            ("of", shown(", ".join(policy.approvers)) or "everybody with the scope registry.approve"),
            ("before", ", ".join(stage(one) for one in policy.stages)),
            ("a request is open for", f"{policy.expire_after.ToTimedelta()}"),
            ("in an emergency", "never without" if policy.forbid_break_glass else "headrace models break-glass"),
            ("traffic before", f"at most {percent(policy.max_unpromoted_share)} by splits and experiments"),
        ]
    )


def show_requests(output: Output, requests: Sequence[pb.PromotionRequest]) -> None:
    """Print one line for each request."""
    output.table(
        ("model", "request", "version", "to", "state", "approved by", "asked by", "why", "open until"),
        [
            (
                one.name.split("/")[1],
                last(one.name),
                one.version,
                stage(one.target_stage),
                state_of(one),
                shown(", ".join(approval.client for approval in one.approvals)) or "-",
                shown(one.author),
                shown(one.reason),
                when(one.expire_time),
            )
            for one in requests
        ],
    )
    if not requests:
        output.note("nothing waits for approval")


def show_request(
    client: Client, output: Output, model: str, request: pb.PromotionRequest, review: pb.PromotionReview
) -> None:
    """Print all of a request: approvals, blockers, and the effect on the route."""
    rollout = _word(request.rollout_policy.fields["strategy"].string_value, "STRATEGY_")
    end = f"{shown(request.end_client)} {shown(request.end_reason)}".strip()
    over = request.HasField("end_time")
    output.facts(
        [
            ("request", f"{last(request.name)} of {model}: {request.version} to {stage(request.target_stage)}"),
            ("by", f"rollout ({rollout})" if request.HasField("rollout_policy") else "a promotion at once"),
            ("state", f"{state_of(request)}{f': {end}' if end else ''}"),
            ("asked by", f"{shown(request.author)}: {shown(request.reason)}"),
            ("open until", "" if over else when(request.expire_time)),
            ("rollout", shown(request.rollout)),
        ]
    )
    for one in request.approvals:
        output.say(f"  [green]approved[/] by {shown(one.client)} {when(one.create_time)} {shown(one.comment)}")
    if over:
        return
    output.say("")
    show_review(output, review)
    _show_route(client, output, model, request)
    output.note(f"others: headrace models approve {model} {last(request.name)}")


def show_review(output: Output, review: pb.PromotionReview) -> None:
    """Print what a promotion would be asked now, and what it would be refused for."""
    output.facts(
        [
            ("missing", f"{review.missing_approvals} approvals"),
            ("in production", shown(review.production_version)),
        ]
    )
    output.table(
        ("gate", "now"),
        [
            (shown(gate_text(one.gate)), f"[red]{shown(one.problem)}[/]" if one.problem else "[green]met[/]")
            for one in review.gates
        ],
    )
    for one in review.signature_breaks:
        output.say(f"[yellow]breaks[/] {shown(one)}")
    for one in review.signature_additions:
        output.say(f"adds {shown(one)}")
    for one in review.obstacles:
        output.say(f"[red]would be refused now[/]: {shown(one)}")


def _show_route(client: Client, output: Output, model: str, request: pb.PromotionRequest) -> None:
    """Print the route's dry run with the version in production. It is computed now: one from the time of the request
    would be stale a day later."""
    try:
        route = client.routes.get(model).route
        moved = [one for one in route.variants if one.WhichOneof("serves") == "follow_production" and one.weight]
        if not moved or request.target_stage != registry_pb2.ModelVersion.STAGE_PRODUCTION:
            return
        variants = [
            Variant(one.name, Version(request.version if one in moved else one.serving_version), one.weight, one.pool)
            for one in route.variants
        ]
        found = client.routes.dry_run(model, variants=variants)
    except HeadraceError as error:
        output.say(f"route: not known ({shown(error.message)})")
        return
    output.say(f"route: {100 * found.moved_version_share:.3g} % of the units would change their version")
    if found.waits_for:
        output.say(f"route: it would wait: {shown(found.waits_for)}")


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", " ")

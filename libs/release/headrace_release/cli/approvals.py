"""`headrace models` approval-policy, request, approvals, approve, reject, withdraw, break-glass: promotions that others
must agree to.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
from headrace.registry.v1 import approval_pb2 as pb
from headrace.rollout.v1 import rollout_pb2
from headrace_client.cli.options import connected, model_argument, reason_option, request_id_option, version_argument
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.cli.promotion import STAGES
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import HeadraceError, InvalidArgument

from headrace_release.cli.approval_views import show_policy, show_request, show_requests, show_review, state_of
from headrace_release.cli.rollout_options import STRATEGIES, rollout_policy

_number_argument = click.argument("number", type=click.IntRange(1))
_incompatible_option = click.option(
    "--allow-incompatible-signature",
    is_flag=True,
    help="Ask although requests that are answered now may be refused then; what differs now is what is agreed to.",
)
_to_option = click.option("--to", "target", type=click.Choice(list(STAGES)), default="production", show_default=True)


@click.command("approval-policy")
@model_argument
@click.option("--approvals", type=click.IntRange(1, 10), help="How many must agree, authors apart.")
@click.option("--approver", "approvers", multiple=True, help="Subject that counts, or a pattern such as 'release-*'.")
@click.option("--stage", "stages", multiple=True, type=click.Choice(list(STAGES)), help="Default production.")
@click.option("--expire-after", type=Duration(), help="How long a request is open; default 7d.")
@click.option("--forbid-break-glass", is_flag=True, help="No exception for emergencies.")
@click.option(
    "--max-unpromoted-share",
    "share",
    type=click.FloatRange(0, 1),
    help="Largest share of traffic that splits and experiments may give unpromoted versions; default 0.5.",
)
@click.option("--none", "remove", is_flag=True, help="Require no approval.")
@reason_option
@request_id_option
@connected
def approval_policy(
    client: Client,
    output: Output,
    model: str,
    approvals: int | None,
    approvers: tuple[str, ...],
    stages: tuple[str, ...],
    expire_after: timedelta | None,
    forbid_break_glass: bool,
    share: float | None,
    remove: bool,
    reason: str,
    request_id: str,
) -> None:
    """Show or replace who must agree before a version of MODEL is promoted.

    Who asks for a promotion, and who registered the version, never count. Replacing it takes the scope registry.policy.

    \b
    Examples:
      headrace models approval-policy digits
      headrace models approval-policy digits --approvals 2 --approver 'release-*' --approver ada --expire-after 2d
      headrace models approval-policy digits --none
    """
    declared = bool(approvers or stages or expire_after or forbid_break_glass or share is not None)
    if remove and (approvals or declared):
        raise click.UsageError("give --none alone")
    if declared and approvals is None:
        raise click.UsageError("say how many must agree with --approvals: a policy is replaced as a whole")
    if remove:
        found = client.approvals.put_policy(model, None, reason=reason, request_id=request_id)
    elif approvals is not None:
        wanted = pb.ApprovalPolicy(
            approvals=approvals,
            approvers=approvers,
            stages=[STAGES[stage] for stage in stages],
            forbid_break_glass=forbid_break_glass,
            max_unpromoted_share=share,
        )
        if expire_after is not None:
            wanted.expire_after.FromTimedelta(expire_after)
        found = client.approvals.put_policy(model, wanted, reason=reason, request_id=request_id)
    else:
        found = client.approvals.get_policy(model)
    if output.as_json:
        output.document({"policy": None if found is None else message_json(found)})
    else:
        show_policy(output, model, found)


@click.command()
@model_argument
@version_argument
@_to_option
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File such as rollout.yaml: a rollout takes effect, instead of a promotion at once.",
)
@click.option("--strategy", type=click.Choice(list(STRATEGIES)), help="Likewise, with the defaults of a strategy.")
@click.option("--variant", default="", help="Variant that the rollout moves, where several have traffic.")
@_incompatible_option
@click.option("--reason", required=True, help="Why, for those who approve and for the history.")
@request_id_option
@connected
def request(
    client: Client,
    output: Output,
    model: str,
    version: str,
    target: str,
    policy_file: Path | None,
    strategy: str | None,
    variant: str,
    allow_incompatible_signature: bool,
    reason: str,
    request_id: str,
) -> None:
    """Request approvals for promoting VERSION of MODEL.

    It shows what would refuse it now: gates, differences to the signature in production, and what the route
    would do. All of it is asked again when the last approval comes.

    \b
    Examples:
      headrace models request digits v2 --reason "better on sevens"
      headrace models request digits v2 --policy rollout.yaml --reason "better on sevens"
    """
    with rollout_policy(policy_file, strategy) as policy:
        _check_policy(client, model, version, variant, policy)
        made = client.approvals.request(
            model,
            version,
            stage=STAGES[target],
            reason=reason,
            allow_incompatible_signature=allow_incompatible_signature,
            rollout_policy=policy,
            variant=variant,
            request_id=request_id,
        )
    if output.as_json:
        output.document({"request": message_json(made.request), "review": message_json(made.review)})
    else:
        show_request(client, output, model, made.request, made.review)


@click.command()
@click.argument("model", required=False)
@click.argument("number", required=False, type=click.IntRange(1))
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@connected
def approvals(
    client: Client, output: Output, model: str | None, number: int | None, everything: bool, limit: int
) -> None:
    """List the promotions that wait for approvals, or show everything of request NUMBER of MODEL.

    \b
    Examples:
      headrace models approvals
      headrace models approvals digits 17
      headrace models approvals digits --all
    """
    if model is not None and number is not None:
        found = client.approvals.get(model, number)
        if output.as_json:
            output.document(message_json(found))
        else:
            show_request(client, output, model, found.request, found.review)
        return
    wanted = pb.PromotionRequest.STATE_UNSPECIFIED if everything else pb.PromotionRequest.STATE_PENDING
    listed = client.approvals.list(model=model or "", state=wanted, limit=limit)
    if output.as_json:
        output.document({"requests": [message_json(one) for one in listed]})
    else:
        show_requests(output, listed)


@click.command()
@model_argument
@_number_argument
@reason_option
@request_id_option
@connected
def approve(client: Client, output: Output, model: str, number: int, reason: str, request_id: str) -> None:
    """Agree to request NUMBER of MODEL. The last approval that was missing takes effect at once.

    \b
    Examples:
      headrace models approve digits 17 --reason "looked at the slices"
    """
    done = client.approvals.approve(model, number, reason=reason, request_id=request_id)
    if output.as_json:
        output.document({"request": message_json(done.request), "model": message_json(done.model)})
    elif done.request.state == pb.PromotionRequest.STATE_PROMOTED:
        output.say(f"{model} {done.request.version} is promoted (epoch {done.model.epoch})")
    else:
        output.say(f"approved; request {number} of {model} is {state_of(done.request)}")


@click.command()
@model_argument
@_number_argument
@click.option("--reason", required=True, help="Why, for the author and the history.")
@request_id_option
@connected
def reject(client: Client, output: Output, model: str, number: int, reason: str, request_id: str) -> None:
    """End request NUMBER of MODEL without a promotion.

    \b
    Examples:
      headrace models reject digits 17 --reason "worse on ones"
    """
    _ended(output, model, client.approvals.reject(model, number, reason, request_id=request_id))


@click.command()
@model_argument
@_number_argument
@reason_option
@request_id_option
@connected
def withdraw(client: Client, output: Output, model: str, number: int, reason: str, request_id: str) -> None:
    """Take your own request NUMBER of MODEL back.

    \b
    Examples:
      headrace models withdraw digits 17
    """
    _ended(output, model, client.approvals.withdraw(model, number, reason=reason, request_id=request_id))


@click.command()
@model_argument
@version_argument
@_to_option
@connected
def review(client: Client, output: Output, model: str, version: str, target: str) -> None:
    """Show what a promotion of VERSION of MODEL would be asked now, without asking for it.

    \b
    Examples:
      headrace models review digits v2
      headrace models review digits v2 --to staging
    """
    found = client.approvals.review(model, version, stage=STAGES[target])
    if output.as_json:
        output.document(message_json(found))
    else:
        show_review(output, found)


@click.command("break-glass")
@model_argument
@version_argument
@_to_option
@click.option("--allow-incompatible-signature", is_flag=True, help="As of `promote`.")
@click.option("--end-rollout", is_flag=True, help="Although a rollout of the model runs, which ends with this.")
@click.option("--reason", required=True, help="Why approvals could not be requested; recorded and sent to webhooks.")
@request_id_option
@connected
def break_glass(
    client: Client,
    output: Output,
    model: str,
    version: str,
    target: str,
    allow_incompatible_signature: bool,
    end_rollout: bool,
    reason: str,
    request_id: str,
) -> None:
    """Promote VERSION of MODEL without its approvals, in an emergency. Gates still hold.

    It takes the scope registry.override. `headrace models rollback` to the version before needs no approval.

    \b
    Examples:
      headrace models break-glass digits v2 --reason "v1 answers with NaN, no approver is awake"
    """
    done = client.approvals.break_glass(
        model,
        version,
        reason,
        stage=STAGES[target],
        allow_incompatible_signature=allow_incompatible_signature,
        end_rollout=end_rollout,
        request_id=request_id,
    )
    if output.as_json:
        output.document({"version": message_json(done.version), "model": message_json(done.model)})
    else:
        output.say(f"{model} {version} is in [bold]{target}[/], without approvals (epoch {done.model.epoch})")


def _check_policy(
    client: Client, model: str, version: str, variant: str, policy: rollout_pb2.RolloutPolicy | None
) -> None:
    """Raise what is wrong with a policy now, and not when everybody has agreed to it."""
    if policy is None:
        return
    try:
        client.rollouts.plan(model, version, variant=variant, policy=policy)
    except InvalidArgument:
        raise
    except HeadraceError:
        pass  # What blocks a start today may be gone on the day.


def _ended(output: Output, model: str, ended: pb.PromotionRequest) -> None:
    if output.as_json:
        output.document({"request": message_json(ended)})
    else:
        output.say(f"the promotion of {model} {shown(ended.version)} is {state_of(ended)}")

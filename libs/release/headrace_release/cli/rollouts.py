"""`headrace rollouts`: change the version that serves, step by step, and take it back when it is worse."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import click
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_client.cli.failures import FAILED
from headrace_client.cli.options import (
    connected,
    model_argument,
    reason_option,
    request_id_option,
    version_argument,
)
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.cli.precompute import missing_answers
from headrace_client.cli.values import Duration
from headrace_client.cli.webhooks import WebhookKind, webhook_commands
from headrace_client.client import Client
from headrace_client.errors import DeadlineExceeded
from rich.live import Live

from headrace_release.cli.rollout_options import policy_option, rollout_policy, strategy_option
from headrace_release.cli.rollout_views import line_of, panel, row_of, short_name, show_history, show_plan, show_rollout

_rollout_argument = click.argument("rollout", metavar="MODEL[/ID]")
_variant_option = click.option("--variant", default="", help="Variant of the route, where several have traffic.")


@click.group()
def rollouts() -> None:
    """Change the version that serves a model, step by step, and take it back when it is worse.

    \b
    Examples:
      headrace rollouts plan digits v2
      headrace rollouts start digits v2 --watch
      headrace rollouts watch digits
      headrace rollouts abort digits --reason "the report looks wrong"
    """


for command in webhook_commands(
    WebhookKind(
        "rollouts",
        "rollouts",
        "rolloutWebhooks",
        lambda client: client.rollouts,
    )
):
    rollouts.add_command(command)


@rollouts.command()
@model_argument
@version_argument
@policy_option
@strategy_option
@_variant_option
@connected
def plan(
    client: Client,
    output: Output,
    model: str,
    version: str,
    policy_file: Path | None,
    strategy: str | None,
    variant: str,
) -> None:
    """Say what a rollout of VERSION would do and what would refuse it; change nothing.

    \b
    Examples:
      headrace rollouts plan digits v2
      headrace rollouts plan digits v2 --policy rollout.yaml --json
    """
    with rollout_policy(policy_file, strategy) as policy:
        found = client.rollouts.plan(model, version, variant=variant, policy=policy)
    _warn(client, output, model, version)
    if output.as_json:
        output.document(message_json(found))
    else:
        show_plan(output, found, version)
    if found.obstacles:
        click.get_current_context().exit(FAILED)


@rollouts.command()
@model_argument
@version_argument
@policy_option
@strategy_option
@_variant_option
@click.option("--watch", "follow", is_flag=True, help="Follow it to its end; exit code 1 if it was taken back.")
@reason_option
@request_id_option
@connected
def start(
    client: Client,
    output: Output,
    model: str,
    version: str,
    policy_file: Path | None,
    strategy: str | None,
    variant: str,
    follow: bool,
    reason: str,
    request_id: str,
) -> None:
    """Begin to roll VERSION of MODEL out. It is loaded and probed before it gets a request.

    \b
    Examples:
      headrace rollouts start digits v2 --reason "better on sevens"
      headrace rollouts start digits v2 --policy rollout.yaml --watch
      headrace rollouts start digits v2 --strategy blue-green
      headrace rollouts start digits v2 --strategy shadow
    """
    _warn(client, output, model, version)
    with rollout_policy(policy_file, strategy) as policy:
        started = client.rollouts.start(
            model, version, variant=variant, policy=policy, reason=reason, request_id=request_id
        )
    if follow:
        _follow(client, output, started.name, None)
    elif output.as_json:
        output.document(message_json(started))
    else:
        output.say(f"[bold]{short_name(started)}[/] began; `headrace rollouts watch {model}` follows it")


@rollouts.command()
@_rollout_argument
@click.option("--for", "duration", type=Duration(), help="End after this time; default when the rollout is over.")
@connected
def watch(client: Client, output: Output, rollout: str, duration: timedelta | None) -> None:
    """Follow a rollout: its steps, both versions, and the evidence for either verdict.

    With --json the document comes at the end. Exit code 1 when the version was rolled back.

    \b
    Examples:
      headrace rollouts watch digits
      headrace rollouts watch digits/7 --for 10m
    """
    _follow(client, output, rollout, duration)


@rollouts.command()
@_rollout_argument
@reason_option
@connected
def pause(client: Client, output: Output, rollout: str, reason: str) -> None:
    """Stop growth. The version is judged all the same, and taken back when it is worse.

    \b
    Examples:
      headrace rollouts pause digits --reason "not over the weekend"
    """
    _changed(output, client.rollouts.pause(rollout, reason=reason))


@rollouts.command()
@_rollout_argument
@reason_option
@connected
def resume(client: Client, output: Output, rollout: str, reason: str) -> None:
    """End a pause, or approve that a rollout continues.

    \b
    Examples:
      headrace rollouts resume digits
    """
    _changed(output, client.rollouts.resume(rollout, reason=reason))


@rollouts.command()
@_rollout_argument
@click.option("--reason", required=True, help="Why the judgement is skipped, for the history.")
@click.option("--step", type=click.IntRange(1), help="Only if it is at this step, counted from 1.")
@connected
def promote(client: Client, output: Output, rollout: str, reason: str, step: int | None) -> None:
    """Leave the present step, whatever the evidence; from the last one the version is promoted.

    \b
    Examples:
      headrace rollouts promote digits --step 1 --reason "seen in staging for a week"
    """
    _changed(output, client.rollouts.promote(rollout, reason=reason, step=None if step is None else step - 1))


@rollouts.command()
@_rollout_argument
@reason_option
@connected
def abort(client: Client, output: Output, rollout: str, reason: str) -> None:
    """Take the version back at once, and wait until every data plane has acknowledged that.

    \b
    Examples:
      headrace rollouts abort digits --reason "the report looks wrong"
    """
    aborted = client.rollouts.abort(rollout, reason=reason)
    with output.waiting("waiting until the route is what it was"), contextlib.suppress(DeadlineExceeded):
        client.rollouts.watch(aborted.name, lambda _: None, timeout=60)
    _changed(output, client.rollouts.get(aborted.name))


@rollouts.command("list")
@click.option("--model", default="", help="Only of this model.")
@click.option("--running", is_flag=True, help="Only those that are not over.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@connected
def list_rollouts(client: Client, output: Output, model: str, running: bool, limit: int) -> None:
    """List rollouts, the latest first.

    \b
    Examples:
      headrace rollouts list --running
    """
    found = client.rollouts.list(model=model, running=running, limit=limit)
    if output.as_json:
        output.document({"rollouts": [message_json(one) for one in found]})
        return
    header = ("rollout", "versions", "strategy", "state", "traffic", "started", "why")
    output.table(header, [row_of(one) for one in found])


@rollouts.command()
@_rollout_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many events.")
@connected
def history(client: Client, output: Output, rollout: str, limit: int) -> None:
    """Show what happened to a rollout: every decision, its evidence in a sentence, and who asked.

    \b
    Examples:
      headrace rollouts history digits
      headrace rollouts history digits/7 --json
    """
    events = client.rollouts.history(rollout, limit=limit)
    if output.as_json:
        output.document({"events": [message_json(one) for one in events]})
        return
    show_rollout(output, client.rollouts.get(rollout))
    show_history(output, events)


@rollouts.command()
@model_argument
@click.option("--set", "policy_file", type=click.Path(dir_okay=False, path_type=Path), help="Replace it by this file.")
@click.option("--remove", is_flag=True, help="Remove it.")
@connected
def template(client: Client, output: Output, model: str, policy_file: Path | None, remove: bool) -> None:
    """Show, set or remove the policy of rollouts of MODEL that are started without one.

    \b
    Examples:
      headrace rollouts template digits
      headrace rollouts template digits --set rollout.yaml
    """
    if remove and policy_file is not None:
        raise click.UsageError("give --set or --remove")
    if remove:
        policy = client.rollouts.put_template(model, None)
    elif policy_file is not None:
        with rollout_policy(policy_file, None) as wanted:
            policy = client.rollouts.put_template(model, wanted)
    else:
        policy = client.rollouts.get_template(model)
    if output.as_json:
        output.document(message_json(policy))
        return
    for name, value in message_json(policy).items():
        output.say(f"{name}: {shown(str(value))}")


def _warn(client: Client, output: Output, model: str, version: str) -> None:
    """Say when the version would have to compute what is precomputed for the one before."""
    warning = missing_answers(client, model, version)
    if warning:
        output.note(f"[yellow]warning[/]: {shown(warning)}")


def _follow(client: Client, output: Output, rollout: str, duration: timedelta | None) -> None:
    """Follow a rollout to its end, or for a time."""
    seen: list[pb.Rollout] = []
    live = Live(console=output.stdout, refresh_per_second=4) if output.stdout.is_terminal else None
    timeout = 30 * 86_400.0 if duration is None else duration.total_seconds()

    def received(answer: pb.WatchRolloutResponse) -> None:
        before, now = seen[-1] if seen else None, answer.rollout
        seen[:] = [now]
        if live is not None:
            live.update(panel(now))
        elif before is None or (before.state, before.percent, before.frozen) != (now.state, now.percent, now.frozen):
            output.say(line_of(now))

    with contextlib.suppress(DeadlineExceeded), live if live and not output.as_json else contextlib.nullcontext():
        client.rollouts.watch(rollout, received, timeout=timeout)
    if not seen:
        raise DeadlineExceeded("no answer about the rollout within that time")
    end = seen[-1]
    if output.as_json:
        output.document(message_json(end))
    else:
        show_rollout(output, end)
    if end.HasField("end_time") and end.state not in (pb.Rollout.STATE_SUCCEEDED, pb.Rollout.STATE_SHADOWED):
        click.get_current_context().exit(FAILED)


def _changed(output: Output, rollout: pb.Rollout) -> None:
    if output.as_json:
        output.document(message_json(rollout))
    else:
        output.say(f"[bold]{short_name(rollout)}[/] {line_of(rollout)}")

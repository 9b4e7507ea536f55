"""`headrace experiments conclude`: what becomes of an experiment's traffic."""

from __future__ import annotations

from pathlib import Path

import click
from headrace_client.cli.options import connected, model_argument
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.client import Client
from headrace_client.errors import HeadraceError
from headrace_client.served_shares import command_to_serve

from headrace_release.cli.rollout_options import policy_option, rollout_policy, strategy_option

experiment_argument = click.argument("experiment", metavar="EXPERIMENT")


@click.command()
@model_argument
@experiment_argument
@click.option("--promote", metavar="VARIANT", default="", help="Roll its version out to the control's traffic.")
@click.option("--anyway", is_flag=True, help="Promote it although the data do not say that it is better.")
@policy_option
@strategy_option
@click.option("--reason", default="", help="Why; default what the data say.")
@connected
def conclude(
    client: Client,
    output: Output,
    model: str,
    experiment: str,
    promote: str,
    anyway: bool,
    policy_file: Path | None,
    strategy: str | None,
    reason: str,
) -> None:
    """End EXPERIMENT: the control gets its traffic back, and a variant that won is rolled out.

    With --promote a control that names the version in production follows production from then on, so that this and
    later promotions reach callers.

    \b
    Examples:
      headrace experiments conclude shop ranking
      headrace experiments conclude shop ranking --promote new --strategy blue-green
    """
    with rollout_policy(policy_file, strategy) as policy:
        done = client.experiments.conclude(
            model, experiment, promote=promote, anyway=anyway, policy=policy, reason=reason
        )
    if output.as_json:
        output.document(message_json(done))
        return
    output.say(f"[bold]{shown(experiment)}[/] has ended: {shown(done.summary)}")
    if done.stopped_variants:
        output.say(f"the control has the traffic of {shown(', '.join(done.stopped_variants))}")
    if done.HasField("rollout"):
        output.say(f"version {shown(done.rollout.version)} is rolled out; `headrace rollouts watch {model}` follows it")
    _note_what_names_versions(client, output, model)


def _note_what_names_versions(client: Client, output: Output, model: str) -> None:
    """Say that promotions do not reach callers where no variant of the route follows production."""
    try:
        route = client.routes.get(model).route
    except HeadraceError:  # the experiment has ended all the same
        return
    weighted = [one for one in route.variants if one.weight > 0]
    if not route.managed_by and weighted and not any(one.follow_production for one in weighted):
        named = ", ".join(f"'{one.name}' names {one.serving_version}" for one in weighted)
        output.note(
            f"the route does not follow production: variant {named}; {command_to_serve(model, route)} has it do so"
        )

"""`headrace plan` and `headrace apply`: an installation as files describe it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from headrace_client.cli.failures import REFUSED, as_block, as_json
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, shown
from headrace_client.client import Client

from headrace_describe.operations.state import Change
from headrace_describe.state_files import read_state

_files = click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
)


@click.command()
@_files
@click.option("--check", is_flag=True, help=f"Exit with {REFUSED} where anything would change, as CI wants it.")
@connected
def plan(client: Client, output: Output, files: tuple[Path, ...], check: bool) -> None:
    """Show what has to change so that the installation is as FILEs describe it; nothing is changed.

    Each change is validated by its service as `headrace apply` would write it. The plan shows why a change is refused,
    and exits with 4 then. A route of a model that the same plan makes cannot be validated before the model is there.

    A file has the sections models, routes, alert_rules, budgets, rate_limits and pools (scaling policies); in each,
    resources by their ids, with the fields that the API has. What is not stated stays as it is; null takes a field
    away.

    \b
    Examples:
      headrace plan production.yaml
      headrace plan models.yaml routes.yaml --check

    \b
    A file:
      models:
        fraud:
          promotion_policy: {gates: [accuracy>=0.9]}
      routes:
        fraud:
          variants: [{name: production, follow_production: true, weight: 90}, {name: v2, version: v2, weight: 10}]
      budgets:
        research: {client: research, model: "*", period: PERIOD_DAY, compute_s: 3600}
      rate_limits:
        research: {client: research, model: fraud, requests_per_second: 100}
    """
    changes = client.state.plan(read_state(files))
    if output.as_json:
        output.document({"changes": [_document(one) for one in changes]})
    else:
        for one in changes:
            _show(output, one)
        output.say(f"[bold]{len(changes)}[/] to change" if changes else "everything is as described")
    refused = sum(one.refused is not None for one in changes)
    if refused:
        output.say(f"[bold red]{refused}[/] of them would be refused")
    if refused or (changes and check):
        click.get_current_context().exit(REFUSED)


@click.command()
@_files
@click.option("--reason", default="", help="Why, for the history.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def apply(client: Client, output: Output, files: tuple[Path, ...], reason: str, yes: bool) -> None:
    """Change the installation so that it is as FILEs describe it; see `headrace plan`.

    Applying a file again changes nothing. Resources that no file names are left alone. What others change
    of models, pools and routes between plan and change is not overwritten: run it again. Of several changes those
    before a refused one are made.

    \b
    Examples:
      headrace apply production.yaml --reason "quarterly budgets"
      headrace apply models.yaml routes.yaml --yes --json
    """
    changes = client.state.plan(read_state(files), check=False)
    if not output.as_json:
        for one in changes:
            _show(output, one)
    if changes and not yes:
        output.agreed(f"Make {len(changes)} changes?")
    for one in changes:
        client.state.apply(one, reason=reason)
        if not output.as_json:
            output.say(f"[green]done[/] {shown(one.resource.name)}")
    if output.as_json:
        output.document({"changed": [_document(one) for one in changes]})
    elif not changes:
        output.say("everything is as described")


def _show(output: Output, one: Change) -> None:
    verb = "[green]make[/]" if one.present is None else "[yellow]change[/]"
    output.say(f"{verb} [bold]{shown(one.resource.name)}[/] ({shown(one.resource.place)})")
    for line in one.lines:
        output.say(f"  {shown(line)}")
    for note in one.notes:
        output.say(f"  [dim]{shown(note)}[/]")
    if one.waits_for:
        output.say(f"  [dim]validated once {shown(one.waits_for)} is made[/]")
    if one.refused is not None:
        output.say(as_block(one.refused, one.resource.name, one.resource.id))


def _document(one: Change) -> dict[str, Any]:
    return {
        "name": one.resource.name,
        "place": one.resource.place,
        "new": one.present is None,
        "differences": list(one.lines),
        "notes": list(one.notes),
        "moved_share": one.moved_share,
        "waits_for": one.waits_for,
        "refused": None if one.refused is None else as_json(one.refused, one.resource.id)["error"],
    }

"""`headrace models`: look at models; what changes them is in `registering` and `promoting`, and parts add more."""

from __future__ import annotations

import shlex

import click
from headrace.registry.v1 import registry_pb2

from headrace_client.cli.discovery import Discovered
from headrace_client.cli.graphs import graph
from headrace_client.cli.holds import as_of, delete, hold, holds, measurements, release
from headrace_client.cli.options import connected, model_argument, reason_option, request_id_option
from headrace_client.cli.output import Output, last, message_json, shown, when
from headrace_client.cli.promotion import promote, rollback
from headrace_client.cli.registration import register
from headrace_client.cli.serve import serve
from headrace_client.cli.settings import serving_batchers, settings
from headrace_client.cli.signing import sign, verify
from headrace_client.cli.values import Gate
from headrace_client.cli.views import gates as gates_text
from headrace_client.cli.views import show_model, show_version, stage, unpromoted
from headrace_client.cli.webhooks import WebhookKind, webhook_commands
from headrace_client.client import Client
from headrace_client.errors import HeadraceError
from headrace_client.operations.explanations import way_name
from headrace_client.served_shares import marks


@click.group(cls=Discovered, prefix="models.")
def models() -> None:
    """Register versions, promote them, roll back, and look at all of it.

    \b
    Examples:
      headrace models list
      headrace models show digits v2
      headrace models promote digits v2 --reason "better on sevens"
    """


models.add_command(register)
models.add_command(sign)
models.add_command(verify)
models.add_command(serve)
models.add_command(graph)
models.add_command(settings)
models.add_command(promote)
models.add_command(rollback)
for command in webhook_commands(
    WebhookKind(
        "models",
        "what happens to models",
        "registryWebhooks",
        lambda client: client.models,
    )
):
    models.add_command(command)
models.add_command(as_of)
models.add_command(measurements)
models.add_command(hold)
models.add_command(holds)
models.add_command(release)
models.add_command(delete)


@models.command("list")
@click.option("--contains", default="", metavar="TEXT", help="Only those whose id or description contains it.")
@click.option("--latest-first", is_flag=True, help="By their last change instead of by name.")
@click.option("--limit", type=click.IntRange(1), help="At most so many; default all.")
@connected
def list_models(client: Client, output: Output, contains: str, latest_first: bool, limit: int | None) -> None:
    """List the models that your token may see.

    \b
    Examples:
      headrace models list
      headrace models list --contains fraud --latest-first --limit 20
      headrace models list --json
    """
    found = client.models.list(contains=contains, latest_first=latest_first, limit=limit)
    if output.as_json:
        output.document({"models": [message_json(model) for model in found]})
        return
    output.table(
        ("model", "production", "aliases", "changed", "about"),
        [
            (
                last(model.name),
                model.production_version or "-",
                " ".join(f"{alias}→{version}" for alias, version in sorted(model.aliases.items())),
                when(model.update_time),
                shown(model.description),
            )
            for model in found
        ],
    )
    if not found and not contains:
        output.note("no models yet: headrace models register NAME VERSION model.onnx")


@models.command()
@model_argument
@click.argument("version", required=False)
@connected
def show(client: Client, output: Output, model: str, version: str | None) -> None:
    """Show MODEL with its versions, or everything of one VERSION.

    \b
    Examples:
      headrace models show digits
      headrace models show digits v2 --json
    """
    if version:
        one, executed = client.versions.get(model, version), _executed(client, model, version)
        if output.as_json:
            output.document({"version": message_json(one), "executed": executed})
        else:
            show_version(output, one, executed)
        return
    found, versions = client.models.get(model), client.versions.list(model)
    differing = _marks(client, found)
    if output.as_json:
        listed = [message_json(item) for item in versions]
        output.document({"model": message_json(found), "versions": listed, "marks": differing})
    else:
        show_model(output, found, versions, differing)


@models.command()
@model_argument
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Newest events to show.")
@connected
def history(client: Client, output: Output, model: str, limit: int) -> None:
    """Show what happened to MODEL, newest first: what changed, when, who changed it and why.

    \b
    Examples:
      headrace models history digits
      headrace models history digits --limit 100 --json
    """
    events = client.models.history(model, limit=limit)
    if output.as_json:
        output.document({"events": [message_json(event) for event in events]})
        return
    output.table(
        ("when", "what", "version", "who", "why"),
        [(when(event.create_time), _what(event), event.version, shown(event.client), _why(event)) for event in events],
    )


@models.command()
@model_argument
@click.argument("alias")
@click.argument("version", required=False)
@click.option("--delete", is_flag=True, help="Remove the alias.")
@reason_option
@request_id_option
@connected
def alias(
    client: Client,
    output: Output,
    model: str,
    alias: str,
    version: str | None,
    delete: bool,
    reason: str,
    request_id: str,
) -> None:
    """Point ALIAS of MODEL at VERSION, or remove it. Routes that follow the alias move with it.

    \b
    Examples:
      headrace models alias digits champion v2
      headrace models alias digits champion --delete
    """
    if delete == (version is not None):
        raise click.UsageError("give a VERSION to point the alias at, or --delete")
    if version is None:
        changed = client.models.delete_alias(model, alias, reason=reason, request_id=request_id)
    else:
        changed = client.models.set_alias(model, alias, version, reason=reason, request_id=request_id)
    if output.as_json:
        output.document({"model": message_json(changed)})
    else:
        output.say(f"{alias} of {model} names {version}" if version else f"{alias} of {model} is gone")


@models.command(context_settings={"allow_extra_args": True})
@model_argument
@click.option("--set", "wanted", type=Gate(), multiple=True, metavar="GATE", help="A gate; repeat for more.")
@click.option("--default", "default", is_flag=True, help="Go back to the default gates.")
@click.option("--none", "nothing", is_flag=True, help="Demand nothing.")
@click.option(
    "--max-unpromoted-share",
    "share",
    type=click.FloatRange(0, 1),
    help="Largest share of traffic that splits and experiments may give unpromoted versions; default 0.5 with gates.",
)
@reason_option
@request_id_option
@connected
def gates(
    client: Client,
    output: Output,
    model: str,
    wanted: tuple[registry_pb2.PromotionGate, ...],
    default: bool,
    nothing: bool,
    share: float | None,
    reason: str,
    request_id: str,
) -> None:
    """Show or replace what a version of MODEL must show to reach production, and how much traffic it may get before.

    A gate is a bound on a metric: a number, or relative to the version in production (met while there is none). With
    @measured behind it only values that Headrace measured count.

    \b
    Examples:
      headrace models gates digits
      headrace models gates digits --set "accuracy>=0.9" --set "latency_p99_ms<=50@measured"
      headrace models gates digits --set "accuracy>=production-0.01" --set "latency_p99_ms<=1.2*production"
      headrace models gates digits --max-unpromoted-share 0.2
      headrace models gates digits --default
    """
    if unset := click.get_current_context().args:
        said = " ".join(f"--set {shlex.quote(gate)}" for gate in unset)
        raise click.UsageError(f"gates are given with --set: headrace models gates {model} {said}")
    if sum((bool(wanted), default, nothing)) > 1:
        raise click.UsageError("choose one of --set, --default and --none")
    if default and share is not None:
        raise click.UsageError(
            "the default gates have no bound of their own: give --max-unpromoted-share without --default"
        )
    if wanted or default or nothing:
        found = client.models.set_gates(
            model, None if default else wanted, max_unpromoted_share=share, reason=reason, request_id=request_id
        )
    elif share is not None:
        found = client.models.set_max_unpromoted_share(model, share, reason=reason, request_id=request_id)
    else:
        found = client.models.get(model)
    if output.as_json:
        output.document({"model": message_json(found)})
    else:
        output.say(f"{model}: {gates_text(found)}")
        if bound := unpromoted(found):
            output.say(f"versions that are not promoted get {bound}")


def _marks(client: Client, model: registry_pb2.Model) -> dict[str, str]:
    """Return the versions whose stage and traffic differ; none where the control plane does not say."""
    try:
        return marks(model.production_version, client.routes.get(last(model.name)).route)
    except HeadraceError:
        return {}


def _executed(client: Client, model: str, version: str) -> dict[str, dict[str, str]]:
    """Return where each batcher that serves a version executes it, and why, by address; none where the control plane
    does not say."""
    try:
        serving = serving_batchers(client, model, version)
    except HeadraceError:
        return {}
    return {
        batcher.address: {"where": way_name(held.compute.way), "why": held.compute.reason}
        for batcher, held in serving
        if held.compute.way
    }


def _what(event: registry_pb2.ModelEvent) -> str:
    action = registry_pb2.ModelEvent.Action.Name(event.action).removeprefix("ACTION_").lower().replace("_", " ")
    if event.action in (registry_pb2.ModelEvent.ACTION_STAGE_CHANGED, registry_pb2.ModelEvent.ACTION_ROLLED_BACK):
        return f"{action}: {stage(event.from_stage)} → {stage(event.to_stage)}" if event.to_stage else action
    return f"{action}: {event.alias}" if event.alias else action


def _why(event: registry_pb2.ModelEvent) -> str:
    """Return the reason of an event, and what it broke for callers."""
    broke = f"broke {'; '.join(event.signature_breaks)}" if event.signature_breaks else ""
    return shown(" · ".join(part for part in (event.reason, broke) if part))

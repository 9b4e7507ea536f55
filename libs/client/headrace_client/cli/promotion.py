"""`headrace models promote` and `rollback`: move a version, then wait until it is what answers."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import click
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import route_pb2

from headrace_client.cli.failures import NOT_SERVING
from headrace_client.cli.options import (
    connected,
    model_argument,
    reason_option,
    request_id_option,
    version_argument,
)
from headrace_client.cli.output import Output, last, message_json, shown
from headrace_client.cli.precompute import missing_answers
from headrace_client.cli.progress import ProgressLines
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import HeadraceError
from headrace_client.served_shares import ServedShare, command_to_serve, served_share

STAGES = {
    "staging": registry_pb2.ModelVersion.STAGE_STAGING,
    "production": registry_pb2.ModelVersion.STAGE_PRODUCTION,
    "archived": registry_pb2.ModelVersion.STAGE_ARCHIVED,
}

_POLL_S = 0.2

_wait_option = click.option(
    "--wait",
    type=Duration(),
    default=timedelta(seconds=120),
    show_default="2m",
    help="How long to wait until it serves.",
)
_no_wait_option = click.option("--no-wait", is_flag=True, help="Return when the registry has it.")
_end_rollout_option = click.option(
    "--end-rollout", is_flag=True, help="Although a rollout of the model runs, which ends with this."
)
_etag_option = click.option("--etag", default="", help="Fail if the model changed since this etag was read.")


@click.command()
@model_argument
@version_argument
@click.option("--to", "target", type=click.Choice(list(STAGES)), default="production", show_default=True)
@click.option(
    "--allow-incompatible-signature",
    is_flag=True,
    help="Promote although requests that are answered now may be refused then.",
)
@_end_rollout_option
@_wait_option
@_no_wait_option
@_etag_option
@reason_option
@request_id_option
@connected
def promote(
    client: Client,
    output: Output,
    model: str,
    version: str,
    target: str,
    allow_incompatible_signature: bool,
    end_rollout: bool,
    wait: timedelta,
    no_wait: bool,
    etag: str,
    reason: str,
    request_id: str,
) -> None:
    """Move VERSION of MODEL to production (or another stage) and wait until it serves.

    The registry checks the gates of the model and lists each that is not met, and that callers of the version in
    production are served as before: it lists what would break them. Then each stage is shown as it is
    reached: loading, ready, activated, acknowledged by so many data planes; those that have not are named. Then the
    route says which share of callers gets it. Exit code 7 means promoted, and served to fewer: it is not loaded yet
    and serves as soon as it is, or the route's variants name other versions, and the command that changes it is shown.

    \b
    Examples:
      headrace models promote digits v2 --reason "better on sevens"
      headrace models promote digits v2 --to staging
      headrace models promote digits v2 --no-wait --json
    """
    warning = missing_answers(client, model, version) if target == "production" else ""
    done = client.models.promote(
        model,
        version,
        stage=STAGES[target],
        allow_incompatible_signature=allow_incompatible_signature,
        end_rollout=end_rollout,
        etag=etag,
        reason=reason,
        request_id=request_id,
    )
    output.say(f"{model} {version} is in [bold]{target}[/] (epoch {done.model.epoch})")
    if warning:
        output.note(f"[yellow]warning[/]: {shown(warning)}")
    document: dict[str, Any] = {"version": message_json(done.version), "model": message_json(done.model)}
    if warning:
        document["warnings"] = [warning]
    waits = None if no_wait or target != "production" else wait
    _await_serving(client, output, done.model, document, "promoted", waits, end_rollout=end_rollout)


@click.command()
@model_argument
@_end_rollout_option
@_wait_option
@_no_wait_option
@_etag_option
@reason_option
@request_id_option
@connected
def rollback(
    client: Client,
    output: Output,
    model: str,
    end_rollout: bool,
    wait: timedelta,
    no_wait: bool,
    etag: str,
    reason: str,
    request_id: str,
) -> None:
    """Put the version that was in production before the present one back there, and wait until it serves.

    Gates are not asked again: the version has been in production.

    \b
    Examples:
      headrace models rollback digits --reason "worse on ones"
    """
    done = client.models.rollback(model, etag=etag, end_rollout=end_rollout, reason=reason, request_id=request_id)
    output.say(f"{model} is back on [bold]{last(done.version.name)}[/] (epoch {done.model.epoch})")
    document = {"version": message_json(done.version), "model": message_json(done.model)}
    waits = None if no_wait else wait
    _await_serving(client, output, done.model, document, "rolled back", waits, end_rollout=end_rollout)


def _await_serving(
    client: Client,
    output: Output,
    model: registry_pb2.Model,
    document: dict[str, Any],
    done: str,
    wait: timedelta | None,
    *,
    end_rollout: bool,
) -> None:
    """Wait until the router serves what the registry now says; exit 7 when it does not in time. wait: None skips it.

    end_rollout: wait as well until the rollout that this ends has given the route back.
    """
    if wait is None:
        if output.as_json:
            output.document(document)
        return
    until = time.monotonic() + wait.total_seconds()
    try:
        with output.waiting(f"waiting until epoch {model.epoch} serves") as describe:
            lines = ProgressLines(output, model.epoch, describe)
            status = client.routes.await_epoch(
                last(model.name), model.epoch, timeout=wait.total_seconds(), progress=lines.take
            )
            lines.end(status)
    except HeadraceError as error:
        if output.as_json:
            output.document({**document, "serving": False, "reason": error.message})
        else:
            output.stderr.print(f"[bold yellow]{done}, not serving[/]: {shown(error.message)}")
            output.stderr.print(
                f"  [dim]remedy[/]  headrace routes status {last(model.name)} says what is loaded where, and why not"
            )
        click.get_current_context().exit(NOT_SERVING)
    route = client.routes.get(last(model.name)).route
    while end_rollout and route.managed_by.startswith("rollouts/") and time.monotonic() < until:
        time.sleep(_POLL_S)
        route = client.routes.get(last(model.name)).route
    found = served_share(route, model.production_version)
    if output.as_json:
        waited = {"waited_s": round(lines.waited_s, 3), "stages": lines.stages}
        share = {"share": found.share, "variants": list(found.variants)}
        output.document(
            {**document, "serving": not found.falls_short, **share, "status": message_json(status), **waited}
        )
    else:
        if not found.falls_short:
            when = f"as generation {status.generation} after {lines.waited_s:.2f} s"
            output.say(f"[green]serving[/] {shown(str(found))}, {when}")
        if status.unacknowledged_data_planes:
            late = shown(", ".join(status.unacknowledged_data_planes))
            output.note(f"[yellow]not acknowledged by[/] {late}: may answer as before until then")
    exit_unless_served(output, route, found, done)


def exit_unless_served(output: Output, route: route_pb2.Route, found: ServedShare, done: str) -> None:
    """Exit 7 where callers get less of a version than its stage says, with the command that changes it. done: the verb,
    `promoted`.
    """
    if not found.falls_short:
        return
    if not output.as_json:
        said = shown(f"the route gives {found.version} to {found}")
        output.stderr.print(f"[bold yellow]{done}, not serving[/]: {said}")
        output.stderr.print(f"  [dim]remedy[/]  {command_to_serve(last(route.name), route)}")
    click.get_current_context().exit(NOT_SERVING)

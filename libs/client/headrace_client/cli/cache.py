"""`headrace cache`: the answers that data planes keep."""

from __future__ import annotations

import click

from headrace_client.cli.options import (
    complete_version,
    connected,
    model_argument,
    request_id_option,
)
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.client import Client


@click.group()
def cache() -> None:
    """Void the cached answers of a version. How long answers are cached: `headrace routes lookup --help`.

    \b
    Examples:
      headrace cache purge digits
      headrace cache purge digits v2 --reason "its features were wrong for an hour"
    """


@cache.command()
@model_argument
@click.argument("version", required=False, default="", shell_complete=complete_version)
@click.option("--reason", default="", help="Why, for the router's log.")
@request_id_option
@connected
def purge(client: Client, output: Output, model: str, version: str, reason: str, request_id: str) -> None:
    """Make every cached answer of VERSION of MODEL void, on every data plane.

    Without VERSION it is the one in production. It returns when no connected data plane gives one any more, and names
    those that did not say so in time. Precomputed answers stay: `headrace precompute revert` is for those.

    \b
    Examples:
      headrace cache purge digits
      headrace cache purge digits v2 --reason "its features were wrong for an hour"
    """
    with output.waiting("waiting until no data plane gives an older answer"):
        done = client.routes.purge_cache(model, version, reason=reason, request_id=request_id)
    if output.as_json:
        output.document(message_json(done))
        return
    output.say(f"[green]purged[/] version {done.version} of {shown(model)} (cache epoch {done.cache_epoch})")
    late = done.status.unacknowledged_data_planes
    if late:
        output.note(f"[yellow]not acknowledged yet:[/] {shown(', '.join(late))}; it holds there once they are back")

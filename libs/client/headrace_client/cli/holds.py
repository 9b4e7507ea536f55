"""`headrace models` as-of, measurements, hold, holds, release and delete: the past of a model, and who needs it."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from headrace_client.cli.options import connected, model_argument, reason_option, request_id_option, version_argument
from headrace_client.cli.output import Output, last, message_json, number, shown, stamp, when
from headrace_client.cli.values import Duration, Moment
from headrace_client.cli.views import stage
from headrace_client.client import Client

_holder_option = click.option(
    "--as", "holder", required=True, metavar="HOLDER", help="Who needs it, such as audit/2031-q1."
)


@click.command("as-of")
@model_argument
@click.argument("time", type=Moment())
@connected
def as_of(client: Client, output: Output, model: str, time: datetime) -> None:
    """Show what of MODEL was in production and behind each alias at a past TIME, and who put it there and why.

    TIME is 2031-02-03T04:05:06Z, a time without zone for local time, or 2h, 3d: so long ago.

    \b
    Examples:
      headrace models as-of digits 2h
      headrace models as-of digits 2026-02-03T04:05:06Z --json
    """
    found = client.models.as_of(model, time)
    if output.as_json:
        output.document({"time": time.isoformat(), "as_of": message_json(found)})
        return
    event = found.production_event
    put_there = f"{when(event.create_time)} by {shown(event.client)}" if found.production_version else ""
    output.facts(
        [
            ("model", model),
            ("at", stamp(time)),
            ("production", found.production_version or "none yet"),
            ("since", put_there),
            ("why", shown(event.reason)),
            ("aliases", ", ".join(f"{alias} → {version}" for alias, version in sorted(found.aliases.items()))),
            ("epoch", str(found.epoch)),
        ]
    )
    output.say("")
    output.table(("version", "stage"), [(version, stage(found.stages[version])) for version in sorted(found.stages)])


@click.command()
@model_argument
@version_argument
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Newest values to show.")
@connected
def measurements(client: Client, output: Output, model: str, version: str, limit: int) -> None:
    """Show what Headrace measured on VERSION of MODEL, newest first. Gates take the newest value of each metric.

    \b
    Examples:
      headrace models measurements digits v2
    """
    found = client.versions.list_measurements(model, version, limit=limit)
    if output.as_json:
        output.document({"measurements": [message_json(item) for item in found]})
        return
    output.table(
        ("when", "metric", "value", "measured by"),
        [
            (when(item.create_time), item.metric.name, number(item.metric.value), shown(item.source_process))
            for item in found
        ],
    )
    if not found:
        output.note("nothing yet: a version is measured when a batcher loads it")


@click.command()
@model_argument
@version_argument
@_holder_option
@click.option("--for", "ttl", type=Duration(), required=True, help="How long from now, such as 12h or 90d.")
@reason_option
@connected
def hold(client: Client, output: Output, model: str, version: str, holder: str, ttl: timedelta, reason: str) -> None:
    """Keep VERSION of MODEL from being removed, whatever becomes of it. Repeat the command to hold it longer.

    \b
    Examples:
      headrace models hold digits v2 --as audit/2031-q1 --for 90d --reason "annual review"
    """
    held = client.versions.hold(model, version, holder, ttl, reason=reason)
    if output.as_json:
        output.document({"hold": message_json(held)})
    else:
        output.say(f"{model} {version} is held by {shown(held.holder)} until {when(held.expire_time)}")


@click.command()
@model_argument
@connected
def holds(client: Client, output: Output, model: str) -> None:
    """Show who needs which version of MODEL, why and until when. While there is one, MODEL cannot be deleted.

    \b
    Examples:
      headrace models holds digits
    """
    found = client.versions.list_holds(model)
    if output.as_json:
        output.document({"holds": [message_json(item) for item in found]})
        return
    output.table(
        ("version", "holder", "until", "by", "why"),
        [
            (last(item.name), shown(item.holder), when(item.expire_time), shown(item.client), shown(item.reason))
            for item in found
        ],
    )
    if not found:
        output.note("no version is held")


@click.command()
@model_argument
@version_argument
@_holder_option
@connected
def release(client: Client, output: Output, model: str, version: str, holder: str) -> None:
    """End a hold on VERSION of MODEL.

    \b
    Examples:
      headrace models release digits v2 --as audit/2031-q1
    """
    client.versions.release_hold(model, version, holder)
    if output.as_json:
        output.document({"released": {"model": model, "version": version, "holder": holder}})
    else:
        output.say(f"{model} {version} is no longer held by {shown(holder)}")


@click.command()
@model_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--with-route", is_flag=True, help="Delete the route too, whatever versions it names.")
@click.option("--etag", default="", help="Fail if the model changed since this etag was read.")
@reason_option
@request_id_option
@connected
def delete(
    client: Client, output: Output, model: str, yes: bool, with_route: bool, etag: str, reason: str, request_id: str
) -> None:
    """Delete MODEL and all its versions. Its name is never used again; its history stays.

    Refused while a version is held; a declared route holds what it names, unless --with-route.

    \b
    Examples:
      headrace models delete digits --reason "replaced by digits-large"
      headrace models delete digits --with-route
      headrace models delete digits --yes --json
    """
    if not yes:
        output.agreed(f"Delete {model} and all its versions for good?")
    client.models.delete(model, etag=etag, with_route=with_route, reason=reason, request_id=request_id)
    if output.as_json:
        output.document({"deleted": model})
    else:
        output.say(f"{model} is deleted")

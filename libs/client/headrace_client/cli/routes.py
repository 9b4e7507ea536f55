"""`headrace routes`: which version answers which share of a model's traffic."""

from __future__ import annotations

from datetime import timedelta

import click

from headrace_client.cli.dry_run import UNITS, dry_run
from headrace_client.cli.fallback import fallback
from headrace_client.cli.lookups import hedge, lookup, shadow
from headrace_client.cli.options import (
    connected,
    force_option,
    model_argument,
    normalise_option,
    reason_option,
    request_id_option,
)
from headrace_client.cli.output import Output, last, message_json, shown, when
from headrace_client.cli.rules import rules
from headrace_client.cli.values import Duration, Pair, VariantShare, shares
from headrace_client.cli.views import event_line, serves, show_route, show_status
from headrace_client.client import Client
from headrace_client.operations.routes import Variant


@click.group()
def routes() -> None:
    """Split a model's traffic between versions, see who goes where, and say where answers come from.

    \b
    Examples:
      headrace routes split digits production=90 v2=10
      headrace routes rules set digits "country=DE -> v2"
      headrace routes dry-run digits production=50 v2=50
      headrace routes lookup digits --ttl 60s
      headrace routes fallback set digits backup:v1@cpu stale:10m
      headrace routes show digits
      headrace routes assign digits --user ada
    """


@routes.command()
@click.argument("model", required=False)
@connected
def show(client: Client, output: Output, model: str | None) -> None:
    """Show the route of MODEL and what is in force; without MODEL, all routes.

    \b
    Examples:
      headrace routes show
      headrace routes show digits --json
    """
    if model:
        found = client.routes.get(model)
        if output.as_json:
            output.document(message_json(found))
        else:
            show_route(output, found.route, found.status)
        return
    declared = client.routes.list()
    if output.as_json:
        output.document({"routes": [message_json(route) for route in declared]})
        return
    output.table(
        ("model", "variants", "declared", "by"),
        [
            (
                last(route.name),
                ", ".join(f"{variant.name}={variant.weight:g} ({serves(variant)})" for variant in route.variants),
                when(route.update_time) or "never",
                shown(route.updated_by),
            )
            for route in declared
        ],
    )


@routes.command()
@model_argument
@click.argument("variants", nargs=-1, required=True, type=VariantShare())
@normalise_option
@click.option("--unit", type=click.Choice(list(UNITS)), help="What keeps its variant from request to request.")
@click.option("--layer", help="Split users as other routes of this name do; a new name draws a new split.")
@click.option("--max-wait", type=Duration(), help="Longest wait for batch-mates, instead of what the versions say.")
@click.option("--timeout", type=Duration(), default=timedelta(seconds=150), help="How long to wait until it serves.")
@force_option
@reason_option
@request_id_option
@connected
def split(
    client: Client,
    output: Output,
    model: str,
    variants: tuple[Variant, ...],
    normalise: bool,
    unit: str | None,
    layer: str | None,
    max_wait: timedelta | None,
    timeout: timedelta,
    force: bool,
    reason: str,
    request_id: str,
) -> None:
    """Give each of VARIANTS its share of MODEL's traffic, and wait until that is in force.

    A variant is VERSION=SHARE, `production=SHARE` to follow whatever is in production, or `@ALIAS=SHARE` to follow
    an alias; a name goes before it (`challenger:v2=10`), a pool of batchers behind (`v2@cpu=10`). Shares
    are in percent and sum to 100. A user keeps the variant; a change moves only as many users as it must. Rules stay,
    and the variants that only they name, and so do pools, lookup settings, fallbacks and hedging.

    \b
    Examples:
      headrace routes split digits v1=90 v2=10
      headrace routes split digits stable:production=90 challenger:v2=10 --reason "first look at v2"
      headrace routes split digits production=100
      headrace routes split digits production=100 v2@staging=0
      headrace routes split digits v1=1 v2=1 v3=1 --normalise
    """
    variants = shares(variants, normalise=normalise)
    with output.waiting("waiting until every variant is loaded and in force"):
        done = client.routes.split(
            model,
            variants,
            unit=None if unit is None else UNITS[unit],
            layer=layer,
            max_wait=max_wait,
            force=force,
            reason=reason,
            request_id=request_id,
            timeout=timeout.total_seconds(),
        )
    if output.as_json:
        output.document(message_json(done))
        return
    show_route(output, done.route, done.status)
    output.say(f"{100 * done.moved_share:.3g} % of the units changed their variant")


@routes.command()
@model_argument
@click.option("--user", default="", help="User, as in a prediction.")
@click.option("--entity", default="", help="Entity, as in a prediction.")
@click.option("--attribute", "attributes", type=Pair(), multiple=True, help="Fact for rules; repeat for more.")
@connected
def assign(
    client: Client, output: Output, model: str, user: str, entity: str, attributes: tuple[tuple[str, str], ...]
) -> None:
    """Say which variant of MODEL a user or entity is assigned to. Changes nothing and counts as no exposure.

    \b
    Examples:
      headrace routes assign digits --user ada
      headrace routes assign digits --user ada --attribute country=DE
    """
    if not user and not entity and not attributes:
        raise click.UsageError(
            "give --user or --entity: a request without either is assigned on its own, differently each time"
        )
    found = client.routes.assign(model, user_id=user, entity_id=entity, attributes=dict(attributes))
    if output.as_json:
        output.document(message_json(found))
        return
    how = f"by rule {found.rule}" if found.rule else f"bucket {found.bucket}"
    subject = user or entity or " ".join(f"{name}={value}" for name, value in attributes)
    output.say(
        f"{shown(subject)} → [bold]{found.variant}[/] (version {found.version}, {how}, generation {found.generation})"
    )


@routes.command()
@model_argument
@connected
def status(client: Client, output: Output, model: str) -> None:
    """Show how far MODEL's route is: which batchers are ready, and which data planes have acknowledged.

    \b
    Examples:
      headrace routes status digits
      headrace routes status digits --json
    """
    found = client.routes.get(model)
    if output.as_json:
        output.document({"route": found.route.name, "status": message_json(found.status)})
        return
    show_status(output, found.route, found.status)


@routes.command()
@model_argument
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many changes to show.")
@connected
def history(client: Client, output: Output, model: str, limit: int) -> None:
    """Show the changes of MODEL's route, newest first: when, who made them, why, and their outcome.

    \b
    Examples:
      headrace routes history digits
      headrace routes history digits --limit 200 --json
    """
    events = client.routes.history(model, limit=limit)
    if output.as_json:
        output.document({"events": [message_json(event) for event in events]})
        return
    output.table(("when", "what", "outcome", "by", "why", "variants"), [event_line(event) for event in events])


routes.add_command(rules)
routes.add_command(dry_run)
routes.add_command(lookup)
routes.add_command(fallback)
routes.add_command(hedge)
routes.add_command(shadow)

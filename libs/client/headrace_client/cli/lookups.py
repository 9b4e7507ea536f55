"""`headrace routes lookup` and `headrace routes hedge`: where answers come from, and when two batchers are asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
from headrace.router.v1 import route_pb2

from headrace_client.cli.lookup_views import hedging_text, lookup_text, shadowing_text
from headrace_client.cli.options import (
    connected,
    force_option,
    model_argument,
    reason_option,
    request_id_option,
    timeout_option,
)
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.cli.values import Duration
from headrace_client.cli.views import show_route
from headrace_client.client import Client
from headrace_client.lookups import Hedging, Lookup

MODES = {
    "hybrid": route_pb2.Lookup.MODE_HYBRID,
    "online": route_pb2.Lookup.MODE_ONLINE,
    "batch": route_pb2.Lookup.MODE_BATCH,
}
KEYS = {"inputs": route_pb2.Lookup.KEY_INPUTS, "entity": route_pb2.Lookup.KEY_ENTITY}


@click.command()
@model_argument
@click.option("--mode", type=click.Choice(list(MODES)), help="Where answers may come from.")
@click.option("--key", type=click.Choice(list(KEYS)), help="What makes two requests the same for the cache.")
@click.option("--ttl", type=Duration(), help="How long an answer is fresh in the cache; 0s keeps nothing.")
@click.option(
    "--stale-while-revalidate",
    type=Duration(),
    help="How much older it may be and still be given at once, flagged, while a new one is computed.",
)
@click.option(
    "--stale-on-error",
    type=Duration(),
    help="How much older it may be and still be given, flagged, when nothing else can answer.",
)
@click.option("--max-precomputed-age", type=Duration(), help="Oldest precomputed answer that is given.")
@click.option("--large-inputs/--no-large-inputs", default=None, help="Whether inputs above 64 KiB are cached too.")
@click.option("--reset", is_flag=True, help="Return to the defaults, but for what is given.")
@timeout_option
@force_option
@reason_option
@request_id_option
@connected
def lookup(
    client: Client,
    output: Output,
    model: str,
    mode: str | None,
    key: str | None,
    reset: bool,
    large_inputs: bool | None,
    timeout: timedelta,
    force: bool,
    reason: str,
    request_id: str,
    **durations: timedelta | None,
) -> None:
    """Change where answers for MODEL are looked for before they are computed; without options, show it.

    \b
      hybrid   the cache, then precomputed answers, then the model (default)
      online   the model, for every request
      batch    precomputed answers alone; an entity without one gets the fallback

    With `--key inputs` (default) requests share an answer when version, inputs, outputs and entity are the same; with
    `--key entity` an entity gets the same answer whatever its inputs. What is not given stays as it is.

    \b
    Examples:
      headrace routes lookup digits
      headrace routes lookup digits --ttl 60s --stale-while-revalidate 30s --stale-on-error 10m
      headrace routes lookup recommender --mode batch --key entity --max-precomputed-age 26h
      headrace routes lookup digits --reset --reason "back to the defaults"
    """
    wanted = Lookup(
        MODES[mode] if mode is not None else None,
        KEYS[key] if key is not None else None,
        cache_large_inputs=large_inputs,
        **durations,
    )
    if wanted == Lookup() and not reset:
        route = client.routes.get(model).route
        show_part(output, route, "lookup", lookup_text(route) or "hybrid; ttl as the data planes are set")
        return
    with output.waiting("waiting until it is in force"):
        done = client.routes.set_lookup(
            model,
            wanted,
            reset=reset,
            force=force,
            reason=reason,
            request_id=request_id,
            timeout=timeout.total_seconds(),
        )
    show_done(output, done)


@click.command()
@model_argument
@click.argument("state", type=click.Choice(["on", "off"]), required=False)
@click.option("--after", type=Duration(), help="How late a request is before a second batcher is asked; turns it on.")
@timeout_option
@force_option
@reason_option
@request_id_option
@connected
def hedge(
    client: Client,
    output: Output,
    model: str,
    state: str | None,
    after: timedelta | None,
    timeout: timedelta,
    force: bool,
    reason: str,
    request_id: str,
) -> None:
    """Send late requests for MODEL to a second batcher too, and take the first answer; without more, show it.

    `on` waits as long as 95 of 100 requests took lately; `--after` says how long. Data planes hedge at most one request
    in twenty. Only for models where computing an answer twice does no harm.

    \b
    Examples:
      headrace routes hedge digits
      headrace routes hedge digits on
      headrace routes hedge digits --after 20ms
      headrace routes hedge digits off
    """
    if state == "off" and after is not None:
        raise click.UsageError("give `off` or --after")
    if state is None and after is None:
        route = client.routes.get(model).route
        show_part(output, route, "hedging", hedging_text(route) or "off")
        return
    with output.waiting("waiting until it is in force"):
        done = client.routes.set_hedging(
            model,
            None if state == "off" else Hedging(after),
            force=force,
            reason=reason,
            request_id=request_id,
            timeout=timeout.total_seconds(),
        )
    show_done(output, done)


@click.command()
@model_argument
@click.argument("version", required=False)
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Share of what is computed.")
@click.option("--off", is_flag=True, help="Send no copies any more.")
@timeout_option
@force_option
@reason_option
@request_id_option
@connected
def shadow(
    client: Client,
    output: Output,
    model: str,
    version: str | None,
    share: float,
    off: bool,
    timeout: timedelta,
    force: bool,
    reason: str,
    request_id: str,
) -> None:
    """Send copies of what is computed for MODEL to VERSION, whose answers no caller gets; without options, show it.

    `headrace monitor shadow` compares the answers.

    \b
    Examples:
      headrace routes shadow digits
      headrace routes shadow digits v3 --share 0.1
      headrace routes shadow digits --off
    """
    if off and version is not None:
        raise click.UsageError("give VERSION or --off")
    if version is None and not off:
        route = client.routes.get(model).route
        show_part(output, route, "shadowing", shown(shadowing_text(route)) or "off")
        return
    with output.waiting("waiting until it is in force"):
        done = client.routes.set_shadow(
            model,
            version,
            share,
            force=force,
            reason=reason,
            request_id=request_id,
            timeout=timeout.total_seconds(),
        )
    show_done(output, done)


def show_part(output: Output, route: route_pb2.Route, name: str, text: str) -> None:
    """Print one part of a route: a line for people, the message for scripts, null when it is not declared."""
    if output.as_json:
        part: Any = message_json(getattr(route, name)) if route.HasField(name) else None
        output.document({"route": route.name, name: part})
    else:
        output.say(text)


def show_done(output: Output, done: route_pb2.UpdateRouteResponse) -> None:
    """Print a route that was written."""
    if output.as_json:
        output.document(message_json(done))
    else:
        show_route(output, done.route, done.status)

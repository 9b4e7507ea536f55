"""`headrace routes fallback`: what answers when the version of a request cannot in time."""

from __future__ import annotations

from datetime import timedelta

import click

from headrace_client.cli.lookup_views import show_fallback
from headrace_client.cli.lookups import show_done
from headrace_client.cli.options import (
    connected,
    force_option,
    model_argument,
    reason_option,
    request_id_option,
    timeout_option,
)
from headrace_client.cli.output import Output, message_json
from headrace_client.cli.values import FallbackStepText
from headrace_client.client import Client
from headrace_client.fallbacks import FallbackStep


@click.group()
def fallback() -> None:
    """Say what answers when the version of a request cannot in time. Steps are tried in their order:

    \b
      backup:v1@cpu         version v1 in pool cpu; also backup:production, backup:@ALIAS
      backup@cpu            the version of the request, in pool cpu
      precomputed           the precomputed answer of the request's entity, of any age
      stale:10m             the cached answer, at most this old
      constant:FILE.json    the same values for everybody: {"scores": [0.5]}, inline too
      table:FILE.json       values by entity: {"ada": {"scores": [0.9]}, "bob": {"scores": [0.1]}}

    A name may stand in front (`old=backup:v1@cpu`); `,left=20ms` behind passes a step over when less time is left until
    the caller's deadline (else data planes go by what they measure). Answers of a step are flagged as degraded, with
    its name. Bad input is never answered by a fallback.

    \b
    Examples:
      headrace routes fallback set digits backup:v1@cpu stale:10m constant:default.json
      headrace routes fallback show digits
      headrace routes fallback clear digits
    """


@fallback.command()
@model_argument
@connected
def show(client: Client, output: Output, model: str) -> None:
    """Show MODEL's fallbacks in the order in which they are tried, as `set` takes them.

    \b
    Examples:
      headrace routes fallback show digits
      headrace routes fallback show digits --json
    """
    route = client.routes.get(model).route
    if output.as_json:
        output.document(
            {
                "fallback": [
                    {**message_json(step), "text": str(FallbackStep.from_proto(step))} for step in route.fallback
                ]
            }
        )
    elif route.fallback:
        show_fallback(output, route)
    else:
        output.say(f"no fallback: headrace routes fallback set {model} backup:VERSION@POOL stale:10m")


@fallback.command(name="set")
@model_argument
@click.argument("steps", metavar="STEPS...", nargs=-1, required=True, type=FallbackStepText())
@timeout_option
@force_option
@reason_option
@request_id_option
@connected
def replace(
    client: Client,
    output: Output,
    model: str,
    steps: tuple[FallbackStep, ...],
    timeout: timedelta,
    force: bool,
    reason: str,
    request_id: str,
) -> None:
    """Replace MODEL's fallbacks by STEPS, tried in this order, and wait until the versions that they name are loaded.

    A backup has the signature of every version that MODEL's route serves, a constant has a value for each of their
    outputs; what does not fit is refused by its place. How steps are written: `headrace routes fallback --help`.

    \b
    Examples:
      headrace routes fallback set digits backup:v1@cpu
      headrace routes fallback set recommender precomputed stale:1h,left=5ms popular=table:popular.json
      headrace routes fallback set digits 'constant:{"label": 0}' --reason "better than an error"
    """
    with output.waiting("waiting until every backup is loaded and the fallbacks are in force"):
        done = client.routes.set_fallback(
            model, steps, force=force, reason=reason, request_id=request_id, timeout=timeout.total_seconds()
        )
    show_done(output, done)


@fallback.command()
@model_argument
@timeout_option
@force_option
@reason_option
@request_id_option
@connected
def clear(
    client: Client, output: Output, model: str, timeout: timedelta, force: bool, reason: str, request_id: str
) -> None:
    """Remove all fallbacks of MODEL: what its version cannot answer in time is an error again.

    \b
    Examples:
      headrace routes fallback clear digits
    """
    with output.waiting("waiting until it is in force"):
        done = client.routes.set_fallback(
            model, (), force=force, reason=reason, request_id=request_id, timeout=timeout.total_seconds()
        )
    show_done(output, done)

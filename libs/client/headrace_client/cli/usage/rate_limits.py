"""`headrace usage limits`: how many requests a second clients may send."""

from __future__ import annotations

import click
from headrace.router.v1 import client_limits_pb2

from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, shown
from headrace_client.client import Client

_OUTAGES = {
    "local": client_limits_pb2.RateLimit.OUTAGE_LOCAL,
    "open": client_limits_pb2.RateLimit.OUTAGE_OPEN,
    "closed": client_limits_pb2.RateLimit.OUTAGE_CLOSED,
}
_OUTAGE_NAMES = {value: name for name, value in _OUTAGES.items()}


@click.group()
def limits() -> None:
    """Set how many requests a second a client may send to a model, or to all together.

    \b
    Examples:
      headrace usage limits set research --client research --model fraud --per-second 100
      headrace usage limits list
      headrace usage limits delete research
    """


@limits.command("set")
@click.argument("limit", metavar="LIMIT")
@click.option("--client", "of", required=True, help="The client, or `*` for each that has no other limit.")
@click.option("--model", default="*", show_default=True, help="The model, or `*` for all together.")
@click.option("--per-second", type=click.FloatRange(0, min_open=True), required=True, help="Requests a second.")
@click.option("--burst", type=click.IntRange(0), default=0, help="Requests that may come at once; 0: a second's worth.")
@click.option("--shadow", is_flag=True, help="Refuse nothing: count what would be refused.")
@click.option(
    "--outage",
    type=click.Choice(list(_OUTAGES)),
    default="local",
    show_default=True,
    help="While front doors cannot count together: each by itself, everything through, or nothing.",
)
@connected
def set_limit(
    client: Client,
    output: Output,
    limit: str,
    of: str,
    model: str,
    per_second: float,
    burst: int,
    shadow: bool,
    outage: str,
) -> None:
    """Make LIMIT, or replace it. It holds within seconds, over all front doors together.

    A request beyond it is refused (RATE_LIMITED, HTTP 429) with the time until the next one may come, also where its
    answer is kept.

    \b
    Examples:
      headrace usage limits set research --client research --model fraud --per-second 100
      headrace usage limits set everybody --client "*" --per-second 50 --burst 200 --shadow
      headrace usage limits set payments --client payments --model fraud --per-second 2000 --outage open
    """
    wanted = client_limits_pb2.RateLimit(
        name=f"rateLimits/{limit}",
        client=of,
        model=model,
        requests_per_second=per_second,
        burst=burst,
        shadow_mode=shadow,
        outage=_OUTAGES[outage],
    )
    made = client.rate_limits.put(wanted)
    if output.as_json:
        output.document(message_json(made))
    else:
        output.say(f"{shown(last(made.name))}: {_text(made)}")


@limits.command("list")
@connected
def list_limits(client: Client, output: Output) -> None:
    """List rate limits. What was beyond each tells the metric headrace_router_rate_limited_total.

    \b
    Examples:
      headrace usage limits list
    """
    found = client.rate_limits.list()
    if output.as_json:
        output.document({"rate_limits": [message_json(one) for one in found]})
        return
    if not found:
        output.say("there are no rate limits; `headrace usage limits set --help`")
        return
    output.table(
        ("limit", "client", "model", "a second", "at once", "beyond it", "in an outage"),
        [
            (
                shown(last(one.name)),
                shown(one.client),
                shown(one.model),
                f"{one.requests_per_second:,.6g}",
                f"{one.burst:,}" if one.burst else "a second's",
                "counted" if one.shadow_mode else "refused",
                _OUTAGE_NAMES.get(one.outage, "?"),
            )
            for one in found
        ],
    )


@limits.command("delete")
@click.argument("limit", metavar="LIMIT")
@connected
def delete_limit(client: Client, output: Output, limit: str) -> None:
    """Remove LIMIT: it limits no client any more. Repeating it is safe.

    \b
    Examples:
      headrace usage limits delete research
    """
    client.rate_limits.delete(limit)
    if output.as_json:
        output.document({"deleted": limit})
    else:
        output.say(f"{shown(limit)} is gone")


def _text(one: client_limits_pb2.RateLimit) -> str:
    to = "all models together" if one.model == "*" else f"model {shown(one.model)}"
    who = "each client without another limit" if one.client == "*" else f"client {shown(one.client)}"
    counted = "; what is beyond is only counted" if one.shadow_mode else ""
    return f"{who} may send {one.requests_per_second:,.6g} requests a second to {to}{counted}"

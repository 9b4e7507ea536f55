"""`headrace monitor alerts silence|silences|unsilence`: alerts without notifications for a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
from headrace_client.cli.options import connected, model_argument
from headrace_client.cli.output import Output, last, message_json, shown, when
from headrace_client.cli.values import Duration
from headrace_client.client import Client


@click.command()
@model_argument
@click.option("--for", "duration", type=Duration(), required=True, help="For how long.")
@click.option("--rule", default="", help="Only alerts of this rule.")
@click.option("--comment", default="", help="Why.")
@connected
def silence(client: Client, output: Output, model: str, duration: timedelta, rule: str, comment: str) -> None:
    """Silence alerts of MODEL (`*`: of every model) for a time; they are raised, but not sent.

    \b
    Examples:
      headrace monitor alerts silence digits --for 2h --comment "planned load test"
      headrace monitor alerts silence "*" --rule p99 --for 30m
      headrace monitor alerts silence "*" --rule autoscaler/actuator --for 30m
    """
    made = client.alerts.silence(model, datetime.now(UTC) + duration, rule=rule, comment=comment)
    if output.as_json:
        output.document(message_json(made))
    else:
        ends = f"headrace monitor alerts unsilence {shown(last(made.name))}"
        output.say(f"{shown(made.model)} is silent until {when(made.expire_time)}; it ends with {ends}")


@click.command()
@connected
def silences(client: Client, output: Output) -> None:
    """List the silences in force.

    \b
    Examples:
      headrace monitor alerts silences
    """
    found = client.alerts.list_silences()
    if output.as_json:
        output.document({"silences": [message_json(one) for one in found]})
        return
    if not found:
        output.say("nothing is silenced")
        return
    output.table(
        ("silence", "model", "rule", "until", "by", "why"),
        [
            (
                shown(last(one.name)),
                shown(one.model),
                shown(one.rule) or "every rule",
                when(one.expire_time),
                shown(one.client),
                shown(one.comment),
            )
            for one in found
        ],
    )


@click.command()
@click.argument("silence", metavar="SILENCE")
@connected
def unsilence(client: Client, output: Output, silence: str) -> None:
    """End SILENCE; `headrace monitor alerts silences` lists them.

    \b
    Examples:
      headrace monitor alerts unsilence 3
    """
    client.alerts.delete_silence(silence)
    if output.as_json:
        output.document({"deleted": silence})
    else:
        output.say(f"{shown(silence)} is over")

"""`headrace autoscale decisions|explain`: what was decided of a pool, and why."""

from __future__ import annotations

from datetime import datetime

import click
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, message_json
from headrace_client.cli.values import Moment
from headrace_client.client import Client

from headrace_scale.cli.autoscale.pools import pool_argument
from headrace_scale.cli.autoscale.views import show_decision, show_decisions


@click.command()
@pool_argument
@click.option("--all", "whole", is_flag=True, help="Also decisions that changed nothing.")
@click.option("--since", type=Moment(), help="Only later ones: a time, or so long ago, such as 2h.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@connected
def decisions(client: Client, output: Output, pool: str, whole: bool, since: datetime | None, limit: int) -> None:
    """List decisions on POOL, the latest first.

    \b
    Examples:
      headrace autoscale decisions default
      headrace autoscale decisions default --all --since 10m
    """
    found = client.pools.list_decisions(pool, only_changes=not whole, since=since, limit=limit)
    if output.as_json:
        output.document({"decisions": [message_json(one) for one in found]})
    else:
        show_decisions(output, found)


@click.command()
@pool_argument
@click.argument("decision", default="latest", metavar="[DECISION]")
@connected
def explain(client: Client, output: Output, pool: str, decision: str) -> None:
    """Explain DECISION on POOL, the latest one unless its number is given.

    \b
    Examples:
      headrace autoscale explain default
      headrace autoscale explain default 1042 --json
    """
    answer = client.pools.explain_decision(pool, decision)
    if output.as_json:
        output.document(message_json(answer))
    else:
        show_decision(output, answer.decision)

"""`headrace autoscale status|watch|pause|resume`: how pools are, and holding them."""

from __future__ import annotations

from typing import Any

import click
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, shown, when
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import DeadlineExceeded

from headrace_scale.cli.autoscale.views import outcome, show_pools

pool_argument = click.argument("pool", metavar="POOL")


@click.command()
@connected
def status(client: Client, output: Output) -> None:
    """Show the pools that have a policy: what each has, what is wanted of it, and what is wrong.

    \b
    Examples:
      headrace autoscale status
      headrace autoscale status --json
    """
    pools = client.pools.list()
    if output.as_json:
        output.document({"pools": [message_json(pool) for pool in pools]})
    elif not pools:
        output.say("no pool has a policy; give it one: headrace autoscale policy put --help")
    else:
        show_pools(output, pools)


@click.command()
@pool_argument
@click.option("--for", "duration", type=Duration(), default="1h", show_default=True, help="For how long.")
@connected
def watch(client: Client, output: Output, pool: str, duration: Any) -> None:
    """Show each decision on POOL as it is made, and each outcome.

    \b
    Examples:
      headrace autoscale watch default
      headrace autoscale watch default --for 10m --json
    """

    def received(message: Any) -> None:
        one = message.pool
        if output.as_json:
            output.document(message_json(one))
            return
        decision, counts = one.decision, one.replicas
        output.say(
            f"{when(decision.create_time)}  {last(one.name)}: {counts.ready} ready, {counts.loading} loading, "
            f"{one.desired_replicas} wanted  {outcome(decision)}  {shown(' '.join(decision.sentences[:2]))}"
        )

    try:
        client.pools.watch(pool, received, timeout=duration.total_seconds())
    except DeadlineExceeded:
        pass  # that was the time that was asked for


@click.command()
@pool_argument
@click.option("--reason", default="", help="Why, for those who look at it later.")
@connected
def pause(client: Client, output: Output, pool: str, reason: str) -> None:
    """Hold POOL at the replicas that it has, until it is resumed. Decisions are still made, and shown.

    \b
    Examples:
      headrace autoscale pause default --reason "load test until noon"
    """
    held = client.pools.pause(pool, reason=reason)
    if output.as_json:
        output.document(message_json(held))
    else:
        output.say(f"[yellow]paused[/] {shown(pool)}; continue with: headrace autoscale resume {shown(pool)}")


@click.command()
@pool_argument
@connected
def resume(client: Client, output: Output, pool: str) -> None:
    """Let POOL be scaled again.

    \b
    Examples:
      headrace autoscale resume default
    """
    held = client.pools.resume(pool)
    if output.as_json:
        output.document(message_json(held))
    else:
        output.say(f"[green]resumed[/] {shown(pool)}")

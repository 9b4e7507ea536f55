"""`headrace autoscale replay`: what was decided of a pool beside what another policy would have decided."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from headrace.autoscaler.v1 import autoscaler_pb2
from headrace_client.cli.options import connected, span_options
from headrace_client.cli.output import Output, last, message_json, when
from headrace_client.client import Client

from headrace_scale.cli.autoscale.pool_options import policy_of
from headrace_scale.cli.autoscale.pools import pool_argument
from headrace_scale.policies import message_of


@click.command()
@pool_argument
@click.option(
    "--policy",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of a policy that decides instead of those that were in force.",
)
@click.option("--all", "whole", is_flag=True, help="Also decisions that both made alike.")
@span_options("an hour before the end")
@connected
def replay(
    client: Client,
    output: Output,
    pool: str,
    file: Path | None,
    whole: bool,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Decide what was observed of POOL again, by the policy that was in force or by the one of a file.

    It sees the replicas that there were then, whatever it would have wanted. The policy in force decides alike.

    \b
    Examples:
      headrace autoscale replay default
      headrace autoscale replay default --policy mine.json --since 6h
    """
    policy = None if file is None else message_of(pool, policy_of(file))
    found = client.pools.replay(pool, start=since, end=until, policy=policy)
    if output.as_json:
        output.document({"decisions": [message_json(one) for one in found]})
        return
    differing = [one for one in found if one.recorded.desired_replicas != one.replayed.desired_replicas]
    output.table(
        ("decision", "time", "was decided", "replayed", "by rule"),
        [_row(one) for one in (found if whole else differing)],
    )
    output.say(f"{len(differing)} of {len(found)} decisions want another number of replicas")


def _row(one: autoscaler_pb2.ReplayResponse) -> tuple[str, ...]:
    recorded, replayed = one.recorded, one.replayed
    return (
        last(recorded.name),
        when(recorded.create_time),
        str(recorded.desired_replicas),
        str(replayed.desired_replicas),
        replayed.rule,
    )

"""`headrace autoscale`: how many replicas a pool has, why, and what other policies would have done."""

from __future__ import annotations

import click

from headrace_scale.cli.autoscale.advice import advise_command
from headrace_scale.cli.autoscale.decisions import decisions, explain
from headrace_scale.cli.autoscale.policies import policy
from headrace_scale.cli.autoscale.pools import pause, resume, status, watch
from headrace_scale.cli.autoscale.replay import replay
from headrace_scale.cli.autoscale.simulation import simulate


@click.group()
def autoscale() -> None:
    """See how pools are scaled, and try policies before they decide anything.

    \b
    Examples:
      headrace autoscale status
      headrace autoscale explain default
      headrace autoscale simulate surges
      headrace autoscale simulate trace.csv --policy mine.json --policy kubernetes --picture trace.svg
      headrace autoscale advise --log digits --since 14d --replicas 8
    """


autoscale.add_command(simulate)
autoscale.add_command(advise_command)
for command in (status, policy, decisions, explain, replay, pause, resume, watch):
    autoscale.add_command(command)

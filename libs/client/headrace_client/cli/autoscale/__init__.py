"""`headrace autoscale`: how many replicas a pool has, why, and what other policies would have done."""

from __future__ import annotations

import click

from headrace_client.cli.autoscale.simulating import simulate


@click.group()
def autoscale() -> None:
    """See how pools are scaled, and try policies before they decide anything.

    \b
    Examples:
      headrace autoscale simulate surges
      headrace autoscale simulate trace.csv --policy mine.json --policy kubernetes --picture trace.svg
    """


autoscale.add_command(simulate)

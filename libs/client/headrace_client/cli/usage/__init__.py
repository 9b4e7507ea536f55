"""`headrace usage`: who used batchers, what stands idle, budgets and rate limits."""

from __future__ import annotations

import click

from headrace_client.cli.usage.budgets import budgets
from headrace_client.cli.usage.rate_limits import limits
from headrace_client.cli.usage.report import idle, show


@click.group()
def usage() -> None:
    """See who used batchers for how long and what stood idle, and set budgets and rate limits.

    \b
    Examples:
      headrace usage show --since 7d
      headrace usage show --by client,model --price 3
      headrace usage idle --price 3
      headrace usage budgets set research --client research --seconds 3600 --per day --refuse-above 7200
      headrace usage budgets list
      headrace usage limits set research --client research --model fraud --per-second 100
    """


usage.add_command(show)
usage.add_command(idle)
usage.add_command(budgets)
usage.add_command(limits)

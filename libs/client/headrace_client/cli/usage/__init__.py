"""`headrace usage`: who used batchers, what stands idle, and budgets."""

from __future__ import annotations

import click

from headrace_client.cli.usage.budgets import budgets
from headrace_client.cli.usage.showing import idle, show


@click.group()
def usage() -> None:
    """See who used batchers for how long and what stood idle, and set budgets.

    \b
    Examples:
      headrace usage show --since 7d
      headrace usage show --by client,model --price 3
      headrace usage idle --price 3
      headrace usage budgets set research --client research --seconds 3600 --per day --refuse-above 7200
      headrace usage budgets list
    """


usage.add_command(show)
usage.add_command(idle)
usage.add_command(budgets)

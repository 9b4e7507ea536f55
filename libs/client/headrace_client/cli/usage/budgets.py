"""`headrace usage budgets`: how much clients may use."""

from __future__ import annotations

import click
from headrace.router.v1 import budget_pb2, client_limits_pb2

from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, shown, when
from headrace_client.client import Client

_PERIODS = {
    "hour": budget_pb2.Budget.PERIOD_HOUR,
    "day": budget_pb2.Budget.PERIOD_DAY,
    "week": budget_pb2.Budget.PERIOD_WEEK,
    "month": budget_pb2.Budget.PERIOD_MONTH,
}
_NAMES = {value: name for name, value in _PERIODS.items()}
_ACTIONS = {
    client_limits_pb2.BudgetOverrun.ACTION_LOWER: "[yellow]behind others[/]",
    client_limits_pb2.BudgetOverrun.ACTION_REFUSE: "[red]refused[/]",
}


@click.group()
def budgets() -> None:
    """Set how many seconds of executions a client may use in an hour, a day, a week or a month.

    \b
    Examples:
      headrace usage budgets set research --client research --seconds 3600 --per day --refuse-above 7200
      headrace usage budgets list
      headrace usage budgets delete research
    """


@budgets.command("set")
@click.argument("budget", metavar="BUDGET")
@click.option("--client", "of", required=True, help="The client, or `*` for each that has no other budget.")
@click.option("--model", default="*", show_default=True, help="The model, or `*` for all together.")
@click.option("--seconds", type=click.FloatRange(0), required=True, help="Beyond these it comes behind all others.")
@click.option("--per", type=click.Choice(list(_PERIODS)), default="day", show_default=True, help="By the clock of UTC.")
@click.option("--refuse-above", type=click.FloatRange(0), default=0.0, help="Beyond these it is refused; 0 never is.")
@connected
def set_budget(
    client: Client, output: Output, budget: str, of: str, model: str, seconds: float, per: str, refuse_above: float
) -> None:
    """Make BUDGET, or replace it. It holds within seconds.

    A client that has spent it is answered behind all others until the period ends; beyond --refuse-above what would
    have to be computed is refused (BUDGET_SPENT), and cached answers are still given.

    \b
    Examples:
      headrace usage budgets set research --client research --seconds 3600 --per day --refuse-above 7200
      headrace usage budgets set everybody --client "*" --seconds 600 --per hour
      headrace usage budgets set fraud-only --client payments --model fraud --seconds 1e5 --per month
    """
    wanted = budget_pb2.Budget(
        name=f"budgets/{budget}",
        client=of,
        model=model,
        period=_PERIODS[per],
        compute_s=seconds,
        refuse_above_s=refuse_above,
    )
    made = client.budgets.put(wanted)
    if output.as_json:
        output.document(message_json(made))
    else:
        output.say(f"{shown(last(made.name))}: {_text(made)}")


@budgets.command("list")
@connected
def list_budgets(client: Client, output: Output) -> None:
    """List budgets, and who has spent what of them in the present period.

    \b
    Examples:
      headrace usage budgets list
    """
    found = client.budgets.list()
    if output.as_json:
        output.document({"budgets": [message_json(one) for one in found]})
        return
    if not found:
        output.say("there are no budgets; `headrace usage budgets set --help`")
        return
    output.table(
        ("budget", "client", "model", "seconds", "refused above", "spent by", "spent", "", "until"),
        [
            (
                shown(last(one.budget.name)),
                shown(one.budget.client),
                shown(one.budget.model),
                f"{one.budget.compute_s:,.6g} a {_NAMES.get(one.budget.period, '?')}",
                f"{one.budget.refuse_above_s:,.6g}" if one.budget.refuse_above_s else "never",
                shown(spender.client) or "-",
                f"{spender.compute_s:,.3f}",
                _ACTIONS.get(spender.action, ""),
                when(one.end_time),
            )
            for one in found
            for spender in one.spent or [budget_pb2.ListBudgetsResponse.Spending()]
        ],
    )


@budgets.command("delete")
@click.argument("budget", metavar="BUDGET")
@connected
def delete_budget(client: Client, output: Output, budget: str) -> None:
    """Remove BUDGET: it limits no client any more. Repeating it is safe.

    \b
    Examples:
      headrace usage budgets delete research
    """
    client.budgets.delete(budget)
    if output.as_json:
        output.document({"deleted": budget})
    else:
        output.say(f"{shown(budget)} is gone")


def _text(one: budget_pb2.Budget) -> str:
    of = "all models together" if one.model == "*" else f"model {shown(one.model)}"
    who = "each client without another budget" if one.client == "*" else f"client {shown(one.client)}"
    beyond = f", refused above {one.refuse_above_s:,.6g}" if one.refuse_above_s else ""
    return f"{who} may use {one.compute_s:,.6g} s of {of} a {_NAMES.get(one.period, '?')}{beyond}"

"""`headrace usage show|idle`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

import click
from headrace.router.v1 import usage_pb2

from headrace_client.cli.options import connected, span_options
from headrace_client.cli.output import Output, message_json, shown, when
from headrace_client.client import Client

BY = ("client", "pool", "model", "version", "class")
# By number, as in the API.
_CLASSES = {1: "online", 2: "shadow", 3: "batch"}
_price = click.option(
    "--price", "price", type=click.FloatRange(0), default=0.0, help="Of one replica for an hour, in any currency."
)


class _Columns(click.ParamType[tuple[str, ...]]):
    """Columns by which usage is summed up, separated by commas."""

    name = "columns"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        found = tuple(dict.fromkeys(str(value).split(",")))
        if not set(found) <= set(BY):
            self.fail(f"'{value}' is not some of {', '.join(BY)}, separated by commas", param, ctx)
        return found


@click.command()
@span_options("a day before the end")
@click.option("--model", default="", help="Only of this model.")
@click.option("--client", "of", default="", help="Only of this client.")
@click.option("--by", type=_Columns(), default="client,model", show_default=True, help=f"Some of {', '.join(BY)}.")
@_price
@connected
def show(
    client: Client,
    output: Output,
    since: datetime | None,
    until: datetime | None,
    model: str,
    of: str,
    by: tuple[str, ...],
    price: float,
) -> None:
    """Show how long each client used batchers, by whole hours.

    The time of each execution is divided among its requests by their rows, so that all together used what batchers
    executed. Cached and precomputed answers use nothing.

    \b
    Examples:
      headrace usage show
      headrace usage show --since 7d --by client,model,version --price 3
      headrace usage show --client research --by model,class --json
    """
    report = client.usage.report(start=since, end=until, model=model, client=of)
    if output.as_json:
        output.document(message_json(report))
        return
    if not report.usage:
        output.say("nothing executed in that time; `headrace usage show --since 7d`")
        return
    summed: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for one in report.usage:
        sums = summed[tuple(_cell(one, column) for column in by)]
        for at, value in enumerate((one.compute_s, one.requests, one.rows)):
            sums[at] += value
    header = (*by, "seconds", "share", "requests", "rows", *(("cost",) if price else ()))
    output.table(header, _lines(summed, report.compute_s, price))
    output.note(f"{report.compute_s:,.1f} s of executions, {when(report.start_time)} to {when(report.end_time)}")


def _lines(summed: dict[tuple[str, ...], list[float]], total_s: float, price: float) -> Sequence[Sequence[str]]:
    return [
        (
            *key,
            f"{seconds:,.3f}",
            f"{seconds / total_s if total_s else 0:.1%}",
            f"{requests:,.0f}",
            f"{rows:,.0f}",
            *((f"{seconds / 3600 * price:,.2f}",) if price else ()),
        )
        for key, (seconds, requests, rows) in sorted(summed.items(), key=lambda one: -one[1][0])
    ]


def _cell(one: usage_pb2.GetUsageResponse.Usage, column: str) -> str:
    if column == "class":
        return _CLASSES.get(one.priority, str(one.priority))
    return shown(getattr(one, column)) or "-"


@click.command()
@span_options("a week before the end")
@_price
@click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.7,
    show_default=True,
    help="Share of its time that a replica should be busy.",
)
@connected
def idle(
    client: Client, output: Output, since: datetime | None, until: datetime | None, price: float, target: float
) -> None:
    """Show how long the batchers of each pool were there and busy, how many would have been enough, and with which
    smaller forms of versions fewer would have been.

    Of a week, unless a time is given: run it weekly (cron: `headrace usage idle --price 3 --json`). How a pool would
    be scaled by its load says `headrace autoscale advise --pool POOL`; forms are made by `headrace models optimise`.

    \b
    Examples:
      headrace usage idle
      headrace usage idle --since 30d --price 3 --target 0.8
    """
    report = client.usage.idle_time(start=since, end=until, price_per_hour=price, target_utilisation=target)
    if output.as_json:
        output.document(message_json(report))
        return
    if not report.pools:
        output.say("no batcher was there in that time")
        return
    header = ("pool", "replicas", "hours", "busy", "idle hours", "enough", "hours less", *(("saved",) if price else ()))
    lines = [
        (
            shown(one.pool),
            f"{one.replicas:.3g}",
            f"{one.present_hours:,.1f}",
            f"{one.busy_hours / one.present_hours if one.present_hours else 0:.1%}",
            f"{one.idle_hours:,.1f}",
            f"{one.enough_replicas}",
            f"{one.spared_hours:,.1f}",
            *((f"{one.saved:,.2f}",) if price else ()),
        )
        for one in report.pools
    ]
    output.table(header, lines)
    for one in report.pools:
        output.say(f"[bold]{shown(one.pool)}[/]: {shown(one.advice)}")
        for line in smaller_forms(one, price):
            output.say(f"  {line}")
    if report.smaller_forms_unknown:
        output.note("[yellow]the registry could not be asked for smaller forms of all versions[/]")


def smaller_forms(pool: usage_pb2.GetIdleTimeResponse.IdlePool, price: float) -> Iterator[str]:
    """Yield what smaller forms would change in a pool."""
    for form in pool.smaller_forms:
        where = ", on a CPU" if form.on_cpu else ""
        yield (
            f"{shown(form.model)}: [bold]{shown(form.form)}[/] in the place of {shown(form.version)} "
            f"({shown(form.made_by)}{where}, {form.speedup:.2f} x as fast): "
            f"{form.spared_s:,.0f} of {form.compute_s:,.0f} s less"
        )
    if pool.smaller_forms and pool.enough_replicas_with_forms < pool.enough_replicas:
        saved = f", {pool.saved_with_forms:,.2f} saved" if price else ""
        yield (
            f"with them {pool.enough_replicas_with_forms} would have been enough, not {pool.enough_replicas}: "
            f"{pool.spared_hours_with_forms:,.0f} hours less than there were{saved}"
        )

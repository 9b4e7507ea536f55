"""`headrace autoscale advise`: the policy that a pool's last weeks ask for, and what stood idle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.client import Client
from headrace_client.errors import invalid
from headrace_scaling import documents
from headrace_scaling.advice import Advice, advise

from headrace_scale.cli.autoscale.pool_options import pool_options, service_of, setup_of, trace_of
from headrace_scale.cli.autoscale.simulation import OUTCOME_COLUMNS, outcome_json, outcome_row


@click.command("advise")
@pool_options
@click.option("--pool", default="", help="Read this pool's own history; with a TRACE or --log, count its replicas.")
@click.option("--replicas", type=click.IntRange(1), help="That there are today; default those that are counted.")
@click.option(
    "--allowed",
    type=click.FloatRange(0, 1),
    default=0.001,
    show_default=True,
    help="Share of requests that may break the objective.",
)
@click.option("--write", metavar="FILE.json", type=click.Path(dir_okay=False, path_type=Path), help="Write the policy.")
@connected
def advise_command(
    client: Client,
    output: Output,
    trace: str | None,
    pool: str,
    replicas: int | None,
    allowed: float,
    write: Path | None,
    **given: Any,
) -> None:
    """Propose targets and a floor for a pool, with what they would have cost and missed; and report what stood idle.

    The older half of the time is what floors learn from, the newer half what is judged: two weeks are a week of each.
    --pool alone has the autoscaler advise from what it recorded of the pool, and measured in the place of options that
    are not given. TRACE is a file or a shape, as of `headrace autoscale simulate`; --log reads the prediction log.

    \b
    Examples:
      headrace autoscale advise --pool gpu --price 2.5
      headrace autoscale advise --log digits --log fraud --since 14d --pool gpu --curve 1=4ms,8=9ms,32=30ms
      headrace autoscale advise trace.csv --replicas 8 --allowed 0.0005 --write gpu.json
    """
    if pool and trace is None and not given["models"]:
        if write is not None or replicas is not None:
            raise click.UsageError("--write and --replicas go with a TRACE or --log")
        _of_history(client, output, pool, allowed, given)
        return
    course = trace_of(client, output, trace, given)
    setup = setup_of(given, replicas=2)
    counted = replicas
    if counted is None:
        counted = len({one.process for one in client.routes.list_batchers(pool) if not one.draining})
        if not counted:
            raise invalid("--replicas", "no batcher is there to be counted: say how many replicas the pool has")
    with output.counting("simulating") as report:
        try:
            found = advise(
                course,
                setup,
                replicas=counted,
                allowed=allowed,
                most=given["max_replicas"],
                progress=report,
            )
        except ValueError as error:
            raise invalid("TRACE", str(error)) from error
    if write is not None:
        try:
            write.write_text(documents.to_json(found.chosen.policy) + "\n")
        except OSError as error:
            raise invalid("--write", f"cannot write {write}: {error.strerror}") from error
    if output.as_json:
        output.document(_json(found))
        return
    output.rows(OUTCOME_COLUMNS, [outcome_row(one.outcome) for one in found.candidates] + [outcome_row(found.today)])
    _say(output, found, allowed)
    if write is not None:
        output.say(f"wrote {shown(str(write))}")


def _of_history(client: Client, output: Output, pool: str, allowed: float, given: dict[str, Any]) -> None:
    with output.waiting("simulating") as say:
        found = client.pools.advise(
            pool,
            service=service_of(given, click.get_current_context()),
            allowed=allowed,
            start=given["since"],
            end=given["until"],
            progress=lambda done, step: say(f"{step}: {done:.0%}"),
        )
    if output.as_json:
        output.document(message_json(found))
        return
    results = [*(one.result for one in found.proposals), found.present]
    header = ("policy", "late or shed", "replica-hours", "cost", "changes", "most")
    output.rows(
        header,
        [
            (
                shown(one.policy),
                f"{one.violating_share:.3%}",
                f"{one.replica_hours:,.1f}",
                f"{one.cost:,.0f}",
                f"{one.scale_events:,}",
                f"{one.peak_replicas}",
            )
            for one in results
        ],
    )
    for sentence in found.sentences:
        output.say(shown(sentence))


def _say(output: Output, found: Advice, allowed: float) -> None:
    chosen, idle, policy = found.chosen.outcome, found.idle, found.chosen.policy
    floor = ""
    if policy.season is not None:
        floor = f", floor at the {policy.season.quantile:g} quantile of earlier days' peaks"
    if found.met:
        output.say(f"[bold]advice[/]: aim at {policy.demand.value:,.4g} requests/s for each replica{floor}")
    else:
        output.say(
            f"[yellow]nothing that was tried keeps {allowed:.2%}[/]: the best aims at "
            f"{policy.demand.value:,.4g} requests/s{floor}; more replicas (--max-replicas) or shorter cold starts help"
        )
    output.say(f"it would have missed {chosen.violations:.3%} with {chosen.replica_hours:,.1f} replica-hours")
    output.say(
        f"[bold]idle[/]: {idle.replicas:.3g} replicas had {idle.hours:,.0f} replica-hours, "
        f"of which {idle.idle_hours:,.0f} ({idle.idle_share:.0%}) without work"
    )
    output.say(
        f"{idle.fixed} would have been enough without scaling ({_money(idle.saved_a_month_fixed)} a month); "
        f"with it {_money(idle.saved_a_month)} a month"
    )


def _money(saved: float) -> str:
    return f"{saved:,.0f} saved" if saved >= 0 else f"{-saved:,.0f} more"


def _json(found: Advice) -> dict[str, Any]:
    return {
        "met": found.met,
        "policy": documents.to_plain(found.chosen.policy),
        "outcome": outcome_json(found.chosen.outcome),
        "candidates": [outcome_json(one.outcome) for one in found.candidates],
        "today": outcome_json(found.today),
        "idle": {**documents.to_plain(found.idle), "idle_share": found.idle.idle_share},
    }

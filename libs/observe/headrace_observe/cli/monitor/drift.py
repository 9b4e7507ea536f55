"""`headrace monitor drift|drifts|reference`: has what is asked, or what is answered, changed?"""

from __future__ import annotations

from datetime import datetime

import click
from headrace.monitor.v1 import monitor_pb2
from headrace_client.cli.options import connected, model_argument, span_options, version_argument
from headrace_client.cli.output import Output, message_json, shown, when
from headrace_client.client import Client

from headrace_observe.cli.monitor.words import SEVERITIES, range_text, value_text

_SOURCES = {
    monitor_pb2.Reference.SOURCE_ARTIFACT: "its artifact reference.parquet",
    monitor_pb2.Reference.SOURCE_WINDOW: "predictions of a chosen time",
    monitor_pb2.Reference.SOURCE_SEASON: "the same hour a week before",
}


class _DriftCommands(click.Group):
    """`drift MODEL VERSION` evaluates; `drift set` and `drift tolerances` are about what is tolerated."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            args = ["evaluate", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_DriftCommands)
def drift() -> None:
    """Whether requests and answers have drifted, and what of that is tolerated.

    \b
    Examples:
      headrace monitor drift digits v2
      headrace monitor drift tolerances digits v2
      headrace monitor drift set digits v2 --test ks --column age --tolerance 0.02
    """


@drift.command("distributions")
@model_argument
@version_argument
@click.option("--column", "columns", multiple=True, help="Only this one; repeat, at most 20. Default the first 20.")
@span_options("a day before the end")
@connected
def show_distributions(
    client: Client,
    output: Output,
    model: str,
    version: str,
    columns: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Show how columns of VERSION of MODEL are distributed, in its reference and now, in the same bins.

    \b
    Examples:
      headrace monitor drift distributions digits v2 --column pixels.12
    """
    found = client.monitor.distributions(model, version, columns=columns, start=since, end=until)
    if output.as_json:
        output.document({"distributions": [message_json(one) for one in found]})
        return
    output.table(
        ("column", "bin", "reference", "now"),
        [
            (
                shown(one.column) if at == 0 else "",
                shown(each.label),
                f"{each.reference_share:.1%}",
                f"{each.window_share:.1%}",
            )
            for one in found
            for at, each in enumerate(one.bins)
        ],
    )


@drift.command()
@model_argument
@version_argument
@span_options("an hour before the end")
@click.option("--level", type=float, default=0.0, show_default="0.05", help="Probability of a false alarm.")
@click.option("--all", "everything", is_flag=True, help="Show every test, also those that found nothing.")
@connected
def evaluate(
    client: Client,
    output: Output,
    model: str,
    version: str,
    since: datetime | None,
    until: datetime | None,
    level: float,
    everything: bool,
) -> None:
    """Evaluate now whether requests and answers of VERSION of MODEL have drifted from its reference.

    Severity grades the size of the change (effect against tolerance), never the p-value.

    \b
    Examples:
      headrace monitor drift digits v2
      headrace monitor drift digits v2 --since 24h --all
      headrace monitor drift digits v2 --since 2031-02-03T04:00:00Z --until 2031-02-03T05:00:00Z --json
    """
    evaluation = client.monitor.drift(model, version, start=since, end=until, level=level)
    if output.as_json:
        output.document(message_json(evaluation))
        return
    output.facts(
        [
            ("evaluated", f"{evaluation.rows:,} rows, {range_text(evaluation.range)}"),
            ("against", _SOURCES.get(evaluation.reference, "")),
            ("severity", SEVERITIES[evaluation.severity]),
            ("alarms", f"{sum(one.alarm for one in evaluation.reports):,} of {len(evaluation.reports):,} tests"),
        ]
    )
    reports = sorted(evaluation.reports, key=lambda one: (-one.alarm, -one.severity, one.column))
    picked = [one for one in reports if everything or one.alarm or one.severity > monitor_pb2.SEVERITY_NONE]
    output.say("")
    if picked:
        header = ("column", "kind", "test", "effect", "tolerance", "adjusted p", "severity", "")
        output.table(header, [_line(one) for one in picked])
    inconclusive = [one for one in reports if one.inconclusive]
    if not picked and reports:
        output.say(f"nothing beyond its tolerance; --all shows every test ({len(inconclusive):,} were inconclusive)")
    if evaluation.advice:
        output.say(f"\n{shown(evaluation.advice)}")
    if evaluation.slices:
        output.say("\nwhere it is:")
        output.table(
            ("slice", "rows", "effect", "explains"),
            [
                (shown(one.name), f"{one.rows:,}", value_text(one.effect), f"{one.share:.0%}")
                for one in evaluation.slices
            ],
        )


@drift.command("set")
@model_argument
@version_argument
@click.option(
    "--test",
    required=True,
    type=click.Choice(("psi", "ks", "chi_square", "exact_shares", "embedding", "share")),
    help="What is tolerated; share: of missing, new and odd values.",
)
@click.option("--column", default="", help="Column; all that have none of their own without it.")
@click.option("--tolerance", type=float, help="Largest change that is no alarm; the default without it.")
@connected
def set_tolerance(
    client: Client, output: Output, model: str, version: str, test: str, column: str, tolerance: float | None
) -> None:
    """Set what change is tolerated of every version of MODEL, and show what can be found then at VERSION's traffic.

    \b
    Examples:
      headrace monitor drift set digits v2 --test psi --tolerance 0.1
      headrace monitor drift set digits v2 --test ks --column age --tolerance 0.02
      headrace monitor drift set digits v2 --test ks --column age
    """
    client.monitor.set_drift_tolerance(model, test, tolerance, column=column)
    response = client.monitor.drift_tolerances(model, version)
    _show_tolerances(
        output, response, [one for one in response.tolerances if one.test == test and column in ("", one.column)]
    )


@drift.command()
@model_argument
@version_argument
@connected
def tolerances(client: Client, output: Output, model: str, version: str) -> None:
    """Show what is tolerated of each column of VERSION of MODEL, and what can be found beyond it at its traffic.

    \b
    Examples:
      headrace monitor drift tolerances digits v2
      headrace monitor drift tolerances digits v2 --json
    """
    response = client.monitor.drift_tolerances(model, version)
    _show_tolerances(output, response, list(response.tolerances))


def _show_tolerances(
    output: Output, response: monitor_pb2.ListDriftTolerancesResponse, picked: list[monitor_pb2.DriftTolerance]
) -> None:
    if output.as_json:
        output.document({"window_rows": str(response.window_rows), "tolerances": [message_json(one) for one in picked]})
        return
    traffic = f"{response.window_rows:,} rows a window" if response.window_rows else "no evaluation yet"
    output.say(f"found by nine of ten scheduled evaluations, at {traffic}:\n")
    output.table(
        ("column", "test", "tolerance", "set", "found from", "as a shift", ""), [_tolerance(one) for one in picked]
    )


def _tolerance(one: monitor_pb2.DriftTolerance) -> tuple[str, ...]:
    shift = f"{one.detectable_shift:.2f} sd" if one.HasField("detectable_shift") else "-"
    found = value_text(one.detectable if one.HasField("detectable") else None)
    said = "yes" if one.set else "default"
    return (shown(one.column), shown(one.test), value_text(one.tolerance), said, found, shift, shown(one.inconclusive))


@click.command()
@model_argument
@version_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=24, show_default=True, help="How many evaluations.")
@connected
def drifts(client: Client, output: Output, model: str, version: str, limit: int) -> None:
    """List the scheduled drift evaluations of VERSION of MODEL, the latest first.

    \b
    Examples:
      headrace monitor drifts digits v2
      headrace monitor drifts digits v2 --limit 168 --json
    """
    evaluations = client.monitor.list_drifts(model, version, limit=limit)
    if output.as_json:
        output.document({"drifts": [message_json(one) for one in evaluations]})
        return
    if not evaluations:
        output.say(f"no scheduled evaluation yet; evaluate now: headrace monitor drift {shown(model)} {shown(version)}")
        return
    output.table(("from", "to", "rows", "severity", "alarms", "worst"), [_evaluation(one) for one in evaluations])


@click.group()
def reference() -> None:
    """The reference that a version's windows are compared with.

    \b
    Examples:
      headrace monitor reference show digits v2
      headrace monitor reference freeze digits v2 --since 24h
    """


@reference.command()
@model_argument
@version_argument
@connected
def show(client: Client, output: Output, model: str, version: str) -> None:
    """Show the reference of VERSION, and which columns cannot be compared.

    \b
    Examples:
      headrace monitor reference show digits v2
      headrace monitor reference show digits v2 --json
    """
    _show(output, client.monitor.get_reference(model, version))


@reference.command()
@model_argument
@version_argument
@span_options("the version's artifact reference.parquet")
@click.option("--seasonal", is_flag=True, help="Hold windows against the same hour a week before, as far as known.")
@connected
def freeze(
    client: Client,
    output: Output,
    model: str,
    version: str,
    since: datetime | None,
    until: datetime | None,
    seasonal: bool,
) -> None:
    """Freeze what windows of VERSION are held against: its artifact, or the predictions of a time that was good.

    \b
    Examples:
      headrace monitor reference freeze digits v2
      headrace monitor reference freeze digits v2 --since 24h --until 1h
      headrace monitor reference freeze digits v2 --seasonal
    """
    _show(output, client.monitor.freeze_reference(model, version, start=since, end=until, seasonal=seasonal))


def _show(output: Output, reference: monitor_pb2.Reference) -> None:
    if output.as_json:
        output.document(message_json(reference))
        return
    output.facts(
        [
            ("made from", _SOURCES.get(reference.source, "")),
            ("of", range_text(reference.range) if reference.HasField("range") else ""),
            ("frozen", when(reference.freeze_time)),
            ("columns", f"{len(reference.columns):,} can be judged, {len(reference.unfit):,} cannot"),
        ]
    )
    output.say("")
    rows = [(shown(one.name), shown(one.kind), f"{one.rows:,}", "") for one in reference.columns]
    rows += [
        (shown(one.name), "-", "-", f"[yellow]cannot be judged[/]: {shown(one.reason)}") for one in reference.unfit
    ]
    output.table(("column", "kind", "rows", ""), rows)


def _line(one: monitor_pb2.DriftReport) -> tuple[str, ...]:
    said = shown(one.inconclusive) or ", ".join(map(shown, one.examples[:5]))
    said = "; ".join(filter(None, (said, _sizes(one), _worth(one))))
    effect = one.effect if one.HasField("effect") else None
    return (
        shown(one.column),
        shown(one.kind),
        shown(one.test),
        value_text(effect),
        value_text(one.tolerance),
        value_text(one.adjusted_p if one.HasField("adjusted_p") else None),
        SEVERITIES[one.severity] + (" [bold red]alarm[/]" if one.alarm else ""),
        said,
    )


def _sizes(one: monitor_pb2.DriftReport) -> str:
    """Return other measures of the change, for those who know them."""
    return ", ".join(f"{shown(name)} {value_text(size)}" for name, size in sorted(one.effect_sizes.items()))


def _worth(one: monitor_pb2.DriftReport) -> str:
    return f"{one.design_effect:.1f} rows count as one" if one.design_effect > 1.05 else ""


def _evaluation(one: monitor_pb2.Drift) -> tuple[str, ...]:
    alarms = sorted((report for report in one.reports if report.alarm), key=lambda report: -report.severity)
    worst = ", ".join(dict.fromkeys(shown(report.column) for report in alarms[:3]))
    return (
        when(one.range.start_time),
        when(one.range.end_time),
        f"{one.rows:,}",
        SEVERITIES[one.severity],
        str(len(alarms)),
        worst or "-",
    )

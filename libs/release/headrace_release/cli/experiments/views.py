"""How experiments are shown: what one asks, what its data say, and what a plan needs."""

from __future__ import annotations

from headrace.monitor.v1 import experiment_pb2 as pb
from headrace_client.cli.output import Output, last, shown, when
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

WIDTH = 31
_STYLES = {
    pb.AnalyseExperimentResponse.VERDICT_SHARES_WRONG: "bold red",
    pb.AnalyseExperimentResponse.VERDICT_GUARDRAIL_HARMED: "bold red",
    pb.AnalyseExperimentResponse.VERDICT_BETTER: "green",
}


def state_word(experiment: pb.Experiment) -> str:
    """Return the state in a word."""
    return pb.Experiment.State.Name(experiment.state).removeprefix("STATE_").lower()


def row_of(experiment: pb.Experiment) -> tuple[str, ...]:
    """Return a line of the list."""
    variants = ", ".join(f"{one.name} {one.weight:g}" for one in experiment.variants)
    start = when(experiment.start_time) if experiment.HasField("start_time") else ""
    end = when(experiment.end_time) if experiment.HasField("end_time") else ""
    return shown(last(experiment.name)), state_word(experiment), shown(variants), start, end, shown(experiment.owner)


def panel(found: pb.AnalyseExperimentResponse) -> RenderableType:
    """Return what the data say now, as a terminal shows it."""
    parts: list[RenderableType] = [Text.from_markup(verdict_line(found)), Text(units_line(found))]
    table = Table.grid(padding=(0, 2))
    for _ in range(5):
        table.add_column()
    table.add_row("[bold]metric[/]", "[bold]variant[/]", "[bold]effect[/]", f"[bold]{_axis()}[/]", "[bold]finding[/]")
    for one in found.results:
        finding = pb.AnalyseExperimentResponse.Finding.Name(one.finding).removeprefix("FINDING_").lower()
        effect = f"{one.relative:+.1%}" if one.HasField("relative") else ""
        table.add_row(*map(Text, (one.metric, one.variant, effect, interval_bar(one), finding)))
    return Group(*parts, table)


def verdict_line(found: pb.AnalyseExperimentResponse) -> str:
    """Return the verdict in a sentence, with its colour."""
    return f"[{_STYLES.get(found.verdict, 'cyan')}]{shown(found.summary)}[/]"


def units_line(found: pb.AnalyseExperimentResponse) -> str:
    """Return the units of each variant, and whether that is what their shares say."""
    units = ", ".join(f"{one.variant} {one.units:,}" for one in found.assigned)
    crossed = f"; {found.crossed_units:,} met more than one" if found.crossed_units else ""
    return f"units: {units} (shares: p {found.sample_ratio_p:.3g}){crossed}"


def interval_bar(one: pb.AnalyseExperimentResponse.Result, width: int = WIDTH) -> str:
    """Return the interval of an effect on an axis from -30 % to +30 %, with the estimate and zero in it.

    >>> interval_bar(pb.AnalyseExperimentResponse.Result(relative=0.1, relative_low=0.04, relative_high=0.16), 13)
    '······│─●─···'
    """
    cells = ["·"] * width
    middle = width // 2
    if one.HasField("relative_low") and one.HasField("relative_high"):
        low, high, at = (_cell(value, width) for value in (one.relative_low, one.relative_high, one.relative))
        cells[low : high + 1] = "─" * (high + 1 - low)
        cells[middle] = "│"
        cells[at] = "●"
    else:
        cells[middle] = "│"
    return "".join(cells)


def show_analysis(output: Output, found: pb.AnalyseExperimentResponse) -> None:
    """Print what the data say."""
    output.say(verdict_line(found))
    output.say(shown(units_line(found)))
    output.table(
        ("metric", "variant", "control", "value", "effect", "interval at every look", "p", "finding"),
        [_row(one) for one in found.results],
    )
    for one in found.results:
        output.say(shown(one.summary))
    if found.slices:
        output.say("for ideas, not for decisions:")
        output.table(
            ("slice", "units", "metric", "variant", "control", "value", "effect", "interval", "p", "finding"),
            [
                (shown(part.value) or "(none)", f"{part.units:,}", *_row(one))
                for part in found.slices
                for one in part.results
            ],
        )


def show_plan(output: Output, plan: pb.PlanExperimentResponse) -> None:
    """Print how many units are needed."""
    rows = []
    for name, units, days in (
        ("one look at the end", plan.single_look_units, plan.single_look_days),
        ("looks at any time", plan.any_look_units, plan.any_look_days),
    ):
        rows.append((name, f"{units:,}", f"{days:,.1f} days" if days else ""))
    if plan.settled_units:
        rows.append(("no single unit decides", f"{plan.settled_units:,}", ""))
    output.table(("with", "units of both variants", "takes"), rows)
    output.table(
        ("units", "one look finds it in", "any look, at least"),
        [(f"{point.units:,}", f"{point.single_look:.0%}", f"{point.any_look:.0%}") for point in plan.curve],
    )


def _row(one: pb.AnalyseExperimentResponse.Result) -> tuple[str, ...]:
    finding = pb.AnalyseExperimentResponse.Finding.Name(one.finding).removeprefix("FINDING_").lower()
    if not one.HasField("control_value"):
        return shown(one.metric), shown(one.variant), "", "", "", "", f"{one.p:.3g}", finding
    bounded = one.HasField("relative_low") and one.HasField("relative_high")
    between = f"{one.relative_low:+.1%} to {one.relative_high:+.1%}" if bounded else ""
    effect = f"{one.relative:+.1%}" if one.HasField("relative") else ""
    values = f"{one.control_value:.4g}", f"{one.variant_value:.4g}"
    return shown(one.metric), shown(one.variant), *values, effect, between, f"{one.adjusted_p:.3g}", finding


def _axis() -> str:
    return "-30 %" + "0".center(WIDTH - 10) + "+30 %"


def _cell(value: float, width: int) -> int:
    middle = width // 2
    return min(max(middle + round(value / 0.3 * middle), 0), width - 1)

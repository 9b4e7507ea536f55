"""An experiment as one HTML page that loads nothing: effects over time, balance of units, every metric and variant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC
from html import escape

from headrace.monitor.v1 import experiment_pb2 as pb

from headrace_monitor.judge.experiments.drawings import Course, Interval, courses, forest

_COLOURS = ("#2f6fde", "#e08a1e", "#16976b", "#c2405d", "#7a5af0", "#0e93a8", "#a3631f", "#6c7a89")
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.25em .8em .25em 0;text-align:left;border-bottom:1px solid #8884;"
    "vertical-align:top;font-variant-numeric:tabular-nums}.scroll{overflow-x:auto}.dim{opacity:.75}"
    ".verdict{font-size:1.2em;font-weight:600}"
    "svg{width:100%;height:auto}svg text{fill:currentColor;font-size:12px}"
    ".grid{stroke:#8884}.zero{stroke:#888;stroke-dasharray:4 3}.line{fill:none;stroke-width:2.2}"
    ".band{opacity:.18;stroke:none}i{display:inline-block;width:.75em;height:.75em;margin:0 .35em 0 1em}"
    + "".join(
        f".c{at}{{stroke:{colour}}}circle.c{at},.band.c{at}{{fill:{colour}}}i.c{at}{{background:{colour}}}"
        for at, colour in enumerate(_COLOURS)
    )
)
_POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
_ROLES = {1: "decides", 2: "guardrail", 3: "is shown"}


def render(
    experiment: pb.Experiment, history: pb.GetExperimentHistoryResponse, analysis: pb.AnalyseExperimentResponse
) -> str:
    """Return the page. Every text is escaped."""
    title = escape(experiment.name.removeprefix("models/").replace("/experiments/", ": "))
    head = f'<meta charset="utf-8">{_POLICY}<title>{title}</title><style>{_STYLE}</style>'
    body = (
        f'<h1>{title}</h1><p>{escape(experiment.hypothesis)}</p><p class="verdict">{escape(analysis.summary)}</p>'
        f'<p class="dim">{_facts(experiment, analysis)}</p>{_effects(experiment, history)}'
        f"{_units(experiment, history, analysis)}{_forests(experiment, analysis)}{_table(analysis)}{_notes()}"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _facts(experiment: pb.Experiment, analysis: pb.AnalyseExperimentResponse) -> str:
    state = pb.Experiment.State.Name(experiment.state).removeprefix("STATE_").lower()
    ended = f" {_when(experiment.end_time)}: {experiment.end_reason}" if experiment.HasField("end_time") else ""
    state = "stopped" if experiment.stopped else state
    said = f"Started {_when(experiment.start_time)}; {state}{ended}. As of {_when(analysis.time)} UTC."
    days = [one.days_to_go for one in analysis.results if one.HasField("days_to_go")]
    return escape(said + (f" About {max(days):,.1f} days to go." if days else ""))


def _effects(experiment: pb.Experiment, history: pb.GetExperimentHistoryResponse) -> str:
    times = [_when(point.time) for point in history.points]
    _, *others = _styled(experiment)
    parts = []
    for metric in experiment.metrics:
        drawn = [
            Course(variant, style, tuple(_found(point.results, metric.name, variant) for point in history.points))
            for style, variant in others
        ]
        name = f"{metric.name}: effect of the units that came by then, and its interval"
        heading = f"<h3>{escape(metric.name)} <small>{_ROLES.get(metric.role, '')}</small></h3>"
        parts.append(heading + courses(name, times, drawn))
    return f"<h2>Effect over time</h2>{_legend(others)}{''.join(parts)}"


def _units(
    experiment: pb.Experiment, history: pb.GetExperimentHistoryResponse, analysis: pb.AnalyseExperimentResponse
) -> str:
    variants = _styled(experiment)
    drawn = []
    for style, name in variants:
        found = [next((a for a in point.assigned if a.variant == name), None) for point in history.points]
        ratios = [a.units / a.expected - 1 if a is not None and a.expected else None for a in found]
        drawn.append(Course(name, style, tuple(Interval(ratio, None, None) for ratio in ratios)))
    times = [_when(point.time) for point in history.points]
    rows = [(a.variant, f"{a.units:,}", f"{a.expected:,.1f}") for a in analysis.assigned]
    counted = "they count for the first" + (", and in no metric" if experiment.exclude_crossed else "")
    crossed = f"{analysis.crossed_units:,} units met more than one variant: {counted}."
    said = f"Shares: p = {analysis.sample_ratio_p:.3g}; below .001 nothing else here is to be believed. {crossed}"
    plot = courses("Units of each variant beside what its share would have given it", times, drawn)
    return (
        f"<h2>Balance of units</h2>{_legend(variants)}{plot}<p>{escape(said)}</p>"
        f"{_rows(('variant', 'units', 'expected'), rows)}"
    )


def _forests(experiment: pb.Experiment, analysis: pb.AnalyseExperimentResponse) -> str:
    _, *others = _styled(experiment)
    parts = []
    for metric in experiment.metrics:
        rows = [(variant, style, _found(analysis.results, metric.name, variant)) for style, variant in others]
        parts.append(f"<h3>{escape(metric.name)}</h3>{forest(f'{metric.name} of each variant', rows)}")
    return f"<h2>Every metric</h2>{''.join(parts)}"


def _table(analysis: pb.AnalyseExperimentResponse) -> str:
    head = ("metric", "variant", "control", "value", "p, any look", "p, adjusted", "p, one look", "what it says")
    rows = [
        (
            *(one.metric, one.variant),
            *((f"{one.control_value:.4g}", f"{one.variant_value:.4g}") if one.HasField("control_value") else ("", "")),
            *(f"{one.p:.3g}", f"{one.adjusted_p:.3g}"),
            f"{one.single_look_p:.3g}" if one.HasField("single_look_p") else "",
            one.summary,
        )
        for one in analysis.results
    ]
    return f"<h2>Numbers</h2>{_rows(head, rows)}"


def _notes() -> str:
    return (
        '<p class="dim">Intervals and p-values hold at every look together. A point of a plot says what the units say '
        "that were assigned by then, with all of their outcomes that are known now.</p>"
    )


def _found(results: Iterable[pb.AnalyseExperimentResponse.Result], metric: str, variant: str) -> Interval:
    for one in results:
        if (one.metric, one.variant) == (metric, variant):
            known = (name if one.HasField(name) else None for name in ("relative", "relative_low", "relative_high"))
            return Interval(*(None if name is None else getattr(one, name) for name in known))
    return Interval(None, None, None)


def _styled(experiment: pb.Experiment) -> list[tuple[str, str]]:
    """Return the class of each variant's colour, and its name; the control first."""
    return [(f"c{at}", one.name) for at, one in enumerate(experiment.variants)]


def _legend(variants: Iterable[tuple[str, str]]) -> str:
    return "<p>" + "".join(f'<i class="{style}"></i>{escape(name)}' for style, name in variants) + "</p>"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    first = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    others = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{first}</tr>{others}</table></div>'


def _when(time) -> str:
    return f"{time.ToDatetime(UTC):%Y-%m-%d %H:%M}"

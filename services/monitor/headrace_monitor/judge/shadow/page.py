"""A comparison as one HTML page that loads nothing: numbers, slices, the worst rows, and a picture of the sample."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from headrace.monitor.v1 import monitor_pb2

from headrace_monitor.judge.shadow.decisions.comparisons import SampledRow

_SIDE = 320
_MARGIN = 8
_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:60em;color:#222}table{border-collapse:collapse}"
    "td,th{padding:.25em .8em;text-align:left;border-bottom:1px solid #ddd}svg{border:1px solid #ccc}"
)

Part = tuple[monitor_pb2.ShadowComparison, Sequence[SampledRow]]


def render(model: str, parts: Sequence[Part]) -> str:
    """Return the page. Every text is escaped."""
    body = "".join(_section(one, sample) for one, sample in parts) or "<p>Nothing was compared in that time.</p>"
    title = f"Shadows of {escape(model)}"
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>{body}</body></html>\n'


def _section(one: monitor_pb2.ShadowComparison, sample: Sequence[SampledRow]) -> str:
    facts = [("requests compared", f"{one.pairs:,}"), ("rows", f"{one.rows:,}")]
    if one.labelled_rows:
        share = f"{one.flips / one.labelled_rows:.3%}"
        between = f"{one.flip_rate_low:.3%} to {one.flip_rate_high:.3%}"
        facts.append(("labels that differ", f"{one.flips:,} of {one.labelled_rows:,} ({share}; {between})"))
    facts.append(("rows with a NaN of the shadow alone", f"{one.nan_rows:,}"))
    for name, quantiles in (("difference", one.difference), ("relative difference", one.relative_difference)):
        if one.HasField("difference"):
            facts.append((f"{name}, p50, p95, p99", ", ".join(f"{value:.4g}" for value in _of(quantiles))))
    if one.HasField("difference"):
        facts.append(("largest difference", f"{one.largest_difference:.6g}"))
    if one.HasField("rank_correlation"):
        facts.append(("rank correlation", f"{one.rank_correlation:.4f}"))
    for name, quantiles in (("its answers took", one.took_us), ("the shadow's took", one.shadow_took_us)):
        facts.append((f"{name}, p50, p95, p99", ", ".join(f"{value / 1000:.2f} ms" for value in _of(quantiles))))
    facts += [(f"errors of the shadow, code {code}", f"{count:,}") for code, count in sorted(one.errors.items())]
    if one.unlike:
        facts.append(("pairs with nothing in common", f"{one.unlike:,}"))
    slices = [(s.name, f"{s.rows:,}", f"{s.flips:,}", f"{s.flips / s.rows:.2%}") for s in one.slices if s.rows]
    worst = [(row.prediction_id, str(row.row), row.answer, row.shadow_answer) for row in one.worst]
    heading = f"{escape(one.version)} beside {escape(one.shadow_version)}"
    return (
        f"<h2>{heading}</h2>{_table((), facts)}{_picture(sample)}"
        f"{_titled('By attribute', ('attribute', 'rows', 'differ', 'share'), slices)}"
        f"{_titled('The rows that differ most', ('prediction', 'row', 'answer', 'shadow'), worst)}"
    )


def _of(quantiles: monitor_pb2.ShadowComparison.Quantiles) -> tuple[float, float, float]:
    return quantiles.p50, quantiles.p95, quantiles.p99


def _titled(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"<h3>{title}</h3>{_table(head, rows)}" if rows else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    others = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{first}</tr>{others}</table>" if head else f"<table>{others}</table>"


def _picture(sample: Sequence[SampledRow]) -> str:
    """Return the sample as points: the answer to the right, the shadow's upwards; equal ones lie on the line."""
    values = [value for row in sample for value in (row.value, row.shadow_value)]
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (_SIDE - 2 * _MARGIN) / ((high - low) or 1.0)

    def at(value: float) -> float:
        return round(_MARGIN + (value - low) * scale, 1)

    points = "".join(
        f'<circle cx="{at(row.value)}" cy="{round(_SIDE - at(row.shadow_value), 1)}" r="2" fill="#1f77b4"/>'
        for row in sample
    )
    line = f'<line x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0" stroke="#bbb"/>'
    return (
        f'<h3>A sample of rows</h3><svg width="{_SIDE}" height="{_SIDE}" role="img" '
        f'aria-label="answers beside the shadow\'s">{line}{points}</svg>'
    )

"""`headrace monitor outcomes`: tell what became of predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from headrace_client.cli.failures import WRONG_REQUEST
from headrace_client.cli.options import connected, model_argument
from headrace_client.cli.output import Output, shown
from headrace_client.cli.values import Duration, Moment
from headrace_client.client import Client
from headrace_client.errors import HeadraceError

from headrace_observe.cli.outcome_files import Reading, Row, count_rows, read_outcomes
from headrace_observe.operations.outcomes import Outcome, Recorded

_LISTED = 20
_WORDS = {
    "recorded": "recorded",
    "repeated": "recorded before",
    "outdated": "older than what is recorded",
    "waiting": "waiting for their predictions",
    "rejected": "[red]rejected[/]",
}


@click.group()
def outcomes() -> None:
    """Tell what became of predictions: labels, rewards, conversions, however late.

    \b
    Examples:
      headrace monitor outcomes record digits labels.csv
      headrace monitor outcomes record digits --prediction-id 0190a1b2-0000-7000-8000-000000000001 --label 3
    """


@outcomes.command()
@model_argument
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--prediction-id", default="", metavar="ID", help="One prediction, instead of a file.")
@click.option("--entity-id", default="", metavar="ID", help="The last prediction of an entity, instead of a file.")
@click.option(
    "--label", "--value", "value", metavar="VALUE", help="The fact about it: a number or the name of a class."
)
@click.option("--row", type=click.IntRange(0), default=0, help="Row of a prediction of several rows, from 0.")
@click.option("--kind", default="label", show_default=True, help="label, reward, conversion, or a name of your own.")
@click.option(
    "--value-column", default="", metavar="NAME", help="Column of FILE; default `value`, else the kind's name."
)
@click.option("--text", "as_text", is_flag=True, help="Values are names of classes, also where they look like numbers.")
@click.option("--observed-at", type=Moment(), help="Time of facts without one; default FILE's last change, or now.")
@click.option(
    "--entity-window", type=Duration(), help="How old an entity's prediction may be; default 24h, at most 90d."
)
@connected
def record(
    client: Client,
    output: Output,
    model: str,
    file: Path | None,
    prediction_id: str,
    entity_id: str,
    value: str | None,
    row: int,
    kind: str,
    value_column: str,
    as_text: bool,
    observed_at: datetime | None,
    entity_window: timedelta | None,
) -> None:
    """Record the facts in FILE about predictions of MODEL, or one fact about one prediction.

    FILE is CSV, one JSON object per line (.jsonl), or Parquet, with the columns prediction_id or entity_id, and value
    (or label, reward, …); kind, row and observe_time are optional. A number is the index of a class, or a label of a
    regression; a text is the name of a class. Sending a file again changes nothing, so a command that was cut is run
    again. Rows that cannot be recorded are listed by their line and do not keep others back; the exit code is then 2.

    \b
    Examples:
      headrace monitor outcomes record digits labels.csv
      headrace monitor outcomes record shop bought.jsonl --kind conversion --entity-window 7d
      headrace monitor outcomes record churn churned.parquet --value-column churned --observed-at 2031-02-03T00:00:00Z
      headrace monitor outcomes record digits --prediction-id 0190a1b2-0000-7000-8000-000000000001 --label 3
    """
    one = bool(prediction_id or entity_id)
    if one == (file is not None) or one != (value is not None):
        raise click.UsageError("give a FILE, or --prediction-id (or --entity-id) with --label")
    if file is None:
        fact = Reading(kind, "value", as_text, observed_at or datetime.now(UTC))
        found = {"prediction_id": prediction_id, "entity_id": entity_id, "value": value, "row": row}
        rows, total = iter([Row.of(1, found, fact)]), 1
    else:
        changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        rows = read_outcomes(file, Reading(kind, value_column, as_text, observed_at or changed))
        total = count_rows(file)
    sending = _Sending(rows)
    with output.counting(f"recording for {model}") as progress:
        try:
            recorded = client.outcomes.record(
                model, sending.good(), entity_window=entity_window, progress=lambda sent: progress(sent, total)
            )
        except HeadraceError:
            output.note("[dim]run the command again: what is recorded counts once[/]")
            raise
    _show(output, sending.finished(recorded))
    if sending.bad:
        click.get_current_context().exit(WRONG_REQUEST)


@dataclass(slots=True)
class _Sending:
    """Rows on their way. lines: of those that were sent; bad: those that cannot be recorded, with their lines."""

    rows: Iterator[Row]
    lines: list[int] = field(default_factory=list)
    bad: list[tuple[int, str, str]] = field(default_factory=list)

    def good(self) -> Iterator[Outcome]:
        for row in self.rows:
            if row.outcome is None:
                self.bad.append((row.line, row.field, row.problem))
            else:
                self.lines.append(row.line)
                yield row.outcome

    def finished(self, recorded: Recorded) -> _Report:
        counts = Counter(recorded.counts)
        counts["rejected"] += len(self.bad)
        self.bad = sorted(self.bad + [(self.lines[one.index], one.field, one.description) for one in recorded.rejected])
        return _Report(counts, self.bad)


@dataclass(frozen=True, slots=True)
class _Report:
    counts: Counter[str]
    rejected: list[tuple[int, str, str]]


def _show(output: Output, report: _Report) -> None:
    if output.as_json:
        listed = [{"line": line, "field": field, "description": words} for line, field, words in report.rejected]
        output.document({"counts": {name: report.counts[name] for name in _WORDS}, "rejected": listed})
        return
    said = [f"{report.counts[name]:,} {words}" for name, words in _WORDS.items() if report.counts[name]]
    output.say(", ".join(said) or "no rows")
    for line, where, words in report.rejected[:_LISTED]:
        output.say(f"  [red]line {line}[/] {shown(f'{where}: ' if where else '')}{shown(words)}")
    if len(report.rejected) > _LISTED:
        output.say(f"  and {len(report.rejected) - _LISTED:,} more; --json lists all")

"""`headrace monitor query`: the prediction log in SQL."""

from __future__ import annotations

import base64
import csv
import json
import math
import sys
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import click
from headrace_client.cli.options import connected, span_options
from headrace_client.cli.output import Output, message_json, shown, when
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import invalid

from headrace_observe.operations.monitor import QueryAnswer

_WIDEST = 60


@click.command()
@click.argument("sql", metavar="SQL")
@span_options("everything that the log has")
@click.option("--max-rows", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="Most rows.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: nothing for null, NaN, inf, JSON for lists.")
@click.option(
    "--parquet",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rows to a Parquet file.",
)
@click.option("--timeout", type=Duration(), default=timedelta(seconds=90), show_default="90s", help="How long to wait.")
@connected
def query(
    client: Client,
    output: Output,
    sql: str,
    since: datetime | None,
    until: datetime | None,
    max_rows: int,
    as_csv: bool,
    parquet: Path | None,
    timeout: timedelta,
) -> None:
    """Answer one SELECT (DuckDB's SQL) over the predictions that your token may see.

    \b
    Views:
      predictions   one row per row of a prediction: prediction_id, answer_time, model, version, variant, served_from,
                    total_us, entity_id, prediction_label, prediction_value, "feature.<name>", "output.<name>", …
      outcomes      what was reported afterwards: prediction_id, row, model, kind, number, text, observe_time
      labelled      predictions with their outcomes: outcome_kind, outcome_number, outcome_text, outcome_time
      pipeline_steps  what models computed as steps of pipelines, by these: columns of predictions, pipeline, step

    Names with a dot are written in double quotes. A WHERE on model, version and answer_time keeps what is read small;
    --since and --until do the same for every view. `DESCRIBE predictions` lists the columns. What was answered in the
    last minute may not be in the log yet.

    \b
    Examples:
      headrace monitor query "SELECT version, count(*) FROM predictions GROUP BY version" --since 24h
      headrace monitor query "DESCRIBE predictions"
      headrace monitor query "SELECT avg((prediction_label = outcome_text)::int) FROM labelled WHERE model = 'digits'"
      headrace monitor query "SELECT \\"feature.age\\" FROM predictions WHERE model = 'churn'" --csv
      headrace monitor query "FROM predictions" --since 7d --max-rows 1000000 --parquet week.parquet
    """
    if sum((as_csv, parquet is not None, output.as_json)) > 1:
        raise click.UsageError("--csv, --parquet and --json are three ways to have the rows: choose one")
    with output.waiting("asking"):
        answer = client.monitor.query(sql, start=since, end=until, max_rows=max_rows, timeout=timeout.total_seconds())
    table = answer.table()
    if output.as_json:
        rows = [{name: _json(value) for name, value in row.items()} for row in table.to_pylist()]
        output.document(
            {
                "columns": table.column_names,
                "rows": rows,
                "truncated": answer.truncated,
                "read": message_json(answer.read),
            }
        )
        return
    if parquet is not None:
        _write(table, parquet)
        output.say(f"wrote {table.num_rows:,} rows to {shown(str(parquet))}")
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows([_csv(value) for value in row] for row in _rows(table))
    else:
        output.rows(
            [shown(name) for name in table.column_names], [[_cell(value) for value in row] for row in _rows(table)]
        )
    output.note(_summary(answer, table.num_rows))


def _rows(table: Any) -> Iterable[tuple[Any, ...]]:
    """Yield rows in their order; columns may share a name."""
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _write(table: Any, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    try:
        pyarrow.parquet.write_table(table, path)
    except (OSError, pyarrow.ArrowException) as error:
        raise invalid("--parquet", f"cannot write {path}: {error}") from error


def _summary(answer: QueryAnswer, rows: int) -> str:
    read = answer.read
    span = f", {when(read.first_answer_time)} to {when(read.last_answer_time)}" if read.files else ""
    said = f"[dim]{rows:,} rows; read {read.files:,} files with {read.rows:,} predictions' rows{span}[/]"
    return f"[yellow]there are more rows: --max-rows[/]\n{said}" if answer.truncated else said


def _cell(value: Any) -> str:
    if value is None:
        return "[dim]null[/]"
    text = f"{value:.6g}" if isinstance(value, float) else _csv(value)
    return shown(text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…")


def _csv(value: Any) -> str:
    """Return a value as readers of CSV take it: they know numbers that JSON has no form for."""
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    plain = _json(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _json(value: Any) -> Any:
    """Return a value as JSON has it: what it has no form for as text, and no number for NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): _json(each) for key, each in value.items()}
    if isinstance(value, list) and value and all(isinstance(each, tuple) for each in value):
        return {str(key): _json(each) for key, each in value}  # a MAP
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    return str(value)

"""The views over the log, as SQL.

Files of one schema are read together. Where versions disagree about a column's type beyond what SQL joins by itself
(numbers with numbers), the column is text: one odd version must not take the whole log away from a query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from headrace_monitor.record.log.files import FORMER_COLUMNS

# What every row of the log has, also while there is none.
BASE = {
    "prediction_id": "VARCHAR",
    "row": "INTEGER",
    "rows": "INTEGER",
    "answer_time": "TIMESTAMPTZ",
    "model": "VARCHAR",
    "version": "VARCHAR",
    "digest": "VARCHAR",
    "variant": "VARCHAR",
    "generation": "BIGINT",
    "rule": "VARCHAR",
    "served_from": "VARCHAR",
    "fallback_step": "VARCHAR",
    "request_id": "VARCHAR",
    "unit": "VARCHAR",
    "entity_id": "VARCHAR",
    "attributes": "MAP(VARCHAR, VARCHAR)",
    "probability": "DOUBLE",
    "total_us": "BIGINT",
    "queue_us": "BIGINT",
    "compute_us": "BIGINT",
    "age_ms": "BIGINT",
    "data_plane": "VARCHAR",
    "process": "VARCHAR",
    "sequence": "BIGINT",
    "prediction_label": "VARCHAR",
    "prediction_value": "DOUBLE",
    "prediction_score": "DOUBLE",
}
OUTCOMES = {
    "prediction_id": "VARCHAR",
    "row": "INTEGER",
    "model": "VARCHAR",
    "kind": "VARCHAR",
    "number": "DOUBLE",
    "text": "VARCHAR",
    "observe_time": "TIMESTAMPTZ",
    "record_time": "TIMESTAMPTZ",
}

# What rows have besides that a version computed as a step of a pipeline.
STEP = {"pipeline": "VARCHAR", "step": "VARCHAR"}

# Name of a column → its type, as `number`, `text`, or anything else that only goes with itself.
Schema = tuple[tuple[str, str], ...]

LABELLED = """select predictions.*, outcomes.kind as outcome_kind, outcomes.number as outcome_number,
    outcomes.text as outcome_text, outcomes.observe_time as outcome_time
from predictions join outcomes on outcomes.model = predictions.model
    and outcomes.prediction_id = predictions.prediction_id and outcomes.row = predictions.row"""


def of_log(files: Mapping[Schema, Sequence[str]], start: datetime | None, end: datetime | None) -> tuple[str, str]:
    """Return the SELECTs of `predictions` and `pipeline_steps` over files by their schema; only rows from `start` on
    and before `end`.
    """
    odd = _odd(files)
    parts = [_empty(BASE | STEP)]
    for schema, paths in files.items():
        replaced = ", ".join(f"cast({name(one)} as varchar) as {name(one)}" for one, _ in schema if one in odd)
        replace = f" replace ({replaced})" if replaced else ""
        former = [one for one, _ in schema if one in FORMER_COLUMNS]
        exclude = f" exclude ({', '.join(map(name, former))})" if former else ""
        renamed = "".join(f", {name(one)} as {name(FORMER_COLUMNS[one])}" for one in former)
        parts.append(f"select *{exclude}{replace}{renamed} from read_parquet([{', '.join(map(text, paths))}])")
    union = " union all by name ".join(parts)
    conditions = [
        f"answer_time {sign} timestamptz {text(bound.isoformat())}"
        for sign, bound in ((">=", start), ("<", end))
        if bound is not None
    ]
    asked, computed = (" and ".join([f"pipeline is {what}", *conditions]) for what in ("null", "not null"))
    return (
        f"select * exclude ({', '.join(STEP)}) from ({union}) where {asked}",
        f"select * from ({union}) where {computed}",
    )


def outcomes(path: str | None) -> str:
    """Return the SELECT of the view `outcomes` over a file of `exporting`; empty without one."""
    if path is None:
        return _empty(OUTCOMES)
    columns = ", ".join(f"{text(one)}: {text(type_)}" for one, type_ in OUTCOMES.items())
    options = "header = false, auto_detect = false, delim = ',', nullstr = '', allow_quoted_nulls = false"
    return (
        "select * replace (decode(unhex(text)) as text) "
        f"from read_csv({text(path)}, {options}, columns = {{{columns}}})"
    )


def name(identifier: str) -> str:
    """Return a quoted identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a quoted text."""
    return "'" + value.replace("'", "''") + "'"


def _odd(schemas: Mapping[Schema, Sequence[str]]) -> set[str]:
    """Return the columns whose types differ between schemas beyond what SQL joins."""
    seen: dict[str, set[str]] = {}
    for schema in schemas:
        for column, kind in schema:
            seen.setdefault(column, set()).add(kind)
    return {column for column, kinds in seen.items() if len(kinds) > 1}


def _empty(columns: Mapping[str, str]) -> str:
    return "select " + ", ".join(f"null::{type_} as {name(one)}" for one, type_ in columns.items()) + " where false"

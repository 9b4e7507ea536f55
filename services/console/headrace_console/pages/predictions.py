"""One prediction: how its answer came about, where the time went, and what became of it."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from headrace_client.errors import HeadraceError, InvalidArgument, NotFound
from headrace_client.operations.explanations import Explanation
from starlette.responses import Response

from headrace_console.pages.spans import time_of
from headrace_console.pages.visits import READ_S, Part, Visit, signed_in

_QUERY_S = 15.0
_ROWS = 50
# Why a step of a pipeline was not asked whose outputs were kept: nothing went wrong.
_KEPT = "CACHED"
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_COLUMNS = (
    "prediction_id, answer_time, model, version, variant, served_from, unit, entity_id, total_us, prediction_label, "
    "prediction_value"
)


@signed_in
async def predictions(visit: Visit) -> Response:
    """Find predictions by id, or by user or entity, model, version and time."""
    wanted, model, version = (visit.query.get(name, "").strip() for name in ("id", "model", "version"))
    start, end = (time_of(visit.query.get(name, "")) for name in ("start", "end"))
    context: dict[str, Any] = {
        "wanted": wanted,
        "model": model,
        "version": version,
        "start": start,
        "end": end,
        "explained": None,
        "rows": None,
        "outcomes": None,
    }
    command = f"headrace explain {wanted}" if is_id(wanted) else "headrace explain --help"
    if is_id(wanted):
        context["explained"], (context["rows"], context["outcomes"]) = await asyncio.gather(
            _explained(visit, wanted), _logged(visit, wanted, model)
        )
    elif wanted or model or version or start or end:
        sql = search_sql(wanted, model, version)
        context["rows"] = await _asked(visit, sql, start, end)
        bounds = (
            f" {option} {time:%Y-%m-%dT%H:%M:%SZ}" for option, time in (("--since", start), ("--until", end)) if time
        )
        command = f"headrace monitor query {shlex.quote(sql)}{''.join(bounds)}"
    explained = context["explained"]
    spans = waterfall_of(explained.value) if explained is not None and explained.value is not None else ([], 0.0)
    return visit.page(
        "predictions.html",
        "Predictions",
        command,
        spans=spans[0],
        total_ms=spans[1],
        labelled=model or model_of(explained, context["rows"]),
        **context,
    )


def model_of(explained: Part[Explanation] | None, rows: Part[list[dict[str, Any]]] | None) -> str:
    """Return the model of a prediction from its explanation or the log; empty if neither has it."""
    if explained is not None and explained.value is not None:
        return explained.value.model
    return str(rows.value[0]["model"]) if rows is not None and rows.value else ""


async def _explained(visit: Visit, wanted: str) -> Part[Explanation]:
    try:
        return await visit.part("front door", visit.client.explain(wanted, timeout=READ_S))
    except NotFound as error:
        return Part(problem=f"{error.message}. Answers are explained for an hour where that was asked for.")


async def _logged(visit: Visit, wanted: str, model: str) -> tuple[Part[list[dict[str, Any]]], ...]:
    """Return the rows of a prediction and its outcomes, one after the other: few queries may run at a time."""
    rows = await _asked(visit, _sql([f"prediction_id = {quoted(wanted)}", *_of_model(model)]))
    outcomes = f"SELECT * FROM outcomes WHERE prediction_id = {quoted(wanted)} LIMIT 20"
    return rows, await _asked(visit, outcomes)


async def _asked(
    visit: Visit, sql: str, start: datetime | None = None, end: datetime | None = None
) -> Part[list[dict[str, Any]]]:
    async def rows() -> list[dict[str, Any]]:
        answer = await visit.client.monitor.query(sql, start=start, end=end, max_rows=_ROWS, timeout=_QUERY_S)
        return answer.table().to_pylist() if answer.arrow else []

    try:
        return await visit.part("monitor", rows())
    except (NotFound, InvalidArgument) as error:
        return Part(problem=_sentence(error))
    except (OSError, ValueError) as error:
        return Part(problem=f"The monitor's answer cannot be read: {error}.")


def _sentence(error: HeadraceError) -> str:
    return f"The monitor finds nothing: {error.message}."


def search_sql(wanted: str, model: str, version: str) -> str:
    """Return the query for the latest predictions. wanted: a user or an entity; each is empty for all of them."""
    either = [f"(entity_id = {quoted(wanted)} OR unit = {quoted(wanted)})"] if wanted else []
    return _sql([*either, *_of_model(model), *([f"version = {quoted(version)}"] if version else [])])


def _of_model(model: str) -> list[str]:
    return [f"model = {quoted(model)}"] if model else []


def _sql(conditions: Sequence[str]) -> str:
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    return f"SELECT {_COLUMNS} FROM predictions {where}ORDER BY answer_time DESC LIMIT {_ROWS}"


def quoted(text: str) -> str:
    """Return a text as a literal of SQL.

    >>> quoted("o'hara")
    "'o''hara'"
    """
    return "'" + text.replace("\0", "").replace("'", "''") + "'"


def is_id(text: str) -> bool:
    """Return whether a text is the id of a prediction."""
    return _ID.fullmatch(text) is not None


def waterfall_of(explanation: Explanation) -> tuple[list[tuple[str, float, float, str]], float]:
    """Return the spans of a prediction, as name, begin, duration and colour, and the total; times in milliseconds."""
    total = explanation.total.total_seconds() * 1000
    spans = [("route", 0.0, explanation.route.total_seconds() * 1000, "two")]
    for attempt in explanation.attempts:
        begin, took = attempt.begin.total_seconds() * 1000, attempt.took.total_seconds() * 1000
        queue, compute = attempt.queue.total_seconds() * 1000, attempt.compute.total_seconds() * 1000
        spans.append(
            (
                f"{attempt.pipeline_step or attempt.step} {attempt.version}".strip(),
                begin,
                took,
                "bad" if attempt.reason and attempt.reason != _KEPT else "",
            )
        )
        if queue:
            spans.append(("wait in the queue", begin, queue, "wait"))
        if compute:
            spans.append(("compute", begin + queue, compute, "good"))
    return spans, max(total, *(begin + length for _, begin, length, _ in spans))

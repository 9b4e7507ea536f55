"""Predictions on the terminal, and as documents."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace_client.cli.output import Output, shown
from headrace_client.operations.prediction import Prediction
from headrace_client.rows import to_json_value

_ROWS_SHOWN = 20


def document(answer: Prediction) -> dict[str, Any]:
    return {
        "model": answer.model,
        "version": answer.version,
        "variant": answer.variant,
        "rule": answer.rule,
        "served_from": str(answer.served_from),
        "age_ms": round(answer.age.total_seconds() * 1e3),
        "fallback_step": answer.fallback_step,
        "degraded_reason": answer.degraded_reason,
        "missing_steps": list(answer.missing_steps),
        "generation": answer.generation,
        "prediction_id": answer.prediction_id,
        "request_id": answer.request_id,
        "outputs": {name: to_json_value(array) for name, array in answer.outputs.items()},
    }


def show_prediction(output: Output, answer: Prediction) -> None:
    names = list(answer.outputs)
    rows = min(len(array) for array in answer.outputs.values()) if names else 0
    output.table(
        ("row", *names),
        [(str(row), *(_cell(answer.outputs[name][row]) for name in names)) for row in range(min(rows, _ROWS_SHOWN))],
    )
    if rows > _ROWS_SHOWN:
        output.note(f"[dim]{rows - _ROWS_SHOWN} more rows: --json prints all[/]")
    variant = f", variant {answer.variant}" if answer.variant else ""
    variant += f" by rule {answer.rule}" if answer.rule else ""
    version = f"version [bold]{answer.version}[/]" if answer.version else "values that the route gives"
    output.say(
        f"{version}{variant}, served from {answer.served_from}, "
        f"generation {answer.generation}, prediction {answer.prediction_id}"
    )
    if answer.missing_steps:
        output.say(f"[yellow]degraded[/]: without {shown(', '.join(answer.missing_steps))}")
    elif answer.degraded:
        output.say(f"[yellow]degraded[/]: {shown(answer.degraded_reason)}, answered by {shown(answer.fallback_step)}")


def show_timing(output: Output, answer: Prediction) -> None:
    """Say where the time went, in the order in which it went there."""
    parts = dict(answer.timing_ms)
    total_ms = parts.pop("total", None)
    if total_ms is None:
        output.note("[yellow]no timing[/]: the data plane did not say where the time went")
        return
    output.say(f"{total_ms:.3f} ms: {', '.join(f'{shown(name)} {ms:.3f}' for name, ms in parts.items())}")


def _cell(value: Any) -> str:
    array = np.asarray(value)
    if array.dtype.kind in "OS":
        array = np.asarray(to_json_value(array))  # text as it was written, not as Python writes bytes
    text = np.array2string(array, precision=4, threshold=16, max_line_width=10_000, suppress_small=True)
    return shown(text)


class StreamedParts:
    """Parts of a stream, each shown as it comes; as one document at the end where that is asked for."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._documents: list[dict[str, Any]] = []
        self._parts = 0
        self._rows: dict[int, int] = {}

    def received(self, first_row: int, answer: Prediction) -> None:
        """Show one part."""
        rows = min((len(array) for array in answer.outputs.values()), default=0)
        self._parts, self._rows[first_row] = self._parts + 1, rows
        if self._output.as_json:
            part = {} if answer.part is None else {"part": answer.part}
            self._documents.append({"first_row": first_row, **part, **document(answer)})
            return
        which = "" if answer.part is None else f", part {answer.part}"
        self._output.say(f"[bold]rows {first_row} to {first_row + rows - 1}{which}[/]")
        show_prediction(self._output, answer)

    def end(self) -> None:
        """Say that this was all."""
        if self._output.as_json:
            self._output.document(
                {"parts": sorted(self._documents, key=lambda part: (part["first_row"], part.get("part", 0)))}
            )
        else:
            self._output.say(f"{sum(self._rows.values())} rows in {self._parts} parts")

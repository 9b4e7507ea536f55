"""`headrace predict`: one call, from JSON rows or numpy files."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
from headrace.tensor.v1 import tensor_pb2

from headrace_client.cli.explain import show
from headrace_client.cli.options import connected, model_argument
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.cli.values import Duration, Pair
from headrace_client.client import Client
from headrace_client.errors import HeadraceError, InvalidArgument, invalid
from headrace_client.local_files import read_as, text_of
from headrace_client.operations.explanations import Explanation
from headrace_client.operations.prediction import Prediction
from headrace_client.rows import cast_to_contract, inputs_from_rows, single_input, to_json_value
from headrace_client.tensors import Input

_ROWS_SHOWN = 20


@click.command()
@model_argument
@click.option("--rows", help='Rows as JSON: [[…], …], or [{"input": …}, …] where there are several inputs.')
@click.option(
    "--input",
    "files",
    multiple=True,
    metavar="[NAME=]FILE",
    help=".npy or .npz array, or .json rows; repeat as NAME=FILE for several inputs.",
)
@click.option("--user", default="", help="User on whose behalf: keeps the variant.")
@click.option("--entity", default="", help="Entity that the prediction is about.")
@click.option("--attribute", "attributes", type=Pair(), multiple=True, help="Fact for routing rules; repeat for more.")
@click.option("--version", default="", help="Version that the route names, instead of the route's choice.")
@click.option("--output", "outputs", multiple=True, help="Output to return; default all.")
@click.option("--max-age", type=Duration(), help="Oldest answer to accept.")
@click.option("--timeout", type=Duration(), default=timedelta(seconds=10), show_default="10s", help="For everything.")
@click.option("--explain", is_flag=True, help="Show how the answer came about; `headrace explain` does for an hour.")
@click.option("--timing", is_flag=True, help="Show where the time went, inside Headrace.")
@click.option("--stream", is_flag=True, help="For many rows: show parts of 256 as they are answered.")
@connected
def predict(
    client: Client,
    output: Output,
    model: str,
    rows: str | None,
    files: tuple[str, ...],
    user: str,
    entity: str,
    attributes: tuple[tuple[str, str], ...],
    version: str,
    outputs: tuple[str, ...],
    max_age: timedelta | None,
    timeout: timedelta,
    explain: bool,
    timing: bool,
    stream: bool,
) -> None:
    """Run MODEL on one or more rows and say which version answered, and from where.

    Values take the datatypes of the serving contract, which is read from the data plane. A route that only gives
    precomputed answers needs the entity alone.

    \b
    Examples:
      headrace predict digits --rows "[[0, 0, 5, 13]]" --user ada
      headrace predict digits --input images.npy --json
      headrace predict digits --input many.npy --stream --timeout 60s
      headrace predict digits --rows "[[0, 0, 5, 13]]" --explain --timing
      headrace predict digits --entity item-7
      headrace predict recommender --input user_features=users.npy --input item_features=items.npy
    """
    if rows is not None and files:
        raise click.UsageError("give --rows or --input")
    if rows is None and not files and not entity:
        raise click.UsageError("give --rows or --input; --entity alone is enough where answers are precomputed")
    if stream and (explain or timing or (rows is None and not files)):
        raise click.UsageError("--stream takes rows, and neither --explain nor --timing: see `headrace explain`")
    inputs = _inputs(client, model, version, rows, files)
    how: dict[str, Any] = {
        "user_id": user,
        "entity_id": entity,
        "attributes": dict(attributes),
        "version": version,
        "outputs": outputs,
        "max_age": max_age,
        "timeout": timeout.total_seconds(),
    }
    if stream:
        assert inputs is not None
        parts = StreamedParts(output)
        client.predict_stream(model, inputs, parts.received, **how)
        parts.end()
        return
    try:
        answer = client.predict(model, inputs, explain=explain, timing=timing, **how)
    except InvalidArgument as error:
        if inputs is None:
            error.message += f"; an entity alone takes `headrace routes lookup {model} --mode batch`"
        raise
    explanation = _explanation(client, output, answer) if explain else None
    if output.as_json:
        timed = {"timing_ms": dict(answer.timing_ms)} if timing else {}
        output.document(
            _document(answer)
            | timed
            | ({"explanation": message_json(explanation.message)} if explanation is not None else {})
        )
        return
    _show_prediction(output, answer)
    if timing:
        _show_timing(output, answer)
    if explanation is not None:
        output.say("")
        show(output, explanation)


def _explanation(client: Client, output: Output, answer: Prediction) -> Explanation | None:
    """Return the explanation, or None with a remark: the answer is worth more than how it came about."""
    try:
        return client.explain(answer.prediction_id)
    except HeadraceError as error:
        output.note(f"[yellow]no explanation[/]: {shown(str(error))}")
        return None


def _inputs(
    client: Client, model: str, version: str, rows: str | None, files: tuple[str, ...]
) -> dict[str, Input] | None:
    """Return the inputs as typed; None when none are given."""
    if rows is None and not files:
        return None
    contract = client.contract(model, version)
    return inputs_from_rows(_parse(rows, "rows"), contract) if rows is not None else _read(files, contract)


def _read(files: tuple[str, ...], contract: tensor_pb2.ServingContract) -> dict[str, Input]:
    inputs: dict[str, Input] = {}
    for item in files:
        name, equals, text = item.partition("=")
        path = Path(text if equals else item)
        with read_as("one of .npy, .npz and JSON, as its name says", path, f"input.{path.name}"):
            content = _load(path)
            content = np.asarray(content) if equals else content
        match content:
            case np.ndarray():
                key = name if equals else single_input(contract).name
                inputs[key] = cast_to_contract(key, content, contract)
            case _Arrays() if not content:
                raise invalid(f"input.{path.name}", f"{path} holds no arrays")
            case _Arrays():
                inputs |= {key: cast_to_contract(key, array, contract) for key, array in content.items()}
            case list() if content:
                inputs |= inputs_from_rows(content, contract)
            case _:
                raise invalid(f"input.{path.name}", f"{path} holds no list of rows, such as [[0, 1, 2]]")
    return inputs


class _Arrays(dict[str, np.ndarray]):
    """Arrays by the name of their input."""


def _load(path: Path) -> Any:
    """Return an array or arrays by name (.npy and .npz, whichever it is), or what the JSON says."""
    if path.suffix not in (".npy", ".npz"):
        return json.loads(text_of(path, path.name, "JSON"))
    with path.open("rb") as file:
        found = np.load(file, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else _Arrays(found)


def _parse(text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise invalid(field, f"is no JSON: {error}") from error


def _document(answer: Prediction) -> dict[str, Any]:
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


def _show_prediction(output: Output, answer: Prediction) -> None:
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


def _show_timing(output: Output, answer: Prediction) -> None:
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
            self._documents.append({"first_row": first_row, **part, **_document(answer)})
            return
        which = "" if answer.part is None else f", part {answer.part}"
        self._output.say(f"[bold]rows {first_row} to {first_row + rows - 1}{which}[/]")
        _show_prediction(self._output, answer)

    def end(self) -> None:
        """Say that this was all."""
        if self._output.as_json:
            self._output.document(
                {"parts": sorted(self._documents, key=lambda part: (part["first_row"], part.get("part", 0)))}
            )
        else:
            self._output.say(f"{sum(self._rows.values())} rows in {self._parts} parts")

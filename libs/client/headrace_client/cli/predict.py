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
from headrace_client.cli.prediction_views import StreamedParts, document, show_prediction, show_timing
from headrace_client.cli.values import Duration, Pair
from headrace_client.client import Client
from headrace_client.errors import HeadraceError, InvalidArgument, invalid
from headrace_client.local_files import read_as, text_of
from headrace_client.operations.explanations import Explanation
from headrace_client.operations.prediction import Prediction
from headrace_client.rows import cast_to_contract, inputs_from_rows, single_input
from headrace_client.tensors import Input


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
    told = _explanation(client, output, answer) if explain else None
    if output.as_json:
        timed = {"timing_ms": dict(answer.timing_ms)} if timing else {}
        output.document(
            document(answer) | timed | ({"explanation": message_json(told.message)} if told is not None else {})
        )
        return
    show_prediction(output, answer)
    if timing:
        show_timing(output, answer)
    if told is not None:
        output.say("")
        show(output, told)


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

"""`headrace models serve`: a newcomer's file, from registration to its first answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2

from headrace_client.cli.options import accept_difference_option, connected
from headrace_client.cli.output import Output, last, shown
from headrace_client.cli.promotion import exit_unless_served
from headrace_client.cli.sources import (
    Conversion,
    Source,
    contract_in,
    contract_option,
    conversion_options,
    source_of,
    with_tensors,
)
from headrace_client.cli.values import FilePair, NumberPair
from headrace_client.cli.views import show_version
from headrace_client.client import Client
from headrace_client.errors import HeadraceError, NotFound
from headrace_client.operations.missing_values import VALIDATION_FILE
from headrace_client.operations.registration import Lineage
from headrace_client.rows import inputs_from_rows, to_json_value
from headrace_client.served_shares import served_share
from headrace_client.tensors import NUMPY_TYPES

_SERVE_TIMEOUT_S = 120.0
# Rows whose served answers are compared with the expected ones; the registry and batchers compare all.
_COMPARED_ROWS = 16


@click.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--name", default="", help="Of the model; default that of the file.")
@click.option(
    "--artifact", "artifacts", type=FilePair(), multiple=True, help="A further file (.json, .parquet; .py of code)."
)
@click.option("--metric", "metrics", type=NumberPair(), multiple=True, help="A measured quality; repeat for more.")
@click.option("--allow-nan", metavar="INPUT", multiple=True, help="An input that may hold NaN; repeat.")
@click.option("--label", "labels", multiple=True, help="Name of a class, in the order of the scores; repeat.")
@contract_option("names, datatypes and shapes come from the model file")
@conversion_options
@accept_difference_option
@connected
def serve(
    client: Client,
    output: Output,
    file: Path,
    name: str,
    artifacts: tuple[tuple[str, Path], ...],
    metrics: tuple[tuple[str, float], ...],
    allow_nan: tuple[str, ...],
    labels: tuple[str, ...],
    contract: Path | None,
    conversion: Conversion,
    accept_difference: bool,
) -> None:
    """Register FILE as the next version of a model, put it into production, and ask it for an answer.

    FILE, or a folder, is what `headrace models register` takes. A model that has nothing in production yet gets no
    gates, so that its first version needs no metrics: headrace models gates sets some. What the newest version has
    already is not registered again.

    \b
    Examples:
      headrace models serve model.onnx
      headrace models serve model.ubj --name tumour
      headrace models serve mlruns/churn --trust
      headrace models serve churn.pkl --trust --artifact validation.json=rows.csv
      headrace models serve city.cbm --as-code --artifact validation.json=rows.csv
    """
    model = name or re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-") or "model"
    newest, production = _newest(client, model)
    stated = tensor_pb2.ServingContract() if contract is None else contract_in(contract)
    if labels:
        del stated.labels[:]
        stated.labels.extend(labels)
    with (
        source_of(output, file, dict(artifacts), conversion, stated=contract is not None) as source,
        output.uploading() as progress,
    ):
        register = partial(
            client.versions.register,
            model,
            file=source.file,
            contract=with_tensors(stated, source),
            allow_nan=allow_nan,
            metrics=dict(metrics),
            artifacts=source.artifacts,
            parameters=source.parameters,
            lineage=Lineage(run=source.run),
            kept_as=source.kept_as,
            accept_difference=accept_difference,
            progress=progress,
        )
        registered = _registered(register, newest)
        version = last(registered.name)
        row, expected = _row(registered.contract, source), _expected(source)
    if not production:
        client.models.set_gates(model, (), reason="served by its file, without metrics")
    promoted = client.models.promote(model, version, reason=f"headrace models serve {file.name}")
    with output.waiting(f"waiting until {model} {version} serves"):
        client.routes.await_epoch(model, promoted.model.epoch, timeout=_SERVE_TIMEOUT_S)
    route = client.routes.get(model).route
    found = served_share(route, version)
    if found.falls_short:
        if output.as_json:
            output.document({"model": model, "version": version, "serving": False, "share": found.share})
        exit_unless_served(output, route, found, "in production")
    answer = client.predict(model, inputs_from_rows([row], registered.contract))
    outputs = {one: to_json_value(values) for one, values in answer.outputs.items()}
    compared = _compared(client, model, registered.contract, *expected)
    typed = f"headrace predict {model} --rows '{json.dumps([row])}'"
    if output.as_json:
        output.document(
            {
                "model": model,
                "version": version,
                "serving": True,
                "share": found.share,
                "outputs": outputs,
                "compared": compared,
                "again": typed,
            }
        )
        return
    show_version(output, registered)
    output.say(
        f"[green]serving[/] {model} {version} {shown(str(found))}; its first answer: {shown(json.dumps(outputs))}"
    )
    if compared:
        output.say(
            f"answers to {compared['rows']} rows differ from the expected by at most {compared['difference']:.2g}"
        )
    output.note(f"[dim]again:[/] {shown(typed)}")


def _registered(register: Callable[..., registry_pb2.ModelVersion], newest: int) -> registry_pb2.ModelVersion:
    """Return the newest version where it has the same content, else a new one. newest: its number, 0 for none."""
    if newest:
        try:
            return register(version=f"v{newest}")
        except HeadraceError as error:
            if error.reason not in ("VERSION_EXISTS", "VERSION_COLLECTED"):
                raise
    return register(version=f"v{newest + 1}")


def _newest(client: Client, model: str) -> tuple[int, str]:
    """Return the number of the newest version of a model, and the version in production; 0 and empty for none."""
    try:
        found, versions = client.models.get(model), client.versions.list(model)
    except NotFound:
        return 0, ""
    numbers = [int(said[1]) for one in versions if (said := re.fullmatch(r"v(\d+)", last(one.name)))]
    return max(numbers, default=0), found.production_version


def _row(contract: tensor_pb2.ServingContract, source: Source) -> dict[str, Any]:
    """Return a row to ask for: the first that the framework answered, or the contract's example, or zeros."""
    validation = source.artifacts.get(VALIDATION_FILE)
    if validation is not None and (inputs := json.loads(validation.read_bytes())["inputs"]):
        return {name: rows[0] for name, rows in inputs.items()}
    given = contract.example.inputs or [None] * len(contract.inputs)
    return {spec.name: _value(spec, data) for spec, data in zip(contract.inputs, given, strict=True)}


def _expected(source: Source) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the first rows that an answer is expected for, and the expected outputs."""
    if VALIDATION_FILE not in source.artifacts:
        return [], {}
    content = json.loads(source.artifacts[VALIDATION_FILE].read_bytes())
    inputs, outputs = content["inputs"], content.get("outputs") or {}
    columns = [rows[:_COMPARED_ROWS] for rows in inputs.values()]
    rows = [dict(zip(inputs, row, strict=True)) for row in zip(*columns, strict=True)] if outputs else []
    return rows, {name: values[: len(rows)] for name, values in outputs.items()}


def _compared(
    client: Client,
    model: str,
    contract: tensor_pb2.ServingContract,
    rows: list[dict[str, Any]],
    expected: dict[str, Any],
) -> dict[str, Any]:
    """Return how far served answers are from the expected ones: 1 where a text is another; nothing without these."""
    largest = 0.0
    for place, row in enumerate(rows):
        found = client.predict(model, inputs_from_rows([row], contract)).outputs
        for name, values in expected.items():
            largest = max(largest, _distance(found[name], values[place]))
    return {"rows": len(rows), "difference": largest} if rows else {}


def _distance(found: Any, expected: Any) -> float:
    got = np.asarray(to_json_value(found)).ravel()
    wanted = np.asarray(expected).ravel()
    if wanted.dtype.kind == "U":
        return float((wanted != got).any())
    apart = np.abs(wanted.astype(float) - got.astype(float))
    return float(np.nan_to_num(apart).max(initial=0.0))  # NaN where both are


def _value(spec: tensor_pb2.TensorSpec, data: bytes | None) -> Any:
    """Return one row of an input as JSON has it, from raw bytes, or of zeros and empty texts."""
    shape = [max(1, size) for size in spec.shape]
    if spec.datatype == "BYTES":
        texts, at = [], 0
        for _ in range(int(np.prod(shape))):
            end = at + 4 + (0 if data is None else int.from_bytes(data[at : at + 4], "little"))
            texts.append("" if data is None else data[at + 4 : end].decode())
            at = end
        return np.array(texts, dtype=object).reshape(shape).tolist()
    dtype = NUMPY_TYPES[spec.datatype]
    return (np.zeros(shape, dtype) if data is None else np.frombuffer(data, dtype).reshape(shape)).tolist()

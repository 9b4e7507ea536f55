"""The serving contract: its rules and its hashes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from headrace_runtime.pipelines.graph import Pipeline
from headrace_servicekit.errors import FieldViolation

from headrace_registry.decisions.files import Artifact
from headrace_registry.decisions.models import (
    BatchDimension,
    Composition,
    Contract,
    Format,
    Task,
    TensorSpec,
    VersionRef,
)

FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})
INTEGERS = frozenset({"UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"})
DATATYPES = FLOATS | INTEGERS | {"BOOL", "BYTES"}

MAX_TENSORS = 64
MAX_DIMENSIONS = 8
MAX_DIMENSION = 2**31 - 1
MAX_NAMES = 100_000
MAX_NAME_CHARS = 256
_SHOWN_NAMES = 16

ANY = -1


def signature_hash(contract: Contract) -> str:
    """Return SHA-256 over names, datatypes and shapes, whatever the order of the tensors.

    Nothing that answers once can stand in for what answers in parts, so that is a part of it.
    """
    parts = ["decoupled"] if contract.decoupled else []
    return _sha256([_signature(contract.inputs), _signature(contract.outputs), *parts])


def digest(
    ref: VersionRef,
    contract: Contract,
    artifacts: Iterable[Artifact],
    kept_as: Format = Format.ONNX,
    composition: Composition | None = None,
) -> str:
    """Return the identity of what is served: SHA-256 over name, contract, artifacts, a format other than ONNX, and the
    steps and members of a pipeline."""
    files = sorted((artifact.name, artifact.type.value, artifact.sha256) for artifact in artifacts)
    # Versions of releases before formats keep their digest.
    formats = [] if kept_as is Format.ONNX else [kept_as.value]
    made_of = [] if composition is None else [_steps(composition.pipeline), dict(composition.digests)]
    return _sha256([ref.model, ref.version, _document(contract), files, *formats, *made_of])


def _steps(pipeline: Pipeline) -> dict[str, Any]:
    document = asdict(pipeline)
    for step in document["steps"]:
        if step["cache_ms"] is None:  # pipelines of releases before it keep their digest
            del step["cache_ms"]
    return document


def violations(contract: Contract, field: str) -> list[FieldViolation]:
    """Return what is wrong with a contract in itself, fields named below `field`."""
    found = []
    for side, specs in (("inputs", contract.inputs), ("outputs", contract.outputs)):
        place = f"{field}.{side}"
        if not specs:
            found.append(FieldViolation(place, "is empty"))
        elif len(specs) > MAX_TENSORS:
            found.append(FieldViolation(place, f"{len(specs)} tensors; at most {MAX_TENSORS}"))
        for index, spec in enumerate(specs[:MAX_TENSORS]):
            found += _spec_violations(spec, f"{place}[{index}]")
            if spec.name in {earlier.name for earlier in specs[:index]}:
                found.append(FieldViolation(f"{place}[{index}].name", f"'{spec.name}' appears twice"))
    if contract.inputs and all(spec.optional for spec in contract.inputs):
        found.append(FieldViolation(f"{field}.inputs", "all inputs are optional: one must say how many rows there are"))
    for index, spec in enumerate(contract.outputs[:MAX_TENSORS]):
        if spec.optional:
            found.append(FieldViolation(f"{field}.outputs[{index}].optional", "only inputs can be optional"))
    found += _prediction_violations(contract, field)
    return found


def is_stated(contract: Contract) -> bool:
    """Return whether a contract states its tensors by itself."""
    specs = (*contract.inputs, *contract.outputs)
    return bool(specs) and all(spec.datatype for spec in specs)


def with_details(declared: Contract, own: Contract) -> Contract:
    """Return what is declared, with the tensors of the version itself and what is declared beside their names."""
    inputs, outputs = _with_details(own.inputs, declared.inputs), _with_details(own.outputs, declared.outputs)
    return replace(declared, inputs=inputs, outputs=outputs)


def _with_details(own: Sequence[TensorSpec], declared: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Return the tensors of a file with what is declared of them; a name that the file does not have stays."""
    by_name, known = {spec.name: spec for spec in declared}, {spec.name for spec in own}
    merged = [_merged(spec, by_name[spec.name]) if spec.name in by_name else spec for spec in own]
    # That the file does not have it is all there is to say of it.
    return (*merged, *(TensorSpec(spec.name, spec.datatype or "BYTES") for spec in declared if spec.name not in known))


def _merged(own: TensorSpec, declared: TensorSpec) -> TensorSpec:
    if declared.datatype:
        return declared
    shape = declared.shape or own.shape
    return replace(declared, datatype=own.datatype, shape=shape, optional=declared.optional or own.optional)


def _spec_violations(spec: TensorSpec, place: str) -> list[FieldViolation]:
    found = []
    problem = name_problem(spec.name)
    if problem is not None:
        found.append(FieldViolation(f"{place}.name", problem))
    if spec.datatype not in DATATYPES:
        found.append(
            FieldViolation(f"{place}.datatype", f"{spec.datatype[:40]!r} is not one of {', '.join(sorted(DATATYPES))}")
        )
    if len(spec.shape) > MAX_DIMENSIONS:
        found.append(FieldViolation(f"{place}.shape", f"{len(spec.shape)} dimensions; at most {MAX_DIMENSIONS}"))
    for index, size in enumerate(spec.shape[:MAX_DIMENSIONS]):
        if size != ANY and not 1 <= size <= MAX_DIMENSION:
            found.append(
                FieldViolation(f"{place}.shape[{index}]", f"{size} is neither -1 nor between 1 and {MAX_DIMENSION}")
            )
    if spec.nan_allowed and spec.datatype in DATATYPES - FLOATS:
        found.append(FieldViolation(f"{place}.nan_allowed", f"{spec.datatype} has no NaN"))
    return found + _column_violations(spec, place) + _range_violations(spec, place)


def _column_violations(spec: TensorSpec, place: str) -> list[FieldViolation]:
    # What too many dimensions make together may be a number of any length.
    if not spec.columns or len(spec.shape) > MAX_DIMENSIONS:
        return []
    field = f"{place}.columns"
    if ANY in spec.shape:
        return [FieldViolation(field, "a row of varying shape has no columns to name")]
    values = math.prod(spec.shape)
    if len(spec.columns) != values:
        return [FieldViolation(field, f"{len(spec.columns)} names for {values} values per row")]
    return names_violations(spec.columns, field)


def _range_violations(spec: TensorSpec, place: str) -> list[FieldViolation]:
    found = [
        FieldViolation(f"{place}.{name}", f"{value} is not finite")
        for name, value in (("minimum", spec.minimum), ("maximum", spec.maximum))
        if value is not None and not math.isfinite(value)
    ]
    if not found and spec.minimum is not None and spec.maximum is not None and spec.minimum > spec.maximum:
        found.append(FieldViolation(f"{place}.minimum", f"{spec.minimum:.15g} is above the maximum"))
    return found


def _prediction_violations(contract: Contract, field: str) -> list[FieldViolation]:
    found = names_violations(contract.labels, f"{field}.labels")
    by_name = {spec.name: spec for spec in contract.outputs}
    if contract.prediction and contract.prediction not in by_name:
        message = f"'{contract.prediction[:100]}' is not an output; there are: {some_names(by_name)}"
        return [*found, FieldViolation(f"{field}.prediction", message)]
    if contract.task is Task.CLASSIFICATION and contract.labels and contract.outputs:
        output = by_name.get(contract.prediction, contract.outputs[0])
        scores = output.shape[0] if output.datatype in FLOATS and len(output.shape) == 1 else ANY
        # One score for two classes is the probability of the second.
        if scores not in (ANY, len(contract.labels)) and (scores, len(contract.labels)) != (1, 2):
            found.append(
                FieldViolation(
                    f"{field}.labels", f"{len(contract.labels)} labels for {scores} scores in '{output.name}'"
                )
            )
    return found


def some_names(names: Iterable[str]) -> str:
    """Return names for a person: not all of them, and of none all of it. A model file may have megabytes of names."""
    ordered = sorted(names)
    shown = [name[:100] for name in ordered[:_SHOWN_NAMES]]
    if len(ordered) > len(shown):
        shown.append(f"and {len(ordered) - len(shown)} more")
    return ", ".join(shown) or "none"


def names_violations(names: Sequence[str], field: str) -> list[FieldViolation]:
    """Return what is wrong with a list of names that must differ; only the first, as lists are long."""
    if len(names) > MAX_NAMES:
        return [FieldViolation(field, f"{len(names)} names; at most {MAX_NAMES}")]
    seen: set[str] = set()
    for index, name in enumerate(names):
        problem = name_problem(name) or ("appears twice" if name in seen else None)
        if problem is not None:
            return [FieldViolation(f"{field}[{index}]", problem)]
        seen.add(name)
    return []


def name_problem(name: str) -> str | None:
    """Return why text cannot name a tensor, column or class; those are the model's own, so nearly everything goes."""
    if not name:
        return "is empty"
    if len(name) > MAX_NAME_CHARS:
        return f"is longer than {MAX_NAME_CHARS} characters"
    if not name.isprintable():
        return "has characters that cannot be printed"
    return None


def _document(contract: Contract) -> dict[str, object]:
    """Return a contract as it is hashed: what is as it always was is left out, so that hashes stay."""
    document = asdict(contract)
    del document["example"]  # says nothing of what is served
    if not contract.decoupled:
        del document["decoupled"]
    for spec in (*document["inputs"], *document["outputs"]):
        if spec["batch_dimension"] == BatchDimension.UNSPECIFIED:
            del spec["batch_dimension"]
    return document


def _signature(specs: Iterable[TensorSpec]) -> list[list[object]]:
    return [[spec.name, spec.datatype, list(spec.shape)] for spec in sorted(specs, key=lambda spec: spec.name)]


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

"""The serving contract: its rules, its hashes, and whether a model file keeps it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from headrace_runtime.pipelines.graph import Pipeline
from headrace_servicekit.errors import FieldViolation

from headrace_registry.decisions.files import Artifact, ModelFile, ModelPort, Trial
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


def mismatches(contract: Contract, file: ModelFile, field: str) -> list[FieldViolation]:
    """Return where a model file does not keep a contract, fields named below `field`.

    Every input that the file needs must be in the contract; outputs of the file may be left out of it.
    """
    found = []
    for side, specs, ports in (("inputs", contract.inputs, file.inputs), ("outputs", contract.outputs, file.outputs)):
        by_name = {port.name: port for port in ports}
        for index, spec in enumerate(specs):
            place, port = f"{field}.{side}[{index}]", by_name.get(spec.name)
            if port is None:
                message = f"the model has no '{spec.name[:MAX_NAME_CHARS]}'; it has: {_some(by_name)}"
                found.append(FieldViolation(f"{place}.name", message))
            else:
                found += _port_mismatches(spec, port, place)
    declared = {spec.name for spec in contract.inputs}
    for port in file.inputs:
        if port.required and port.name not in declared:
            found.append(
                FieldViolation(f"{field}.inputs", f"the model needs '{port.name}', which the contract leaves out")
            )
    return found


def of_file(file: ModelFile) -> Contract:
    """Return the contract that a model file states by itself; what cannot be served shows up as a mismatch."""
    return Contract(
        inputs=tuple(_spec_of(port) for port in file.inputs), outputs=tuple(_spec_of(port) for port in file.outputs)
    )


def stated(file: ModelFile) -> Contract | None:
    """Return the contract that a model file states by itself, None where it states none that can be served."""
    told = of_file(file)
    if gaps(file, "") or mismatches(told, file, "") or violations(told, ""):
        return None
    return with_batch_dimensions(told, file)


def of_version(declared: Contract, file: ModelFile) -> Contract:
    """Return what is declared of a version, with the tensors of its file unless it states them.

    A tensor without a datatype is that of the file by its name, with what is declared beside the name.
    """
    if is_stated(declared):
        return declared
    return with_details(declared, of_file(file))


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


def trial_applies(trial: Trial, contract: Contract, tried: Contract) -> bool:
    """Return whether what became of one contract says what becomes of another: the inputs are the same, and so are the
    outputs; of those that were answered some may be left out."""

    def tensors(specs: Iterable[TensorSpec]) -> set[tuple[str, str, tuple[int, ...]]]:
        return {(spec.name, spec.datatype, spec.shape) for spec in specs}

    outputs, answered = tensors(contract.outputs), tensors(tried.outputs)
    same = outputs == answered if trial.problem else outputs <= answered
    return same and tensors(contract.inputs) == tensors(tried.inputs)


def gaps(file: ModelFile, field: str) -> list[FieldViolation]:
    """Return what a model file does not say of itself, so that only a person can state the contract."""
    return [
        FieldViolation(f"{field}.{side}", f"the model does not tell the shape of '{port.name}': state the contract")
        for side, ports in (("inputs", file.inputs), ("outputs", file.outputs))
        for port in ports
        if port.shape is None and port.datatype
    ]


def with_batch_dimensions(contract: Contract, file: ModelFile) -> Contract:
    """Return a contract that a file keeps, with how the file declares the dimension for rows of each tensor."""

    def told(specs: Sequence[TensorSpec], ports: Sequence[ModelPort]) -> tuple[TensorSpec, ...]:
        shapes = {port.name: port.shape for port in ports}
        return tuple(
            replace(spec, batch_dimension=_batch_dimension(len(spec.shape), shapes.get(spec.name))) for spec in specs
        )

    return replace(contract, inputs=told(contract.inputs, file.inputs), outputs=told(contract.outputs, file.outputs))


def _batch_dimension(row_rank: int, shape: Sequence[int | None] | None) -> BatchDimension:
    """Return what the first dimension of a file's tensor is, from whether a row has as many dimensions as all of it."""
    if shape is None:
        return BatchDimension.UNSPECIFIED
    if row_rank == len(shape):
        return BatchDimension.NONE
    return BatchDimension.UNSPECIFIED if shape[0] is None else BatchDimension.ONE


def _spec_of(port: ModelPort) -> TensorSpec:
    """Return what a file states of a tensor: the first dimension is that of rows where it is free or 1."""
    whole = port.shape or ()
    row = whole[1:] if whole and whole[0] in (None, 1) else whole
    shape = tuple(ANY if size is None else size for size in row)
    return TensorSpec(port.name, port.datatype or "BYTES", shape, optional=not port.required)


def _port_mismatches(spec: TensorSpec, port: ModelPort, place: str) -> list[FieldViolation]:
    found = []
    if not port.datatype:
        found.append(FieldViolation(f"{place}.datatype", f"the model has {port.declared}, which cannot be served"))
    elif spec.datatype != port.datatype:
        found.append(FieldViolation(f"{place}.datatype", f"is {spec.datatype}; the model has {port.datatype}"))
    if spec.optional and port.required:
        found.append(FieldViolation(f"{place}.optional", "the model has no default for it"))
    if port.shape is not None:
        problem = _shape_problem(spec.shape, port.shape)
        if problem is not None:
            found.append(FieldViolation(f"{place}.shape", problem))
    return found


def _shape_problem(row: Sequence[int], shape: Sequence[int | None]) -> str | None:
    """Return why a row shape does not fit a file's shape; a contract may be narrower than the file.

    A row is what follows a first dimension that is free or 1, or all of the tensor.
    """
    batched = bool(shape) and shape[0] in (None, 1)
    if _fits(row, shape) or (batched and _fits(row, shape[1:])):
        return None
    whole = [ANY if size is None else size for size in shape]
    if batched:
        return f"is {list(row)} per row; the model has {whole[1:]}"
    return (
        f"is {list(row)} per row; the model's shape is {whole}, which has no dimension for rows: state {whole} as the "
        "shape of a row, which serves one row at a time, or export it with a free first dimension"
    )


def _fits(row: Sequence[int], shape: Sequence[int | None]) -> bool:
    return len(row) == len(shape) and all(
        mine == theirs if theirs is not None else True for mine, theirs in zip(row, shape, strict=True)
    )


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
        message = f"'{contract.prediction[:100]}' is not an output; there are: {_some(by_name)}"
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


def _some(names: Iterable[str]) -> str:
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

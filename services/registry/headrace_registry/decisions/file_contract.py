"""Whether a model file keeps a serving contract, and what of it the file states by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from headrace_servicekit.errors import FieldViolation

from headrace_registry.decisions.contract import ANY, MAX_NAME_CHARS, is_stated, some_names, violations, with_details
from headrace_registry.decisions.files import ModelFile, ModelPort, Trial
from headrace_registry.decisions.models import BatchDimension, Contract, TensorSpec


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
                message = f"the model has no '{spec.name[:MAX_NAME_CHARS]}'; it has: {some_names(by_name)}"
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
    made = of_file(file)
    if gaps(file, "") or mismatches(made, file, "") or violations(made, ""):
        return None
    return with_batch_dimensions(made, file)


def of_version(declared: Contract, file: ModelFile) -> Contract:
    """Return what is declared of a version, with the tensors of its file unless it states them.

    A tensor without a datatype is that of the file by its name, with what is declared beside the name.
    """
    if is_stated(declared):
        return declared
    return with_details(declared, of_file(file))


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

    def with_dimensions(specs: Sequence[TensorSpec], ports: Sequence[ModelPort]) -> tuple[TensorSpec, ...]:
        shapes = {port.name: port.shape for port in ports}
        return tuple(
            replace(spec, batch_dimension=_batch_dimension(len(spec.shape), shapes.get(spec.name))) for spec in specs
        )

    return replace(
        contract,
        inputs=with_dimensions(contract.inputs, file.inputs),
        outputs=with_dimensions(contract.outputs, file.outputs),
    )


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

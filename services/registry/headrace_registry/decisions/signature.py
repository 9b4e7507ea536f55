"""Whether a version may replace the one in production without breaking its callers."""

from __future__ import annotations

from collections.abc import Sequence

from headrace_servicekit.errors import FieldViolation, PreconditionFailed

from headrace_registry.decisions.contract import ANY
from headrace_registry.decisions.models import Contract, TensorSpec, Version


def breaks(version: Version, production: Version | None, *, allowed: bool) -> tuple[str, ...]:
    """Return how `version` breaks the signature of the version in production; nothing breaks where there is none.

    Raises PreconditionFailed, reason SIGNATURE_INCOMPATIBLE, with every break, unless they are allowed.
    """
    found = [] if production is None else incompatibilities(production.contract, version.contract)
    if found and production is not None and not allowed:
        raise PreconditionFailed(
            f"version '{version.ref.version}' of '{version.ref.model}' breaks the signature of "
            f"'{production.ref.version}', which is in production: "
            + "; ".join(f"{violation.field.removeprefix('signature.')} {violation.description}" for violation in found),
            reason="SIGNATURE_INCOMPATIBLE",
            violations=found,
        )
    return tuple(f"{violation.field.removeprefix('signature.')}: {violation.description}" for violation in found)


def incompatibilities(present: Contract, candidate: Contract) -> list[FieldViolation]:
    """Return where `candidate` refuses what callers of `present` may send, or does not answer what they may expect.

    Fields are named below `signature`. What callers need not send and need not read may be added.
    """
    return [*_input_breaks(present.inputs, candidate.inputs), *_output_breaks(present.outputs, candidate.outputs)]


def additions(present: Contract, candidate: Contract) -> tuple[str, ...]:
    """Return what `candidate` adds that callers of `present` need neither send nor read."""
    sent, read = {spec.name for spec in present.inputs}, {spec.name for spec in present.outputs}
    inputs = [spec.name for spec in candidate.inputs if spec.optional and spec.name not in sent]
    outputs = [spec.name for spec in candidate.outputs if spec.name not in read]
    return (
        *(f"inputs.{name}: new optional input" for name in inputs),
        *(f"outputs.{name}: new output" for name in outputs),
    )


def _input_breaks(present: Sequence[TensorSpec], candidate: Sequence[TensorSpec]) -> list[FieldViolation]:
    old, new = ({spec.name: spec for spec in specs} for specs in (present, candidate))
    found = []
    for name, before in old.items():
        field, after = f"signature.inputs.{name}", new.get(name)
        if after is None:
            found.append(FieldViolation(field, "input removed: requests that send it would be refused"))
            continue
        if after.datatype != before.datatype:
            found.append(FieldViolation(field, f"datatype changes from {before.datatype} to {after.datatype}"))
        if not _takes(after.shape, before.shape):
            change = f"row shape changes from {list(before.shape)} to {list(after.shape)}"
            found.append(FieldViolation(field, f"{change}: not every row that is taken now would be"))
        if before.optional and not after.optional:
            found.append(FieldViolation(field, "becomes required: requests without it would be refused"))
        if before.nan_allowed and not after.nan_allowed:
            found.append(FieldViolation(field, "no longer takes NaN"))
    for name, spec in new.items():
        if name not in old and not spec.optional:
            found.append(
                FieldViolation(f"signature.inputs.{name}", "new input that requests must send; make it optional")
            )
    return found


def _output_breaks(present: Sequence[TensorSpec], candidate: Sequence[TensorSpec]) -> list[FieldViolation]:
    new = {spec.name: spec for spec in candidate}
    found = []
    for before in present:
        field, after = f"signature.outputs.{before.name}", new.get(before.name)
        if after is None:
            found.append(FieldViolation(field, "output removed"))
            continue
        if after.datatype != before.datatype:
            found.append(FieldViolation(field, f"datatype changes from {before.datatype} to {after.datatype}"))
        if not _takes(before.shape, after.shape):
            found.append(FieldViolation(field, f"row shape changes from {list(before.shape)} to {list(after.shape)}"))
    return found


def _takes(wide: Sequence[int], narrow: Sequence[int]) -> bool:
    """Return whether every row of shape `narrow` is also one of shape `wide`."""
    return len(wide) == len(narrow) and all(a in (ANY, b) for a, b in zip(wide, narrow, strict=True))

"""Which inputs may hold NaN: those that a person names, and those that have it in the version's validation set."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.tensor.v1 import tensor_pb2

from headrace_client.errors import invalid

VALIDATION_FILE = "validation.json"
# As the registry takes it.
_MAX_BYTES = 4 * 1024 * 1024


def with_nan_allowed(
    contract: tensor_pb2.ServingContract | None, named: Collection[str], artifacts: Mapping[str, Path | str]
) -> tensor_pb2.ServingContract | None:
    """Return the contract to send. Raises InvalidArgument for a name that a contract which states its inputs has not.

    artifacts: of the version, by name; null in an input of numbers of `validation.json` stands for NaN.
    """
    seen = _with_nan(Path(artifacts[VALIDATION_FILE])) if VALIDATION_FILE in artifacts else set()
    if not named and not seen:
        return contract
    allowed = tensor_pb2.ServingContract()
    if contract is not None:
        allowed.CopyFrom(contract)
    by_name = {spec.name: spec for spec in allowed.inputs}
    if by_name and (unknown := sorted(set(named) - set(by_name))):
        raise invalid("contract.inputs", f"'{unknown[0]}' is not an input; there are: {', '.join(sorted(by_name))}")
    for name in sorted({*named, *seen}):
        if name in by_name:
            by_name[name].nan_allowed = True
        elif not by_name:
            # By its name alone: the registry takes the rest from the model file.
            allowed.inputs.add(name=name, nan_allowed=True)
    return allowed


def _with_nan(path: Path) -> set[str]:
    """Return the inputs of numbers that have a missing value. What is wrong with the file, the registry says."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return set()
        inputs = json.loads(path.read_bytes())["inputs"]
        return {name for name, rows in inputs.items() if _is_numbers_with_gaps(list(_values(rows)))}
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return set()


def _is_numbers_with_gaps(values: list[Any]) -> bool:
    missing = [value is None or (isinstance(value, float) and math.isnan(value)) for value in values]
    numbers = all(none or type(value) in (int, float) for value, none in zip(values, missing, strict=True))
    return any(missing) and numbers


def _values(rows: Any) -> Iterator[Any]:
    if isinstance(rows, list):
        for row in rows:
            yield from _values(row)
    else:
        yield rows

"""Whether what a route falls back to can stand for what it serves: the same signature, the values that outputs have."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.router.v1 import route_pb2
from headrace_servicekit.errors import FieldViolation

from headrace_router.control.decisions.fallback_steps import (
    MAX_ENTITY_CHARS,
    Constant,
    EntityTable,
    FallbackStep,
    Source,
)
from headrace_router.control.decisions.resolve import Resolution

# A table of ten thousand rows may be wrong in each: people read the first ones.
MAX_VIOLATIONS = 16

_INTEGERS = {
    "BOOL": (0, 1),
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
}
_LARGEST = {
    "FP16": 65_504.0,
    "BF16": 3.3895313892515355e38,
    "FP32": 3.4028234663852886e38,
    "FP64": math.inf,
}


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a version. shape: of a row; -1 stands for a dimension that varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    nan_allowed: bool = False


@dataclass(frozen=True, slots=True)
class Contract:
    """What a replacement of a version shares with it. signature_hash: of names, datatypes and shapes."""

    signature_hash: str
    outputs: tuple[Output, ...]


def fallback_violations(
    steps: Sequence[FallbackStep], resolved: Resolution, contracts: Mapping[str, Contract]
) -> list[FieldViolation]:
    """Return what keeps fallbacks from standing for any version that the variants serve, at most MAX_VIOLATIONS of it.

    contracts: of all that is resolved, by digest.
    """
    served = {one.version: contracts[one.digest] for one in resolved.variants}
    positions = {step.name: position for position, step in enumerate(steps)}
    found: list[FieldViolation] = []
    for backup in resolved.backups:
        if not backup.digest:
            continue
        own = contracts[backup.digest].signature_hash
        for version, contract in served.items():
            if contract.signature_hash != own:
                field = f"route.fallback[{positions[backup.step]}].backup"
                found.append(
                    FieldViolation(field, f"version '{backup.version}' has another signature than version '{version}'")
                )
                break
    for position, step in enumerate(steps):
        given = given_violations(step, served)
        found += [FieldViolation(f"route.fallback[{position}].{field}", why) for field, why in given]
    return found[:MAX_VIOLATIONS]


def given_violations(step: FallbackStep, served: Mapping[str, Contract]) -> list[tuple[str, str]]:
    """Return what keeps the values of a step from being an answer of versions: by field of the step, and why.

    served: contracts by version. A step that gives no values is always right.
    """
    reported: set[tuple[Output, ...]] = set()
    found: list[tuple[str, str]] = []
    for version, contract in served.items():
        if contract.outputs not in reported:  # most versions of a model have the same outputs
            reported.add(contract.outputs)
            found += _checked(step.source, version, contract.outputs)
    return found[:MAX_VIOLATIONS]


# A table of ten thousand rows takes tens of milliseconds, and each purge and commit sends it again.
@functools.lru_cache(maxsize=32)
def _checked(source: Source, version: str, outputs: tuple[Output, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(itertools.islice(_source_violations(source, version, outputs), MAX_VIOLATIONS))


def _source_violations(source: Source, version: str, outputs: Iterable[Output]) -> Iterator[tuple[str, str]]:
    by_name = {one.name: one for one in outputs}
    match source:
        case Constant(row):
            yield from _row_violations("constant", route_pb2.FallbackStep.Row.FromString(row), version, by_name)
        case EntityTable(table, _):
            for entity, row in sorted(route_pb2.FallbackStep.EntityTable.FromString(table).rows.items()):
                if not 1 <= len(entity) <= MAX_ENTITY_CHARS:
                    allowed = f"from 1 to {MAX_ENTITY_CHARS} are allowed"
                    yield "entity_table.rows", f"an entity of {len(entity)} characters; {allowed}"
                yield from _row_violations(f"entity_table.rows[{entity[:64]}]", row, version, by_name)
        case _:
            return


def _row_violations(field: str, row: Any, version: str, outputs: Mapping[str, Output]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one `FallbackStep.Row`."""
    for name in sorted(row.outputs):
        if name not in outputs:
            yield f"{field}.outputs[{name}]", f"version '{version}' has no such output; it has {', '.join(outputs)}"
    for name, output in outputs.items():
        if name in row.outputs:
            why = _why_not(row.outputs[name], output)
            if why:
                yield f"{field}.outputs[{name}]", f"{why} (version '{version}')"
        else:
            yield f"{field}.outputs", f"output '{name}' of version '{version}' is missing"


def _why_not(values: Any, output: Output) -> str:
    """Return why values cannot be one row of an output; empty when they can."""
    if -1 in output.shape:
        return "rows of the output vary in shape: values that are given cannot stand for them"
    kind, other = ("strings", "numbers") if output.datatype == "BYTES" else ("numbers", "strings")
    if getattr(values, other):
        return f"the output is {output.datatype}: give `{kind}`"
    given, wanted = len(getattr(values, kind)), math.prod(output.shape)
    if given != wanted:
        return f"{given} {kind}; a row has {wanted}"
    numbers, largest = list(values.numbers), _LARGEST.get(output.datatype)
    # Most rows, without a look at each number in turn.
    if largest is not None and all(map(math.isfinite, numbers)) and max(map(abs, numbers), default=0.0) <= largest:
        return ""
    return next(filter(None, (_why_no_number(number, output) for number in numbers)), "")


def _why_no_number(number: float, output: Output) -> str:
    bounds = _INTEGERS.get(output.datatype)
    if bounds is not None:
        fits = number.is_integer() and bounds[0] <= number <= bounds[1]
        return "" if fits else f"{number!r} is no {output.datatype}"
    if math.isnan(number):
        return "" if output.nan_allowed else "NaN is not allowed in this output"
    fits = math.isinf(number) or abs(number) <= _LARGEST.get(output.datatype, math.inf)
    return "" if fits else f"{number!r} is beyond {output.datatype}"

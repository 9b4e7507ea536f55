"""Whether rows of a version may be padded to common sizes, as its serving settings say."""

from __future__ import annotations

import math

from headrace_servicekit.errors import FieldViolation

from headrace_registry.decisions.models import Contract, ServingSettings, TensorSpec

MAX_SIZES = 16
MAX_SIZE = 65536

_INTEGERS = {
    "BOOL": (0, 1), "UINT8": (0, 2**8 - 1), "INT8": (-(2**7), 2**7 - 1), "UINT16": (0, 2**16 - 1),
    "INT16": (-(2**15), 2**15 - 1), "UINT32": (0, 2**32 - 1), "INT32": (-(2**31), 2**31 - 1),
    "UINT64": (0, 2**53), "INT64": (-(2**53), 2**53),
}  # fmt: skip
_FLOATS = {"FP16": 65504.0, "FP32": 3.4028234663852886e38, "FP64": math.inf}


def violations(settings: ServingSettings, field: str) -> list[FieldViolation]:
    """Return what is wrong with the padding of settings, whatever the version."""
    if settings.padding is None:
        return []
    sizes, place = settings.padding.sizes, f"{field}.padding.sizes"
    if len(sizes) > MAX_SIZES:
        return [FieldViolation(place, f"{len(sizes)} sizes; at most {MAX_SIZES}")]
    found = []
    for at, size in enumerate(sizes):
        if not 1 <= size <= MAX_SIZE:
            found.append(FieldViolation(f"{place}[{at}]", f"{size} is not between 1 and {MAX_SIZE}"))
        elif at > 0 and size <= sizes[at - 1]:
            found.append(FieldViolation(f"{place}[{at}]", f"{size} does not rise after {sizes[at - 1]}"))
    return found


def misfits(settings: ServingSettings, contract: Contract, field: str) -> list[FieldViolation]:
    """Return what of the padding of settings a version's contract does not allow."""
    if settings.padding is None:
        return []
    place = f"{field}.padding"
    varying = {spec.name: spec for spec in contract.inputs if -1 in spec.shape}
    if not varying:
        return [FieldViolation(place, "no input has a dimension that varies, so there is nothing to pad")]
    if contract.row_by_row:
        return [FieldViolation(place, "the model takes one row at a time, so rows need not have one size")]
    if contract.decoupled:
        return [FieldViolation(place, "a version that answers in parts executes each request by itself")]
    found = [
        FieldViolation(f"{place}.values[{name}]", f"no input of that name varies; those that do: {', '.join(varying)}")
        for name in settings.padding.values
        if name not in varying
    ]
    texts = [spec.name for spec in contract.outputs if -1 in spec.shape and spec.datatype == "BYTES"]
    if texts:
        found.append(
            FieldViolation(place, f"output '{texts[0]}' has texts of sizes that vary, which cannot be cut back")
        )
    for spec in varying.values():
        fault = _unfit(spec, settings.padding.values.get(spec.name, 0.0))
        if fault:
            found.append(FieldViolation(f"{place}.values[{spec.name}]", fault))
    return found


def _unfit(spec: TensorSpec, value: float) -> str:
    """Return why an input cannot be padded with a value, empty when it can."""
    if spec.datatype in _INTEGERS:
        low, high = _INTEGERS[spec.datatype]
        if not (math.isfinite(value) and value.is_integer() and low <= value <= high):
            return f"{value:g} is no {spec.datatype}"
    elif spec.datatype in _FLOATS:
        if not (math.isfinite(value) and abs(value) <= _FLOATS[spec.datatype]):
            return f"{value:g} is no finite {spec.datatype}"
    else:
        return f"inputs of {spec.datatype} cannot be padded"
    outside = (spec.minimum is not None and value < spec.minimum) or (spec.maximum is not None and value > spec.maximum)
    return f"{value:g} is outside the input's range" if outside else ""

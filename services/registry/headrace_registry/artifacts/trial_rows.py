"""Rows to try a model with where it fails on zeros: given ones, and such as its own categories make."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from headrace_runtime.backends.onnx_session import DTYPES
from headrace_runtime.contract import BYTES, Contract, Example, TensorSpec

from headrace_registry.artifacts.trial import MAX_EXAMPLE_BYTES, as_runtime
from headrace_registry.decisions import models as registry

if TYPE_CHECKING:
    import onnx

# Rows of a file that are tried, and combinations of categories.
MAX_GIVEN = 16
MAX_MADE = 64
# As many categories of an encoder as are tried, and steps from an input to it.
_MAX_CATEGORIES = 4
_MAX_STEPS = 8
_MAX_BYTES = 4 * 1024 * 1024
_CATEGORIES = ("cats_strings", "cats_int64s", "keys_strings", "keys_int64s")

Categories = Mapping[str, Sequence[str | int]]


def given(path: Path, contract: Contract) -> Iterator[Example]:
    """Yield the first rows of a file as `validation.json` is, `{"inputs": {"age": [[41.0], …]}}`; of another, none."""
    try:
        inputs = json.loads(path.read_bytes()[: _MAX_BYTES + 1])["inputs"]
        columns = [inputs[spec.name][:MAX_GIVEN] for spec in contract.inputs]
        for row in zip(*columns, strict=False):
            yield _example(contract, row)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return


def made_by_itself(contract: registry.Contract, categories: Categories) -> Iterator[Example]:
    """Yield what a model is tried with: zeros, then rows of its categories."""
    yield Example()
    yield from made(as_runtime(contract), categories)


def made(contract: Contract, categories: Categories) -> Iterator[Example]:
    """Yield rows that are full of a category of each input that has some, and of zeros otherwise."""
    if not any(categories.get(spec.name) for spec in contract.inputs):
        return
    fills = [categories.get(spec.name) or ("" if spec.datatype == BYTES else 0,) for spec in contract.inputs]
    for chosen in itertools.islice(itertools.product(*fills), MAX_MADE):
        rows = [
            np.full([max(1, size) for size in spec.row_shape], fill, dtype=object if spec.datatype == BYTES else None)
            for spec, fill in zip(contract.inputs, chosen, strict=True)
        ]
        yield _example(contract, rows)


def categories_of(model: onnx.ModelProto) -> Categories:
    """Return the first categories of the encoders that each input of a model reaches."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return {value.name: _reached(value.name, readers) for value in model.graph.input}


def _reached(name: str, readers: Mapping[str, Sequence[onnx.NodeProto]]) -> Sequence[str | int]:
    found: dict[str | int, None] = {}
    names, seen = [name], {name}
    for _step in range(_MAX_STEPS):
        following = []
        for node in (node for one in names for node in readers.get(one, ())):
            known = _categories(node)
            found.update(dict.fromkeys(known))
            # Behind an encoder there are its codes.
            following += [] if known else [output for output in node.output if output not in seen]
            seen.update(node.output)
        names = following
    return tuple(found)


def _categories(node: onnx.NodeProto) -> list[str | int]:
    values: list[str | int] = []
    for attribute in node.attribute:
        if attribute.name in _CATEGORIES:
            values += [text.decode(errors="replace") for text in attribute.strings[:_MAX_CATEGORIES]]
            values += list(attribute.ints[:_MAX_CATEGORIES])
    return values


def _example(contract: Contract, row: Sequence[Any]) -> Example:
    """Return a row as raw bytes. Raises TypeError, ValueError, OverflowError for what does not fit the contract."""
    parts = [_raw(spec, value) for spec, value in zip(contract.inputs, row, strict=True)]
    data, dims = tuple(data for data, _ in parts), tuple(size for _, sizes in parts for size in sizes)
    if sum(map(len, data)) > MAX_EXAMPLE_BYTES:
        raise ValueError("is too large to be stored")
    return Example(data, dims)


def _raw(spec: TensorSpec, value: Any) -> tuple[bytes, tuple[int, ...]]:
    """Return the bytes of one row of an input, and the sizes of its variable dimensions."""
    array = np.asarray(value, dtype=object if spec.datatype == BYTES else DTYPES[spec.datatype])
    if not spec.row_shape or (-1 not in spec.row_shape and array.size == math.prod(spec.row_shape)):
        array = array.reshape(spec.row_shape)
    fits = array.ndim == len(spec.row_shape) and all(
        declared in (-1, size) for declared, size in zip(spec.row_shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"a row of '{spec.name}' has the shape {list(array.shape)}")
    dims = tuple(size for size, declared in zip(array.shape, spec.row_shape, strict=True) if declared == -1)
    if spec.datatype != BYTES:
        return array.tobytes(), dims
    texts = [str(text).encode() for text in array.ravel()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts), dims

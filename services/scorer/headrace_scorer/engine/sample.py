"""A sample of what was scored: rows of the input as tensors, and the results that were written of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from headrace_scorer.decisions.manifests import Done
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location, format_of
from headrace_scorer.engine.expressions import Expressions
from headrace_scorer.engine.inputs.files import chunks
from headrace_scorer.engine.inputs.rows import Chunk
from headrace_scorer.engine.objects import Objects
from headrace_scorer.engine.publish_orders import CheckOrder
from headrace_scorer.engine.results import array, entities, opened
from headrace_scorer.engine.shard_scorer import bounds_of
from headrace_scorer.engine.tensors import Faults, Tensor, tensor_of

pc: Any = pyarrow.compute
# Shards that a sample is of, evenly among all.
SHARDS = 8
# Rows by which the distribution of answers is judged.
MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one shard. rows: of them that are replayed; scored: their results. outputs: of all rows of the sample."""

    tensors: Sequence[Tensor]
    rows: np.ndarray
    entities: list[str]
    scored: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


def samples(order: CheckOrder, objects: Objects) -> Iterator[Sample]:
    """Yield the sample of each shard that is looked at. The same job has the same sample each time."""
    scored = [one for one in order.answered.results if one.rows > one.rejected]
    count = min(SHARDS, len(scored))
    for at in range(count):
        wanted = order.spec.parity_rows * (at + 1) // count - order.spec.parity_rows * at // count
        yield from _sample(order, objects, scored[at * len(scored) // count], wanted, MAX_ROWS // count)


def _sample(order: CheckOrder, objects: Objects, result: Done, wanted: int, most: int) -> Iterator[Sample]:
    contract, spec = order.work.serving_contract(), order.work.spec
    at = Location(order.answered.bucket, result.key)
    file = opened(objects, at)
    chunk = _first_chunk(order, objects, result.shard)
    if chunk is None or file.num_row_groups == 0:
        return
    rejected = _rejected(order, objects, result)
    if len(rejected) != result.rejected:
        return  # the file was removed or changed: results cannot be matched with rows
    names = [output.name for output in contract.outputs]
    table = file.read_row_group(0, columns=[order.answered.entity, *names])
    # What was rejected has no result; all other rows have one, in their order. Another release may have held more rows
    # at once, or fewer.
    there = np.flatnonzero(~np.isin(chunk.numbers, rejected))
    table = table.slice(0, len(there))
    chosen = np.random.default_rng((order.answered.job, result.shard.number)).permutation(table.num_rows)
    replayed, judged = np.sort(chosen[:wanted]), np.sort(chosen[:most])
    table_rows, faults = chunk.table.take(pa.array(there[replayed])), Faults(len(replayed))
    derived = Expressions(spec.derived).computed(table_rows, faults)
    for name in derived.column_names:
        table_rows = table_rows.append_column(name, derived.column(name))
    specs = {one.name: one for one in contract.inputs}
    tensors = [tensor_of(table_rows, one, specs[one.tensor], faults) for one in order.checked.tensors]
    rows = table.take(pa.array(replayed))
    yield Sample(
        tensors,
        np.arange(len(replayed)),
        entities(rows, order.answered.entity, at),
        _arrays(rows, names),
        _arrays(table.take(pa.array(judged)), names),
    )


def _arrays(table: pa.Table, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return outputs as arrays. Rows of lists that vary in length are objects, which nothing compares by distance."""
    found = {}
    for name in names:
        column = table.column(name)
        varies = pa.types.is_list(column.type) and len(set(pc.list_value_length(column).to_pylist())) > 1
        if varies:
            values = np.empty(table.num_rows, object)
            values[:] = [str(one) for one in column.to_pylist()]
            found[name] = values
        else:
            found[name] = array(column)
    return found


def _first_chunk(order: CheckOrder, objects: Objects, shard: Shard) -> Chunk | None:
    spec, checked = order.work.spec, order.checked
    format_ = format_of(shard.key, spec.format)
    assert format_ is not None
    bounds = bounds_of(order.work.serving_contract())
    with objects.opened(spec.input.bucket, shard.key, shard.etag, shard.size_bytes) as file:
        return next(chunks(file, format_, shard, checked.read, dict(checked.types), bounds), None)


def _rejected(order: CheckOrder, objects: Objects, result: Done) -> np.ndarray:
    if not result.rejected_key:
        return np.empty(0, np.int64)
    at = Location(order.answered.bucket, result.rejected_key)
    found = next((one for one in objects.listed(at) if one.key == at.prefix), None)
    if found is None:
        return np.empty(0, np.int64)
    with objects.opened(at.bucket, found.key, found.etag, found.size_bytes) as file:
        try:
            return np.array([json.loads(line)["row"] for line in file], np.int64)
        except (ValueError, KeyError, TypeError, OverflowError):
            return np.empty(0, np.int64)

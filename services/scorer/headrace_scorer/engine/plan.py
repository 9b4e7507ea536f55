"""`python -m headrace_scorer.engine.plan`: an order on stdin, shards and what was found on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from headrace_runtime.contract import FLOATS, Contract

from headrace_scorer.decisions.columns import Column, Mismatch, mapped, misnamed
from headrace_scorer.decisions.shards import Piece, Shard, cut, input_digest
from headrace_scorer.decisions.specs import ENDINGS, Format, Spec, format_of, is_input
from headrace_scorer.engine.delta import delta_files
from headrace_scorer.engine.expressions import Expressions, WrongExpression
from headrace_scorer.engine.inputs.files import Described, columns_of, described
from headrace_scorer.engine.inputs.rows import Unreadable
from headrace_scorer.engine.messages import Checked, PlanAnswer, PlanOrder, from_json
from headrace_scorer.engine.objects import InputChanged, Listed, Objects, StoreAway, StoreRefuses
from headrace_scorer.engine.protocol import Failed, begin, say
from headrace_scorer.engine.sources.copies import copied, schema_of

_FOOTERS_AT_ONCE = 16
_SHARDS_A_LINE = 500


def main() -> None:
    """Answer one order."""
    begin()
    order = from_json(PlanOrder, sys.stdin.buffer.readline())
    try:
        shards, checked = plan(order, Objects(order.work.access))
    except Failed as error:
        say(PlanAnswer(checked=Checked(failure=error.failure, reason=error.reason), transient=error.transient))
        return
    for start in range(0, len(shards), _SHARDS_A_LINE):
        say(PlanAnswer(shards=tuple(shards[start : start + _SHARDS_A_LINE])))
    say(PlanAnswer(checked=checked))


def plan(order: PlanOrder, objects: Objects) -> tuple[list[Shard], Checked]:
    """Return the shards of an input, and what it has. Raises Failed."""
    spec = order.work.spec
    try:
        if order.source is not None and not order.whole:
            return [], _checked(order, _of_source(order))
        listed = _listed(order, objects)
        if not listed and order.source is not None:
            raise Failed("INPUT_EMPTY", f"{spec.reads} has no rows")
        if not listed:
            message = f"there is no object below {spec.input.uri} whose name, and folders, do not begin with `_` or `.`"
            raise Failed("INPUT_EMPTY", message)
        if order.whole:
            return _whole(order, objects, listed)
        first = _described(objects, spec, listed[0])
        return [], _checked(order, first)
    except StoreAway as error:
        raise Failed("STORE_UNAVAILABLE", str(error), transient=True) from None
    except StoreRefuses as error:
        raise Failed("STORE_REFUSES", f"{error}: look at the name of the bucket, and who may read it") from None
    except InputChanged as error:
        raise Failed("INPUT_CHANGED", f"{error}: create the job when nothing writes there") from None


def _listed(order: PlanOrder, objects: Objects) -> list[Listed]:
    if order.source is not None:
        # List before the slow query: a process wrongly taken for lost must not remove the files that another one copies
        # meanwhile.
        left = list(objects.listed(order.work.spec.input))
        checked = _checked(order, _of_source(order))
        if checked.mismatches:
            raise _mismatch(checked)
        return copied(order, objects, checked.read, left)
    return list(_inputs(order, objects)) if order.work.spec.format is not Format.DELTA else delta_files(order, objects)


def _of_source(order: PlanOrder) -> Described:
    schema = schema_of(order)
    return Described(columns_of(schema), schema=schema)


def _mismatch(checked: Checked) -> Failed:
    return Failed("MAPPING_MISMATCH", "; ".join(one.description for one in checked.mismatches))


def _whole(order: PlanOrder, objects: Objects, listed: list[Listed]) -> tuple[list[Shard], Checked]:
    spec = order.work.spec
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as threads:
        files = list(threads.map(lambda one: _described(objects, spec, one), listed))
    filled = [(one, file) for one, file in zip(listed, files, strict=True) if not file.empty]
    if not filled:
        raise Failed("INPUT_EMPTY", f"the files below {spec.input.uri} have no rows")
    first, expected = next((pair for pair in filled if not pair[1].guessed), filled[0])
    checked = _checked(order, expected)
    if checked.mismatches:
        raise _mismatch(checked)
    for one, file in filled:
        _same(one, file, first, expected, checked.read)
    pieces = [Piece(one.key, one.etag, one.size_bytes, file.group_rows) for one, file in filled]
    digest = input_digest((one.key, one.etag, one.size_bytes) for one in listed)
    shards = cut(pieces, spec.options.shard_rows)
    size = sum(one.size_bytes for one in listed)
    whole = Checked(
        tensors=checked.tensors, read=checked.read, types=checked.types,
        objects=len(listed), input_bytes=size, input_digest=digest,
    )  # fmt: skip
    return shards, whole


def _inputs(order: PlanOrder, objects: Objects) -> Iterator[Listed]:
    spec, count = order.work.spec, 0
    for one in objects.listed(spec.input):
        if not is_input(one.key, spec.input.prefix) or one.size_bytes == 0:
            continue
        if format_of(one.key, spec.format) is None:
            message = f"s3://{spec.input.bucket}/{one.key}: its name does not end with {ENDINGS}"
            raise Failed("FORMAT_UNKNOWN", f"{message}: name the format")
        count += 1
        if count > order.max_objects:
            message = f"more than {order.max_objects:,} objects are below {spec.input.uri}"
            raise Failed("TOO_MANY_OBJECTS", f"{message}: name a part of them, or set SCORER_MAX_OBJECTS higher")
        yield one
        if not order.whole:
            return


def _described(objects: Objects, spec: Spec, one: Listed) -> Described:
    format_ = format_of(one.key, spec.format) or Format.PARQUET
    try:
        with objects.opened(spec.input.bucket, one.key, one.etag, one.size_bytes) as file:
            return described(file, format_)
    except Unreadable as error:
        message = f"s3://{spec.input.bucket}/{one.key} cannot be read as {format_.value}: {error}"
        raise Failed("INPUT_UNREADABLE", f"{message}. Rewrite it, or move it away, then create a new job") from None


def _checked(order: PlanOrder, file: Described) -> Checked:
    """Return how the columns of a file are used, or everything that does not fit."""
    spec, contract = order.work.spec, order.work.serving_contract()
    names = [column.name for column in file.columns]
    wrong = misnamed(spec, names, (output.name for output in contract.outputs))
    try:
        expressions = Expressions(spec.derived)
        read = expressions.columns(names)
        derived = columns_of(expressions.typed(file.schema)) if spec.derived else ()
    except WrongExpression as error:
        return Checked(mismatches=(*wrong, Mismatch("spec.derived_columns", str(error))))
    columns: tuple[Column, ...] = (*file.columns, *derived)
    tensors, mismatches = mapped(contract, columns, spec.tensors)
    wrong += mismatches
    wrong += _wrong_outputs(spec, [*(column.name for column in columns), *(one.name for one in contract.outputs)], read)
    used = read | {name for one in tensors for name in one.columns} | set(spec.keep)
    needed = tuple(name for name in names if name in used)
    # A column of whole numbers may have others further down: where they fit the tensor, they are read as such.
    floats = {name for one in tensors if _is_float(contract, one.tensor) for name in one.columns}
    wider = {name: "double" if type_ == "int64" and name in floats - read else type_ for name, type_ in file.types}
    types = tuple((name, type_) for name, type_ in wider.items() if name in used)
    return Checked(mismatches=tuple(wrong), tensors=tensors, read=needed, types=types)


def _is_float(contract: Contract, tensor: str) -> bool:
    return any(spec.name == tensor and spec.datatype in FLOATS for spec in contract.inputs)


def _wrong_outputs(spec: Spec, known: list[str], read: set[str]) -> Iterable[Mismatch]:
    if not spec.outputs:
        return []
    try:
        read |= Expressions(spec.outputs).columns(known)
    except WrongExpression as error:
        return [Mismatch("spec.output_columns", str(error))]
    return []


def _same(one: Listed, file: Described, first: Listed, expected: Described, needed: Iterable[str]) -> None:
    """Raise Failed unless two files have the same columns, as far as these are needed."""
    if not file.group_rows:
        there = {column.name for column in file.columns}
        missing = [name for name in needed if name not in there]
        if missing and first.key.lower().endswith(".csv"):
            raise Failed("SCHEMA_MISMATCH", f"{one.key} has no column '{missing[0]}', which {first.key} has")
        return
    types, wanted = ({column.name: column.type for column in each.columns} for each in (file, expected))
    for name in needed:
        if types.get(name) != wanted[name]:
            message = f"column '{name}' of {one.key} is {types.get(name, 'missing')}, and {wanted[name]} in {first.key}"
            raise Failed("SCHEMA_MISMATCH", f"{message}: rewrite one of them, or score them in two jobs")


if __name__ == "__main__":
    main()

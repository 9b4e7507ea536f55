"""Violations in the words of the caller: each names an input as the request names it."""

from __future__ import annotations

import re

from headrace_servicekit.errors import FieldViolation, InvalidArgument, ServiceError

from headrace_router.data.batchers.errors import blamed_position
from headrace_router.data.layouts import CONTRACT_VIOLATED, Layout, invalid
from headrace_router.data.messages import Tensors

_CONTENTS_FIELD = re.compile(r"raw_input_contents\[(\d+)\]")
_INPUT_FIELD = re.compile(r"inputs\[(\d+)\](?:\..*)?")


def in_callers_words(error: ServiceError, tensors: Tensors, layout: Layout | None) -> ServiceError:
    """Return the error with each violation named as the caller names its inputs.

    Checks name `inputs[i]…` by position in the request, batchers by position in the contract.
    """
    violations = tuple(
        FieldViolation(_callers_field(violation.field, tensors, layout), violation.description)
        for violation in error.violations
    )
    if violations == error.violations:
        return error
    if error.reason == CONTRACT_VIOLATED:
        return invalid(violations)
    return InvalidArgument(error.public_message, reason=error.reason, violations=violations, metadata=error.metadata)


def _callers_field(field: str, tensors: Tensors, layout: Layout | None) -> str:
    fields = tensors.fields
    position = blamed_position(field)
    if field == "inputs":
        return tensors.whole
    if position is None:
        if tensors.contents_fields is not None and (contents := _CONTENTS_FIELD.fullmatch(field)):
            return tensors.contents_fields[int(contents.group(1))]
        found = _INPUT_FIELD.fullmatch(field)
        return field if found is None or fields is None else fields[int(found.group(1))]
    if layout is None or position in layout.absent:
        return tensors.whole
    before = sum(absent < position for absent in layout.absent)
    index = layout.order[position - before] if position - before < len(layout.order) else -1
    if index < 0:
        return tensors.whole
    return f"inputs[{index}]" if fields is None else fields[index]

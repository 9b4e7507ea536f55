"""One request: as it came, as its version's contract has it, and what is wrong with it in its caller's words.

What is made for each request is not frozen, which takes five times as long; it is never written to (decision 61).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from headrace_servicekit.errors import FieldViolation, InvalidArgument, ServiceError
from headrace_servicekit.identity import Identity

from headrace_router.data.answer.refusals import blamed_position
from headrace_router.data.request.trace import Marks
from headrace_router.data.tables.contract import CONTRACT_VIOLATED, Contract, Layout, check_contents, invalid
from headrace_router.data.tables.served import ServedVersion
from headrace_router.data.tables.table import Table, Variant
from headrace_router.rules import NO_ATTRIBUTES

if TYPE_CHECKING:
    from headrace_router.data.request.trace import Trace


# Of a text that names a user, an entity or an attribute.
MAX_TEXT_CHARS = 256
# What callers may say in our own name of the call's subject; the front door removes every other `x-headrace-…`.
USER_HEADER, ENTITY_HEADER, MAX_AGE_HEADER = "x-headrace-user-id", "x-headrace-entity-id", "x-headrace-max-age-ms"
EXPLAIN_HEADER = "x-headrace-explain"
CONTEXT_HEADERS = (USER_HEADER, ENTITY_HEADER, MAX_AGE_HEADER, EXPLAIN_HEADER)
# Attributes, or parameters, of one request.
MAX_ATTRIBUTES = 1024


class ContextHeaders(NamedTuple):
    """User, entity and the rest as the headers of a call say. What the request itself says takes precedence."""

    user_id: str = ""
    entity_id: str = ""
    max_age_s: float | None = None
    explain: bool = False


class Span(Protocol):
    """The span of one call that is recorded."""

    def computing(self, answer: asyncio.Future[Any], pool: str) -> str:
        """Begin the span of a batcher's work, which ends with its answer; return its traceparent."""
        ...

    def end(self, code: str, marks: Marks | None) -> None:
        """End the span with the status that the call was answered with. marks: None for one that is no prediction."""
        ...


@dataclass(slots=True)
class Call:
    """What the transport knows of one call.

    deadline: on the event loop's clock; never infinite. arrived: on the counters' clock.
    traceparent: of a trace that is being recorded, else empty. sampled: whether to log it. parts, part_bytes: that the
    caller was given of an answer in parts, noted by the predictor as they are. span, marks, context: None
    for almost all calls, which are not recorded here, did not ask where their time goes, and say nothing by headers.
    A transport cancels the awaiting task when the caller has gone.
    """

    caller: Identity
    request_id: str
    deadline: float
    arrived: float = 0.0
    traceparent: str = ""
    sampled: bool = False
    span: Span | None = None
    marks: Marks | None = None
    context: ContextHeaders | None = None
    parts: int = 0
    part_bytes: int = 0


@dataclass(slots=True)
class Tensors:
    """The inputs of one request.

    described: (name, datatype, *shape) per tensor, in the caller's order. contents: raw bytes of each, in that order.
    fields: what the caller calls each tensor, for errors; None means `inputs[0]`, `inputs[1]`, … contents_fields: what
    the caller calls its values; None means `raw_input_contents[0]`, … whole: what the caller calls all of them.
    """

    described: tuple[tuple[str | int, ...], ...]
    contents: Sequence[bytes]
    fields: tuple[str, ...] | None = None
    contents_fields: tuple[str, ...] | None = None
    whole: str = "inputs"


@dataclass(slots=True)
class Request:
    """One request for a prediction.

    read: gives the tensors once the version is known: for a contract, and the most rows that are taken. A JSON codec
    needs the contract to know how numbers are written; a codec whose tensors are bytes ignores both.
    version, request_id, user_id, entity_id: empty when not given. outputs: names wanted; empty means all. attributes:
    facts that rules look at. max_age_s: oldest answer that the caller accepts; None leaves it to the route. priority:
    class as in `InferRequest`, 0 for what the caller did not say. explain: whether to keep the explanation. timeout_s:
    from arrival, within the call's deadline.
    """

    model: str
    read: Callable[[Contract, int], Tensors]
    version: str = ""
    request_id: str = ""
    user_id: str = ""
    entity_id: str = ""
    outputs: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    max_age_s: float | None = None
    priority: int = 0
    explain: bool = False
    timeout_s: float | None = None

    def completed(self, context: ContextHeaders) -> Request:
        """Return the request with what it does not say itself taken from the call's headers."""
        return replace(
            self,
            user_id=self.user_id or context.user_id,
            entity_id=self.entity_id or context.entity_id,
            max_age_s=context.max_age_s if self.max_age_s is None else self.max_age_s,
            explain=self.explain or context.explain,
        )


@dataclass(slots=True)
class ResolvedRequest:
    """What an answer is wanted to.

    table: that the request was admitted under; its settings hold to the end. variant: of the request's variant. layout,
    inputs: the inputs present, in the order of the contract. outputs: positions in the contract of those wanted; empty
    means all. trace: of a request that is explained. again: whether a batcher was asked for an answer before.
    queue_timeout_s: how long to wait at most for a batcher that is away for a moment. last: whether nothing else can
    answer, so that an answer past its time may stand in for an error where the route allows it. in_parts: whether the
    caller takes an answer in parts.
    """

    table: Table
    variant: Variant
    request: Request
    call: Call
    tensors: Tensors
    layout: Layout
    inputs: Sequence[bytes]
    outputs: tuple[int, ...]
    trace: Trace | None = None
    again: bool = False
    queue_timeout_s: float = math.inf
    last: bool = True
    in_parts: bool = False


def fitted(resolved: ResolvedRequest, served: ServedVersion, max_rows: int) -> ResolvedRequest | None:
    """Return a request with its inputs and outputs as a version's contract has them; None when it cannot be put so.

    Inputs that the version does not know are left out: a simpler model may need only some of them. A request that has
    none, for an answer that was computed beforehand, cannot be put to any version.
    """
    if not resolved.tensors.described:  # a route that only looks answers up takes requests without inputs
        return None
    if served.decoupled and not resolved.in_parts:
        return None
    if served.contract == resolved.variant.served.contract:
        return resolved
    tensors, known = resolved.tensors, {spec.name for spec in served.contract.inputs}
    present = [index for index, one in enumerate(tensors.described) if one[0] in known]
    described = tuple([tensors.described[index] for index in present])
    contents = [tensors.contents[index] for index in present]
    try:
        layout = served.layout(described, max_rows)
        if tuple(map(len, contents)) != layout.lengths:
            check_contents(layout, described, contents)
        outputs = served.selection(resolved.request.outputs)
    except InvalidArgument:
        return None
    return replace(resolved, layout=layout, inputs=[contents[index] for index in layout.order], outputs=outputs)


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

"""One request that keeps its contract, on its way to an answer; and an answer that was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace_servicekit.errors import InvalidArgument

from headrace_router.data.layouts import Layout, check_contents
from headrace_router.data.messages import Call, Request, Tensors
from headrace_router.data.routes.table import Table, Variant
from headrace_router.data.served import ServedVersion

if TYPE_CHECKING:
    from headrace_router.data.trace import Trace


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

"""A request as another version of the model would have it put."""

from __future__ import annotations

from dataclasses import replace

from headrace_servicekit.errors import InvalidArgument

from headrace_router.data.layouts import check_contents
from headrace_router.data.resolved_request import ResolvedRequest
from headrace_router.data.served import ServedVersion


def fitted(resolved: ResolvedRequest, served: ServedVersion, max_rows: int) -> ResolvedRequest | None:
    """Return a request with its inputs and outputs as a version's contract has them; None when it cannot be put so.

    Inputs that the version does not know are left out: a simpler model may need only some of them. A request that has
    none, for an answer that was computed beforehand, cannot be put to any version.
    """
    if not resolved.tensors.described:  # a route that only looks answers up takes requests without inputs
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

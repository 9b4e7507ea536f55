"""A version that route tables name.

Requests repeat their descriptions: layouts are kept, and the usual check is one look-up.
"""

from __future__ import annotations

from headrace_router.data.contract import Contract
from headrace_router.data.layouts import Described, Layout, check, select
from headrace_router.data.outputs import KnownForms

MAX_LAYOUTS = 1024


class ServedVersion:
    """A version, with the layouts that its requests had.

    answers: which of them keep the contract. sensitive_inputs, sensitive_outputs: names of tensors whose values must
    never be stored or logged.
    """

    __slots__ = (
        "answers", "contract", "digest", "layouts", "model", "selections", "sensitive_inputs", "sensitive_outputs",
        "signature_hash", "version", "without_inputs",
    )  # fmt: skip

    def __init__(self, model: str, version: str, digest: str, signature_hash: str, contract: Contract) -> None:
        self.model, self.version, self.digest, self.signature_hash = model, version, digest, signature_hash
        self.contract = contract
        self.answers = KnownForms(contract)
        self.sensitive_inputs = frozenset(spec.name for spec in contract.inputs if spec.sensitive)
        self.sensitive_outputs = frozenset(spec.name for spec in contract.outputs if spec.sensitive)
        self.layouts: dict[Described, Layout] = {}
        self.selections: dict[tuple[str, ...], tuple[int, ...]] = {(): ()}
        self.without_inputs = Layout(1, (), tuple(range(len(contract.inputs))), (), (), (), True)
        """Of a request for what was computed beforehand: one row, found by its entity."""

    def layout(self, described: Described, max_rows: int) -> Layout:
        """Return the layout of a description. Raises InvalidArgument with every violation."""
        found = self.layouts.get(described)
        if found is None:
            found = check(self.contract, described, max_rows)
            if len(self.layouts) >= MAX_LAYOUTS:
                del self.layouts[next(iter(self.layouts))]
            self.layouts[described] = found
        return found

    def selection(self, outputs: tuple[str, ...]) -> tuple[int, ...]:
        """Return the positions in the contract of the outputs wanted, rising; empty means all."""
        found = self.selections.get(outputs)
        if found is None:
            found = select(self.contract, outputs)
            if len(self.selections) < MAX_LAYOUTS:
                self.selections[outputs] = found
        return found

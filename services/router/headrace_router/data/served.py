"""A version that route tables name, and the steps of one that is a pipeline.

Requests repeat their descriptions: layouts are kept, and the usual check is one look-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from headrace_router.data.contract import Contract, sensitive_names
from headrace_router.data.layouts import Described, Layout, check, select
from headrace_router.data.outputs import KnownForms

MAX_LAYOUTS = 1024


class ServedVersion:
    """A version, with the layouts that its requests had.

    answers: which of them keep the contract. decoupled: whether it answers in parts. pipeline: None for one that a
    batcher computes. sensitive_inputs, sensitive_outputs: names of tensors whose values must never be stored or logged.
    sensitive_attributes: names of such tensors and of their columns, also of members, casefolded: attributes that are
    called so have the same values. models: its own, and those of members, which batchers compute for it.
    """

    __slots__ = (
        "answers", "contract", "decoupled", "digest", "layouts", "model", "models", "pipeline", "selections",
        "sensitive_attributes", "sensitive_inputs", "sensitive_outputs", "signature_hash", "version", "without_inputs",
    )  # fmt: skip

    def __init__(
        self,
        model: str,
        version: str,
        digest: str,
        signature_hash: str,
        contract: Contract,
        pipeline: Plan | None = None,
    ) -> None:
        self.model, self.version, self.digest, self.signature_hash = model, version, digest, signature_hash
        self.contract, self.decoupled, self.pipeline = contract, contract.decoupled, pipeline
        self.answers = KnownForms(contract)
        self.sensitive_inputs = frozenset(spec.name for spec in contract.inputs if spec.sensitive)
        self.sensitive_outputs = frozenset(spec.name for spec in contract.outputs if spec.sensitive)
        steps = () if pipeline is None else pipeline.steps
        self.sensitive_attributes = sensitive_names(contract).union(*(one.served.sensitive_attributes for one in steps))
        self.models = frozenset((model,)).union(*(one.served.models for one in steps))
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


REQUEST = -1
"""Stands for the request where a step of a plan is named."""


class Take(NamedTuple):
    """What goes into one input of a step.

    position: of the input in the contract of the step's member. step: that gives the tensor, by its position in the
    plan; REQUEST for an input of the request. tensor: position in what that has: outputs of its member's contract, or
    inputs of the pipeline's.
    """

    position: int
    step: int
    tensor: int


class Choice(NamedTuple):
    """A switch by an attribute of the request. cases: position among the voters, by value. default: for other values,
    and without the attribute."""

    attribute: str
    cases: Mapping[str, int]
    default: int


@dataclass(frozen=True, slots=True, eq=False)
class RecordedStep:
    """A step that runs a model, as the prediction log knows it.

    pipeline: that it belongs to, as `model/version`. served: the member. hidden_inputs, hidden_outputs: names in the
    member's contract of tensors whose values another part of the pipeline calls sensitive. hidden_attributes: names of
    attributes that are called like a sensitive tensor of any part, casefolded.
    """

    pipeline: str
    name: str
    served: ServedVersion
    hidden_inputs: frozenset[str] = frozenset()
    hidden_outputs: frozenset[str] = frozenset()
    hidden_attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a pipeline.

    served: the member that it runs. pool: empty for that of the route's variant. takes: what goes into it. voters: of a
    combiner, those of `takes`, by their positions, that it makes its answer of; else empty. needed: how many of them
    must be there. present: position of the input that says which are; None unless it is a combiner. choice: None
    unless an attribute selects one voter. gives: positions of the outputs that are taken from it, rising. timeout_s: of
    one attempt, None for what is left. soft_fail: whether zeros stand for its outputs when it fails. recorded: how the
    log knows it; None for graphs and combiners, which are parts of the pipeline itself. cache_s: for how long what it
    gives is kept, 0 for not at all.
    """

    name: str
    served: ServedVersion
    pool: str
    takes: tuple[Take, ...]
    gives: tuple[int, ...]
    voters: tuple[int, ...] = ()
    needed: int = 0
    present: int | None = None
    choice: Choice | None = None
    timeout_s: float | None = None
    retries: int = 0
    soft_fail: bool = False
    recorded: RecordedStep | None = None
    cache_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a pipeline, each behind those that it takes tensors from.

    outputs: for each output of the pipeline's contract the step that gives it, and the position among the outputs of
    that step's member. attributes: of requests, by which switches select.
    """

    steps: tuple[PlannedStep, ...]
    outputs: tuple[tuple[int, int], ...]
    attributes: tuple[str, ...] = ()

    @property
    def kept_s(self) -> float:
        """Return how old the oldest part of an answer may be that was made just now: what steps gave may be kept."""
        return max(step.cache_s for step in self.steps)

    def selection(self, attributes: Mapping[str, str]) -> str:
        """Return what an answer depends on besides the tensors: the choice of each switch by attribute."""
        chosen = [chosen_of(step.choice, attributes) for step in self.steps if step.choice is not None]
        return ",".join(map(str, chosen))


def chosen_of(choice: Choice, attributes: Mapping[str, str]) -> int:
    """Return the position among the voters of what a request selects."""
    return choice.cases.get(attributes.get(choice.attribute, ""), choice.default)

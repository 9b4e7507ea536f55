"""The steps of a version that is a pipeline, as a route table names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headrace_router.data.tables.served import ServedVersion

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

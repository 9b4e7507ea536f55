"""A pipeline as values, and the order in which its steps can run."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

PRESENT = "present"
"""The input of a combiner that says which of the others are there."""
SELECTOR = "selector"
"""The input of a switch that selects, row by row."""
OUTPUT = "output"
"""What a combiner gives."""
AGREEMENT = "agreement"
"""What a combiner that votes gives besides: the share of the votes for its answer."""

REQUEST = ""
"""Stands for the request where a step is named."""


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor: output of a step, or input of the request."""

    step: str
    tensor: str

    def __str__(self) -> str:
        return f"{self.step or 'request'}.{self.tensor}"


@dataclass(frozen=True, slots=True)
class Edge:
    """What goes into one input of a step."""

    input: str
    source: Source


@dataclass(frozen=True, slots=True)
class ModelStep:
    """A registered model. version, alias: at most one is set; neither means the version in production."""

    model: str
    version: str = ""
    alias: str = ""

    def __str__(self) -> str:
        return f"{self.model}@{self.version or self.alias or 'production'}"


@dataclass(frozen=True, slots=True)
class GraphStep:
    """An ONNX artifact of the pipeline's version, by name."""

    artifact: str


class Kind(enum.StrEnum):
    """How a combiner makes one tensor of several."""

    MEAN = "mean"
    WEIGHTED = "weighted"
    VOTE = "vote"
    STACK = "stack"
    FIRST_GOOD = "first_good"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class Combiner:
    """One tensor of several. quorum: how many must be there, 0 for what is usual. attribute: of the request, by which a
    switch selects; empty where the input `selector` does. cases: input by value."""

    kind: Kind
    weights: tuple[float, ...] = ()
    quorum: int = 0
    attribute: str = ""
    cases: Mapping[str, str] = field(default_factory=dict)
    default_input: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One execution. timeout_ms: of one attempt, None for what the request has left. soft_fail: whether zeros stand for
    what it gives when it fails. cache_ms: how long its output is cached, None for not at all."""

    name: str
    runs: ModelStep | GraphStep | Combiner
    inputs: tuple[Edge, ...] = ()
    pool: str = ""
    timeout_ms: float | None = None
    retries: int = 0
    soft_fail: bool = False
    cache_ms: float | None = None

    @property
    def voters(self) -> tuple[Edge, ...]:
        """Return the inputs of a combiner that it makes its answer of: all but the selector."""
        return tuple(edge for edge in self.inputs if edge.input != SELECTOR or not self.selects_by_row)

    @property
    def selects_by_row(self) -> bool:
        """Return whether this is a switch with a selector."""
        return isinstance(self.runs, Combiner) and self.runs.kind is Kind.SWITCH and not self.runs.attribute

    @property
    def needed(self) -> int:
        """Return how many of a combiner's voters must be there; of another step, all its inputs."""
        count = len(self.voters)
        if not isinstance(self.runs, Combiner):
            return count
        if self.runs.kind is Kind.SWITCH:
            return 1 if self.runs.attribute else count
        return self.runs.quorum or (1 if self.runs.kind is Kind.FIRST_GOOD else count)


@dataclass(frozen=True, slots=True)
class Output:
    """What the pipeline answers under a name."""

    name: str
    source: Source


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps in any order, and outputs in theirs. fuse: whether all steps are one ONNX graph, which is one execution."""

    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    fuse: bool = False

    @property
    def by_name(self) -> dict[str, Step]:
        """Return the steps by name."""
        return {step.name: step for step in self.steps}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the inputs of the request that steps take, in the order in which they are first named."""
        named = (edge.source for step in self.steps for edge in step.inputs)
        return tuple(dict.fromkeys(source.tensor for source in named if source.step == REQUEST))


def levels(pipeline: Pipeline) -> tuple[tuple[Step, ...], ...]:
    """Return the steps so that each comes after those that it takes tensors from; steps of one level may run at once.

    Steps on a cycle, and what comes after them, are left out.
    """
    found: list[tuple[Step, ...]] = []
    done: set[str] = {REQUEST}
    left = list(pipeline.steps)
    while ready := tuple(step for step in left if all(edge.source.step in done for edge in step.inputs)):
        found.append(ready)
        done |= {step.name for step in ready}
        left = [step for step in left if step.name not in done]
    return tuple(found)


def leading_to_outputs(pipeline: Pipeline) -> set[str]:
    """Return the names of the steps that an output needs, directly or through others."""
    steps = pipeline.by_name
    found: set[str] = set()
    left = [output.source.step for output in pipeline.outputs]
    while left:
        name = left.pop()
        if name in steps and name not in found:
            found.add(name)
            left += [edge.source.step for edge in steps[name].inputs]
    return found

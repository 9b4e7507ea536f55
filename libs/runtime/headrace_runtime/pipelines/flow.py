"""What tensors flow through a pipeline: whether each edge fits, and what the request and the answer then look like."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from headrace_servicekit.errors import FieldViolation

from headrace_runtime.contract import FLOATS
from headrace_runtime.pipelines.graph import (
    AGREEMENT,
    OUTPUT,
    PRESENT,
    REQUEST,
    SELECTOR,
    Combiner,
    Kind,
    Pipeline,
    Source,
    Step,
    levels,
)

ANY = -1

AVERAGED = frozenset({"FP16", "FP32", "FP64"})
LABELS = frozenset({"INT32", "INT64", "BOOL", "BYTES"})
SELECTORS = frozenset({"INT32", "INT64", "BYTES"})
# What ONNX Runtime selects and compares on a CPU; BF16 and UINT64 it does not.
SELECTED = frozenset({"FP16", "FP32", "FP64", "BOOL", "BYTES"}) | {"INT8", "INT16", "INT32", "INT64"} | {
    "UINT8", "UINT16", "UINT32"
}  # fmt: skip
STACKED = SELECTED - {"BYTES"}


@dataclass(frozen=True, slots=True)
class Port:
    """A tensor of a step. shape: of one row; -1 varies by request."""

    name: str
    datatype: str
    shape: tuple[int, ...] = ()
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.datatype} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a step takes and gives."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """A pipeline whose edges fit. signatures: by step. inputs: of the request; outputs: of the answer."""

    signatures: Mapping[str, Signature]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Unfit(Exception):
    """Edges that do not fit; each violation names one."""

    def __init__(self, violations: Iterable[FieldViolation]) -> None:
        self.violations = list(violations)
        super().__init__("; ".join(violation.description for violation in self.violations))


def flow(pipeline: Pipeline, members: Mapping[str, Signature], field: str) -> Flow:
    """Return what flows through a pipeline that is sound in itself. Raises Unfit.

    members: signatures by step, of models and graphs; those of combiners follow from what they are given.
    """
    return _Walk(pipeline, members, field).run()


class _Walk:
    """One pass over the steps, each after those that it takes tensors from."""

    def __init__(self, pipeline: Pipeline, members: Mapping[str, Signature], field: str) -> None:
        self._pipeline, self._field = pipeline, field
        self._signatures = dict(members)
        self._places = {step.name: f"{field}.steps[{index}]" for index, step in enumerate(pipeline.steps)}
        self._request: dict[str, Port] = {}
        self._asked_by: dict[str, str] = {}
        self._found: list[FieldViolation] = []

    def run(self) -> Flow:
        for level in levels(self._pipeline):
            for step in level:
                if isinstance(step.runs, Combiner):
                    self._combine(step, step.runs)
                else:
                    self._take(step)
                self._check_soft_failure(step)
        outputs = []
        for index, output in enumerate(self._pipeline.outputs):
            port = self._given(output.source, f"{self._field}.outputs[{index}]")
            if port is not None:
                outputs.append(replace(port, name=output.name))
        if self._found:
            raise Unfit(self._found)
        inputs = tuple(self._request[name] for name in self._pipeline.inputs if name in self._request)
        if not inputs:
            raise Unfit([FieldViolation(self._field, "no step takes anything from the request")])
        return Flow(self._signatures, inputs, tuple(outputs))

    def _take(self, step: Step) -> None:
        """Check the edges into a model or graph."""
        place, wanted = self._places[step.name], {port.name: port for port in self._signatures[step.name].inputs}
        for number, edge in enumerate(step.inputs):
            where = f"{place}.inputs[{number}]"
            port = wanted.get(edge.input)
            if port is None:
                self._wrong(where, f"step '{step.name}' has no input '{edge.input}'; it has: {_some(wanted)}")
            elif edge.source.step == REQUEST:
                self._ask(edge.source.tensor, port, where)
            elif (given := self._given(edge.source, where)) is not None and not _fits(given, port):
                what = f"{edge.source} gives {given}; input '{edge.input}' of step '{step.name}' takes {port}"
                self._wrong(where, what)
        for name in sorted(wanted.keys() - {edge.input for edge in step.inputs}):
            if not wanted[name].optional:
                self._wrong(f"{place}.inputs", f"nothing goes into input '{name}' of step '{step.name}'")

    def _ask(self, name: str, port: Port, where: str) -> None:
        """Note that a step takes an input of the request: several must agree, the narrower shape counts."""
        known = self._request.get(name)
        if known is None:
            self._request[name], self._asked_by[name] = Port(name, port.datatype, port.shape), where
            return
        shape = _narrower(known.shape, port.shape)
        if known.datatype != port.datatype or shape is None:
            self._wrong(
                where, f"takes {port} from the request's '{name}', of which {self._asked_by[name]} takes {known}"
            )
        else:
            self._request[name] = replace(known, shape=shape)

    def _given(self, source: Source, where: str) -> Port | None:
        """Return the tensor that a step gives, None when that is wrong or not known for what was wrong before it."""
        signature = self._signatures.get(source.step)
        if signature is None:
            return None
        ports = {port.name: port for port in signature.outputs}
        if source.tensor not in ports:
            self._wrong(where, f"step '{source.step}' gives no '{source.tensor}'; it gives: {_some(ports)}")
        return ports.get(source.tensor)

    def _combine(self, step: Step, combiner: Combiner) -> None:
        """Check the edges into a combiner, and note what it takes and gives."""
        place = self._places[step.name]
        voters: list[Port] = []
        selector: Port | None = None
        for number, edge in enumerate(step.inputs):
            where = f"{place}.inputs[{number}]"
            selects = step.selects_by_row and edge.input == SELECTOR
            if edge.source.step == REQUEST:
                selector = Port(SELECTOR, "BYTES")
                self._ask(edge.source.tensor, selector, where)
                continue
            given = self._given(edge.source, where)
            if given is None:
                continue
            problem = _selector_problem(given, combiner) if selects else _voter_problem(given, voters, combiner)
            if problem:
                self._wrong(where, f"{edge.source} gives {given}: {problem}")
            elif selects:
                selector = replace(given, name=SELECTOR)
            else:
                voters.append(replace(given, name=edge.input))
        if len(voters) == len(step.voters) and (selector is not None or not step.selects_by_row):
            inputs = (*voters, *((selector,) if selector else ()), Port(PRESENT, "BOOL", (len(voters),)))
            self._signatures[step.name] = Signature(inputs, _combined(combiner, voters))

    def _check_soft_failure(self, step: Step) -> None:
        signature = self._signatures.get(step.name)
        if not step.soft_fail or signature is None:
            return
        for port in signature.outputs:
            if ANY in port.shape:
                what = f"'{port.name}' of step '{step.name}' has a row shape that varies, {list(port.shape)}"
                self._wrong(f"{self._places[step.name]}.soft_fail", f"{what}: nothing can stand for it")

    def _wrong(self, where: str, what: str) -> None:
        self._found.append(FieldViolation(where, what))


def _combined(combiner: Combiner, voters: list[Port]) -> tuple[Port, ...]:
    first = voters[0]
    if combiner.kind is Kind.STACK:
        return (Port(OUTPUT, "FP32", (sum(math.prod(port.shape) for port in voters),)),)
    if combiner.kind is Kind.VOTE:
        datatype = "FP32" if first.datatype in FLOATS else first.datatype
        return Port(OUTPUT, datatype, first.shape), Port(AGREEMENT, "FP32")
    return (Port(OUTPUT, first.datatype, first.shape),)


def _voter_problem(given: Port, voters: list[Port], combiner: Combiner) -> str | None:
    kind = combiner.kind
    if kind is Kind.STACK:
        if given.datatype not in STACKED:
            return f"only {_some(STACKED)} can be stacked"
        return "a shape that varies cannot be stacked" if ANY in given.shape else None
    if kind in (Kind.MEAN, Kind.WEIGHTED) and given.datatype not in AVERAGED:
        return f"a mean is taken of {_some(AVERAGED)}"
    if kind is Kind.VOTE and (problem := _vote_problem(given)):
        return problem
    if given.datatype not in SELECTED:
        return f"{kind} takes {_some(SELECTED)}"
    if voters and (given.datatype, given.shape) != (voters[0].datatype, voters[0].shape):
        return f"'{voters[0].name}' beside it has {voters[0]}, and all must be alike"
    return None


def _vote_problem(given: Port) -> str | None:
    if given.datatype in AVERAGED:
        scores = len(given.shape) == 1 and given.shape[0] > 1
        return None if scores else "scores to vote with have the row shape [classes], of two or more"
    if given.datatype not in LABELS:
        return f"a vote is taken of labels ({_some(LABELS)}) or scores ({_some(AVERAGED)})"
    return None if given.shape in ((), (1,)) else "a label is one value for each row"


def _selector_problem(given: Port, combiner: Combiner) -> str | None:
    if given.datatype not in SELECTORS or given.shape not in ((), (1,)):
        return f"a selector is one value for each row, of {_some(SELECTORS)}"
    if given.datatype != "BYTES":
        bits = 31 if given.datatype == "INT32" else 63
        for value in combiner.cases:
            if not _is_whole(value) or not -(2**bits) <= int(value) < 2**bits:
                return f"case {value[:40]!r} is no {given.datatype}"
    return None


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < 20


def _fits(given: Port, taken: Port) -> bool:
    """Return whether every tensor that is given may be taken."""
    return given.datatype == taken.datatype and len(given.shape) == len(taken.shape) and all(
        theirs in (ANY, mine) for mine, theirs in zip(given.shape, taken.shape, strict=True)
    )  # fmt: skip


def _narrower(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...] | None:
    if len(one) != len(other) or any(ANY not in (a, b) and a != b for a, b in zip(one, other, strict=True)):
        return None
    return tuple(b if a == ANY else a for a, b in zip(one, other, strict=True))


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    shown = [name[:100] for name in ordered[:16]]
    return ", ".join([*shown, *([f"and {len(ordered) - 16} more"] if len(ordered) > 16 else [])]) or "none"

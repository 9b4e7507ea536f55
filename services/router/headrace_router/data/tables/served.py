"""A version that route tables name: the layouts that its requests have, and the forms of its answers.

Requests repeat their descriptions: layouts are kept, and the usual check is one look-up. So it is with answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from headrace.router.v1 import predict_pb2
from headrace_servicekit.varint import varint

from headrace_router.data.tables.contract import (
    ELEMENT_BYTES,
    Contract,
    Described,
    Layout,
    check,
    fits,
    select,
    sensitive_names,
)
from headrace_router.data.tables.decisions.repetition import Repetition

MAX_LAYOUTS = 1024


class ServedVersion:
    """A version, with the layouts that its requests had.

    answers: which of them keep the contract. decoupled: whether it answers in parts. pipeline: None for one that a
    batcher computes. sensitive_inputs, sensitive_outputs: names of tensors whose values must never be stored or logged.
    sensitive_attributes: names of such tensors and of their columns, also of members, casefolded: attributes that are
    called so have the same values. models: its own, and those of members, which batchers compute for it. repetition:
    of its requests, as this process has seen them.
    """

    __slots__ = (
        "answers", "contract", "decoupled", "digest", "layouts", "model", "models", "pipeline", "repetition",
        "selections", "sensitive_attributes", "sensitive_inputs", "sensitive_outputs", "signature_hash", "version",
        "without_inputs",
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
        self.answers, self.repetition = KnownForms(contract), Repetition()
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


MAX_FORMS = 1024
ANY_LENGTH = -1
# Field 6, length-delimited: the values of one output.
_VALUES_TAG = b"\x32"

Form = tuple[tuple[int, bytes], ...]
"""Of outputs of one length: where, and which bytes. Everything but their values."""
Frame = tuple[bytes, tuple[int, ...]]
"""Of outputs whose lengths vary: their descriptions, and the length of each, ANY_LENGTH for BYTES."""


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


class KnownForms:
    """Answers of one version that were found to keep its contract. The next ones of the same shape are compared alone.

    An answer is its descriptions (field 5) and, each behind a tag and its length, the values of its outputs (field 6).
    Where no output is BYTES, the rows, the outputs wanted and the length of it all nearly always say what stands where.
    """

    __slots__ = ("_contract", "_forms", "_frames", "_last", "_sized")

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._sized = all(spec.datatype in ELEMENT_BYTES for spec in contract.outputs)
        self._forms: dict[tuple[int, tuple[int, ...], int], Form] = {}
        self._frames: dict[tuple[int, tuple[int, ...]], Frame] = {}
        # Of the last answer that had its values in one piece: rows, outputs wanted, length, and what is before them.
        self._last: tuple[int, tuple[int, ...], int, bytes] = (-1, (), 0, b"")

    def keep_contract(self, rows: int, wanted: tuple[int, ...], outputs: bytes) -> bool:
        """Return whether these are the outputs that a request wanted. wanted: as in `InferRequest`."""
        last_rows, last_wanted, size, prefix = self._last
        if rows == last_rows and wanted == last_wanted and len(outputs) == size and outputs.startswith(prefix):
            return True
        if self._sized:
            form = self._forms.get((rows, wanted, len(outputs)))
            if form is not None and _has(outputs, form):
                if len(form) == 1:
                    self._last = (rows, wanted, len(outputs), form[0][1])
                return True
        else:
            frame = self._frames.get((rows, wanted))
            if frame is not None and _is_in(outputs, frame):
                return True
        return self._learn(rows, wanted, outputs)

    def _learn(self, rows: int, wanted: tuple[int, ...], outputs: bytes) -> bool:
        """Return whether outputs keep the contract, and remember what they look like."""
        message = checked(self._contract, wanted, rows, outputs)
        if message is None:
            return False
        described = predict_pb2.PredictResponse(outputs=message.outputs).SerializeToString()
        lengths = [len(content) for content in message.raw_output_contents]
        if not _is_in(outputs, (described, tuple(lengths))):
            return False  # other bytes lie between, and would get into the answer of a codec
        if self._sized:
            _bound(self._forms)
            self._forms[rows, wanted, len(outputs)] = _form_of(described, lengths)
        else:
            _bound(self._frames)
            sized = [tensor.datatype in ELEMENT_BYTES for tensor in message.outputs]
            kept = tuple(length if one else ANY_LENGTH for length, one in zip(lengths, sized, strict=True))
            self._frames[rows, wanted] = (described, kept)
        return True


def checked(contract: Contract, wanted: Sequence[int], rows: int, outputs: bytes) -> predict_pb2.PredictResponse | None:
    """Return the outputs as a message, or None when they are not those of the contract that are wanted.

    What is stored or sent has a checksum; this is about a writer that is wrong, whose bytes would fail a codec or its
    caller.
    """
    try:
        message = predict_pb2.PredictResponse.FromString(outputs)
    except DecodeError:
        return None
    specs = [contract.outputs[position] for position in wanted] if wanted else contract.outputs
    contents = message.raw_output_contents
    if not len(message.outputs) == len(contents) == len(specs):
        return None
    for spec, tensor, content in zip(specs, message.outputs, contents, strict=True):
        shape = tensor.shape
        if tensor.name != spec.name or tensor.datatype != spec.datatype or not shape or shape[0] != rows:
            return None
        if not fits(spec, shape):
            return None
        size = ELEMENT_BYTES.get(spec.datatype)
        if size is not None and math.prod(shape) * size != len(content):
            return None
    return message


def selected(message: predict_pb2.PredictResponse, wanted: Sequence[int]) -> bytes:
    """Return the encoded outputs at some positions of all."""
    return predict_pb2.PredictResponse(
        outputs=[message.outputs[position] for position in wanted],
        raw_output_contents=[message.raw_output_contents[position] for position in wanted],
    ).SerializeToString()


def _form_of(described: bytes, lengths: Sequence[int]) -> Form:
    parts, at, part = [], 0, described
    for length in lengths:
        part += _VALUES_TAG + varint(length)
        parts.append((at, part))
        at += len(part) + length
        part = b""
    return tuple(parts)


def _has(outputs: bytes, form: Form) -> bool:
    for at, part in form:  # noqa: SIM110 - `all` takes twice as long
        if not outputs.startswith(part, at):
            return False
    return True


def _is_in(outputs: bytes, frame: Frame) -> bool:
    described, lengths = frame
    if not outputs.startswith(described):
        return False
    at, end = len(described), len(outputs)
    for expected in lengths:
        if at + 1 >= end or outputs[at] != _VALUES_TAG[0]:
            return False
        length, at = _length(outputs, at + 1)
        if expected not in (ANY_LENGTH, length):
            return False
        at += length
    return at == end


def _length(outputs: bytes, at: int) -> tuple[int, int]:
    """Return the length at a place, and where its value begins. One that is cut off ends nowhere."""
    length = shift = 0
    for byte in outputs[at : at + 5]:
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return length, at
        shift += 7
    return len(outputs), at


def _bound(known: dict[Any, Any]) -> None:
    if len(known) >= MAX_FORMS:
        del known[next(iter(known))]

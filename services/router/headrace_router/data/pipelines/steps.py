"""The steps of one run: what goes into each, what it gave, and tensors as bytes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import predict_pb2
from headrace_servicekit.errors import Code, FieldViolation, ServiceError, error_for

from headrace_router.data.answer.refusals import blamed_field, blamed_position
from headrace_router.data.batchers.work import Work
from headrace_router.data.tables.contract import Contract, Layout, Spec
from headrace_router.data.tables.served import REQUEST, Plan, PlannedStep, ServedVersion
from headrace_router.datatypes import ELEMENT_BYTES


@dataclass(slots=True)
class Tensor:
    """One tensor of a request or of a step's answer. shape: with the rows."""

    datatype: str
    shape: tuple[int, ...]
    content: bytes


Given = Mapping[tuple[int, int], Tensor]
"""Tensors that are there, by the step that gives them and their position in what it has."""


def inputs_of(step: PlannedStep, given: Given, allowed: Collection[int], rows: int) -> dict[int, Tensor]:
    """Return what goes into a step, by positions in its member's contract.

    allowed: voters of a combiner that may be there, by their positions in what it takes. Zeros stand for the others.
    """
    if step.present is None:
        return {take.position: given[take.step, take.tensor] for take in step.takes}
    inputs: dict[int, Tensor] = {}
    there: dict[int, bool] = {}
    for index, take in enumerate(step.takes):
        found = given.get((take.step, take.tensor))
        if index in step.voters:
            there[index] = found is not None and index in allowed
        if found is not None and there.get(index, True):
            inputs[take.position] = found
    like = next(inputs[step.takes[index].position] for index in step.voters if there[index])
    for index in step.voters:
        if not there[index]:
            position = step.takes[index].position
            spec = step.served.contract.inputs[position]
            # Of a size that varies, that of those beside it: all voters are alike.
            shape = like.shape if -1 in spec.shape else (rows, *spec.shape)
            inputs[position] = zeros(spec.datatype, shape)
    inputs[step.present] = presence([there[index] for index in step.voters], rows)
    return inputs


def work_of(
    asked: Work,
    step: PlannedStep,
    inputs: dict[int, Tensor],
    deadline: float,
    loop: asyncio.AbstractEventLoop,
    max_rows: int,
    queue_timeout_s: float,
) -> tuple[Work, Layout]:
    """Return the work of a step, and how its inputs are laid out. asked: the work of the pipeline.

    Raises InvalidArgument for sizes that do not fit.
    """
    layout, contents = laid_out(step.served, inputs, max_rows)
    answer: asyncio.Future[batcher_pb2.InferResponse] = loop.create_future()
    work = Work(answer, step.pool or asked.pool, step.served.digest, asked.rows, contents, deadline)
    work.absent, work.dims = layout.absent, layout.dims
    work.outputs = step.gives if len(step.gives) < len(step.served.contract.outputs) else ()
    work.max_wait_us, work.hedged, work.answers = asked.max_wait_us, asked.hedged, step.served.answers
    work.client, work.priority, work.queue_timeout_s = asked.client, asked.priority, queue_timeout_s
    work.traceparent, work.request_id = asked.traceparent, asked.request_id
    work.again, work.attempts = asked.again, asked.attempts
    if asked.trace is not None:
        work.trace = asked.trace.of_step(step.name, f"{step.served.model}/{step.served.version}")
    return work, layout


def blamed(step: PlannedStep, error: ServiceError) -> ServiceError:
    """Return the error of a step: an input that it blames is the pipeline's where it came from the request."""
    violations = []
    for violation in error.violations:
        position = blamed_position(violation.field)
        source = next((take for take in step.takes if take.position == position and take.step == REQUEST), None)
        if source is not None:
            violations.append(FieldViolation(blamed_field(source.tensor), violation.description))
    return error_for(
        error.code,
        f"step '{step.name}': {error.public_message}",
        reason=error.reason,
        violations=tuple(violations),
        retry_after_s=error.retry_after_s,
        metadata={**error.metadata, "step": step.name},
    )


class StepResults:
    """The tensors of one request: its own, and those of its steps.

    given: by the step that gives them and their position in what it has. failed: steps that an answer does without.
    """

    def __init__(self, plan: Plan, contract: Contract, rows: int) -> None:
        self._plan, self._contract, self._rows = plan, contract, rows
        self.given: dict[tuple[int, int], Tensor] = {}
        self.failed: list[int] = []
        self._errors: dict[int, ServiceError] = {}
        self._invalid = False
        self._spent_us = [(0, 0)] * len(plan.steps)
        """Of each step: in queues and computing, on the way to it that took longest, and in itself."""

    def take_request(self, work: Work) -> None:
        """Take what the request brings."""
        found = of_request(self._contract.inputs, work.rows, work.absent, work.dims, work.inputs)
        for position, tensor in found.items():
            self.given[REQUEST, position] = tensor

    def take(self, at: int, response: batcher_pb2.InferResponse) -> None:
        """Take what a step answered."""
        step = self._plan.steps[at]
        self._invalid = self._invalid or response.invalid_rows > 0
        for position, tensor in of_answer(response.outputs, step.gives).items():
            self.given[at, position] = tensor
        before = max([self._spent_us[take.step] for take in step.takes if take.step != REQUEST], default=(0, 0))
        self._spent_us[at] = (before[0] + response.queue_us, before[1] + response.compute_us)

    def stand_in_for(self, at: int) -> None:
        """Let zeros stand for what a step would have given."""
        step = self._plan.steps[at]
        for position in step.gives:
            spec = step.served.contract.outputs[position]
            self.given[at, position] = zeros(spec.datatype, (self._rows, *spec.shape))

    def note(self, at: int, error: ServiceError) -> None:
        """Note the error of an attempt at a step; the latest one counts."""
        self._errors[at] = error

    def answer(self, outputs: Sequence[int]) -> batcher_pb2.InferResponse:
        """Return the answer. outputs: positions in the contract of those wanted, all of which are there."""
        specs = [self._contract.outputs[position] for position in outputs]
        sources = [self._plan.outputs[position] for position in outputs]
        queue_us, compute_us = max(self._spent_us[at] for at, _ in sources)
        return batcher_pb2.InferResponse(
            outputs=encoded(specs, [self.given[source] for source in sources]),
            batch_rows=self._rows,
            batch_requests=1,
            queue_us=queue_us,
            compute_us=compute_us,
            invalid_rows=self._rows if self._invalid else 0,
        )

    def missing(self) -> tuple[str, ...]:
        """Return the names of the steps that the answer does without."""
        return tuple(self._plan.steps[at].name for at in sorted(set(self.failed)))

    def error(self) -> ServiceError:
        """Return the error of the step that comes first, one that blames the request before others."""
        errors = [self._errors[at] for at in sorted(self._errors)]
        return next((one for one in errors if one.code is Code.INVALID_ARGUMENT), errors[0])


# Of one element of BYTES: the length of an empty text.
EMPTY_TEXT_BYTES = 4


def of_request(
    specs: Sequence[Spec], rows: int, absent: Sequence[int], dims: Sequence[int], contents: Sequence[bytes]
) -> dict[int, Tensor]:
    """Return the inputs of a request by their positions in the contract. absent, dims: as in `InferRequest`."""
    sizes, values = iter(dims), iter(contents)
    return {
        position: Tensor(
            spec.datatype, (rows, *(next(sizes) if size == -1 else size for size in spec.shape)), next(values)
        )
        for position, spec in enumerate(specs)
        if position not in absent
    }


def of_answer(outputs: bytes, gives: Sequence[int]) -> dict[int, Tensor]:
    """Return what a step answered, which keeps its member's contract, by the positions that were asked for."""
    message = predict_pb2.PredictResponse.FromString(outputs)
    return {
        position: Tensor(described.datatype, tuple(described.shape), content)
        for position, described, content in zip(gives, message.outputs, message.raw_output_contents, strict=True)
    }


def zeros(datatype: str, shape: tuple[int, ...]) -> Tensor:
    """Return what stands for a tensor that is missing: zeros, or empty texts."""
    size = EMPTY_TEXT_BYTES if datatype == "BYTES" else ELEMENT_BYTES[datatype]
    return Tensor(datatype, shape, bytes(math.prod(shape) * size))


def presence(there: Sequence[bool], rows: int) -> Tensor:
    """Return the input by which a combiner knows which of its voters are there."""
    return Tensor("BOOL", (rows, len(there)), bytes(there) * rows)


def laid_out(member: ServedVersion, tensors: dict[int, Tensor], max_rows: int) -> tuple[Layout, list[bytes]]:
    """Return how the inputs of a step are laid out, and their contents in the order of its member's contract.

    tensors: by position in the contract. Raises InvalidArgument when a size that varies does not fit.
    """
    specs, positions = member.contract.inputs, sorted(tensors)
    described = tuple([(specs[at].name, tensors[at].datatype, *tensors[at].shape) for at in positions])
    return member.layout(described, max_rows), [tensors[at].content for at in positions]


def encoded(specs: Sequence[Spec], tensors: Sequence[Tensor]) -> bytes:
    """Return outputs as fields 5 and 6 of PredictResponse."""
    message = predict_pb2.PredictResponse()
    for spec, tensor in zip(specs, tensors, strict=True):
        message.outputs.add(name=spec.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_output_contents.append(tensor.content)
    return message.SerializeToString()

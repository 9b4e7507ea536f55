"""The work of one step: what goes into it, and whose fault an error of it is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import FieldViolation, ServiceError, error_for

from headrace_router.data.answer.refusals import blamed_field, blamed_position
from headrace_router.data.batchers.work import Work
from headrace_router.data.pipelines import tensors
from headrace_router.data.pipelines.tensors import Tensor
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.plan import REQUEST, PlannedStep

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
            inputs[position] = tensors.zeros(spec.datatype, shape)
    inputs[step.present] = tensors.presence([there[index] for index in step.voters], rows)
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
    layout, contents = tensors.laid_out(step.served, inputs, max_rows)
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

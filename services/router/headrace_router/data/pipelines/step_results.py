"""What the steps of one request gave, and the answer or the error that this makes."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code, ServiceError

from headrace_router.data.batchers.work import Work
from headrace_router.data.pipelines import tensors
from headrace_router.data.pipelines.tensors import Tensor
from headrace_router.data.tables.contract import Contract
from headrace_router.data.tables.plan import REQUEST, Plan


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
        found = tensors.of_request(self._contract.inputs, work.rows, work.absent, work.dims, work.inputs)
        for position, tensor in found.items():
            self.given[REQUEST, position] = tensor

    def take(self, at: int, response: batcher_pb2.InferResponse) -> None:
        """Take what a step answered."""
        step = self._plan.steps[at]
        self._invalid = self._invalid or response.invalid_rows > 0
        for position, tensor in tensors.of_answer(response.outputs, step.gives).items():
            self.given[at, position] = tensor
        before = max([self._spent_us[take.step] for take in step.takes if take.step != REQUEST], default=(0, 0))
        self._spent_us[at] = (before[0] + response.queue_us, before[1] + response.compute_us)

    def stand_in_for(self, at: int) -> None:
        """Let zeros stand for what a step would have given."""
        step = self._plan.steps[at]
        for position in step.gives:
            spec = step.served.contract.outputs[position]
            self.given[at, position] = tensors.zeros(spec.datatype, (self._rows, *spec.shape))

    def note(self, at: int, error: ServiceError) -> None:
        """Note the error of an attempt at a step; the latest one counts."""
        self._errors[at] = error

    def answer(self, outputs: Sequence[int]) -> batcher_pb2.InferResponse:
        """Return the answer. outputs: positions in the contract of those wanted, all of which are there."""
        specs = [self._contract.outputs[position] for position in outputs]
        sources = [self._plan.outputs[position] for position in outputs]
        queue_us, compute_us = max(self._spent_us[at] for at, _ in sources)
        return batcher_pb2.InferResponse(
            outputs=tensors.encoded(specs, [self.given[source] for source in sources]),
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

"""Executions of one version: run a batch, give each member its rows or its failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence

import structlog
from headrace_runtime import shapes
from headrace_runtime.backends.backend import Backend, BackendLost, ModelError, OutOfMemory, stream
from headrace_runtime.contract import Contract
from headrace_runtime.shapes import Layout, OutputTensor, ShapeKey, WrongOutput
from headrace_servicekit.errors import Code

from headrace_batcher.batching.padder import cut_back
from headrace_batcher.batching.part_execution import PartExecution
from headrace_batcher.batching.traces import Traces
from headrace_batcher.batching.usage import VersionUsage
from headrace_batcher.batching.value_checks import OutputChecks, rows_with_nan
from headrace_batcher.decisions import policy
from headrace_batcher.decisions.answers import EXPIRED, MODEL_FAILING, MODEL_REJECTED_INPUT, Answer, Failure
from headrace_batcher.decisions.at_backend import AtBackend, Sent
from headrace_batcher.decisions.compute import Way
from headrace_batcher.decisions.part_flow import PartFlow
from headrace_batcher.decisions.service_times import ServiceTimes
from headrace_batcher.decisions.work import DONE, Work, settle
from headrace_batcher.metrics import BatchCounters

log = structlog.get_logger()

_MAX_LAYOUTS = 1024


class Executor:
    """Runs batches on a backend. name: of the version there. way: where it executes them, None if unknown."""

    def __init__(
        self,
        name: str,
        contract: Contract,
        backend: Backend,
        counters: BatchCounters,
        traces: Traces,
        now: Callable[[], float],
        instances: int,
        service_times: ServiceTimes | None = None,
        usage: VersionUsage | None = None,
        way: Callable[[], Way | None] = lambda: None,
    ) -> None:
        self.service_times = service_times or ServiceTimes()
        self.at_backend = AtBackend(instances)
        self._last_answer = -1.0
        self._in_parts: set[PartExecution] = set()
        self._name = name
        self._contract = contract
        self._output_checks = OutputChecks(contract.outputs)
        self._backend = backend
        self._counters = counters
        self._traces = traces
        self._usage = usage or VersionUsage()
        self._way = way
        self._now = now
        self._layouts: dict[ShapeKey, Layout] = {}
        self._failures_in_a_row = 0
        self._unlogged = 0
        self._log_again_at = 0.0

    @property
    def last_answer(self) -> float:
        """Return when an execution last ended, with any outcome, or streamed a part; -1 before the first. A model that
        waits for the reader of its parts is not silent.
        """
        return self._now() if any(one.waiting for one in self._in_parts) else self._last_answer

    def layout(self, key: ShapeKey) -> Layout:
        """Return the layout of all requests with that key. Raises WrongInput."""
        layout = self._layouts.get(key)
        if layout is None:
            layout = shapes.layout_of(self._contract, key)
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            self._layouts[key] = layout
        return layout

    def send(self, batch: Sequence[Work]) -> Sent:
        """Note that a batch goes to the backend now; to be given to `run`."""
        return self.at_backend.send(sum(work.rows for work in batch), self._now())

    async def run(self, batch: Sequence[Work], sent: Sent) -> None:
        """Execute a batch; if its model fails, execute its halves, so that only who is to blame fails, and twice.

        Raises BackendLost; members that were not settled by then are not settled here.
        """
        try:
            halves = await self._attempt(batch, sent)
        finally:
            self.at_backend.end(sent, self._now())
        for half in halves:
            await self.run(half, self.send(half))

    async def _attempt(self, batch: Sequence[Work], sent: Sent) -> Sequence[list[Work]]:
        """Execute a batch, and settle its members unless the model fails; return what is then to be executed apart."""
        members = self.still_wanted(batch)
        if not members:
            return ()
        layout = self.layout(members[0].key)
        members, inputs = self._joined(layout, members)
        if not members:
            return ()
        if self._contract.decoupled:
            await self._answer_in_parts(members[0], stream(self._backend, self._name, layout, members[0].rows, inputs))
            return ()
        rows = sum(work.rows for work in members)
        try:
            try:
                outputs = await self._backend.infer(self._name, layout, rows, inputs)
            finally:
                ended = self._now()
                # One that overtook those before it took no time that anybody could tell.
                self._usage.executed(members, rows, 0.0 if sent.began is None else ended - sent.began)
            self._answer(members, rows, outputs, sent, ended)
        except BackendLost as error:
            self._trace_failure(members, rows, sent, error)
            raise
        except (ModelError, WrongOutput) as error:
            self._trace_failure(members, rows, sent, error)
            self._last_answer = self._now()
            # Nothing checks what the wire to the backend does to values: once may have been its doing.
            first_time = not members[0].failed
            for work in members:
                work.failed = True
            if len(members) == 1 and first_time:
                return (members,)
            self._failures_in_a_row += 1
            if len(members) > 1:
                half = len(members) // 2
                return members[:half], members[half:]
            self._blame(members[0], error)
        return ()

    def still_wanted(self, batch: Sequence[Work]) -> list[Work]:
        """Return the members that still want an answer; fail those whose deadline has passed."""
        now = self._now()
        members = []
        for work in batch:
            if work.state is DONE:
                continue
            if work.deadline <= now:
                self.expire(work)
            else:
                members.append(work)
        return members

    def fail(self, work: Work, failure: Failure) -> None:
        """Fail a request that executed, or was about to."""
        if work.state is not DONE:
            self._counters.failed[failure.reason] += 1
            settle((work,), failure)

    def expire(self, work: Work, failure: Failure = EXPIRED) -> None:
        """Tell a request that its deadline has passed, or would before its answer."""
        if work.state is not DONE:
            self._counters.expired += 1
            settle((work,), failure)

    def _joined(self, layout: Layout, members: list[Work]) -> tuple[list[Work], list[bytes]]:
        """Return the members that may execute, with their tensors joined; fail those with a forbidden NaN."""
        inputs = shapes.join([work.inputs for work in members])
        blamed: dict[int, int] = {}
        rows = sum(work.rows for work in members)
        for index, spec in enumerate(layout.inputs):
            if spec.nan_allowed:
                continue
            bad_rows = rows_with_nan(inputs[index], spec.datatype, rows)
            for at in _rows_by_member(bad_rows, members):
                blamed.setdefault(at, layout.positions[index])
        if not blamed:
            return members, inputs
        for at, position in blamed.items():
            name = self._contract.inputs[position].name
            message = f"input '{name}' holds NaN, which the contract of this model does not allow"
            self.fail(members[at], Failure(Code.INVALID_ARGUMENT, "NAN_NOT_ALLOWED", message, position))
        innocent = [work for at, work in enumerate(members) if at not in blamed]
        return innocent, shapes.join([work.inputs for work in innocent]) if innocent else []

    def _answer(
        self, members: Sequence[Work], rows: int, outputs: list[OutputTensor], sent: Sent, ended: float
    ) -> None:
        """Give every member its rows. Raises WrongOutput before any member has an answer."""
        # One that overtook those before it says nothing of how long it took.
        started = ended if sent.began is None else sent.began
        ordered = shapes.outputs_in_order(self._contract, rows, outputs)
        counts = [work.rows for work in members]
        columns = [shapes.slice_output(output, counts) for output in ordered]
        row_shapes = tuple(output.shape[1:] for output in ordered)
        bad_rows = self._output_checks.invalid_rows(ordered, rows)
        invalid = _rows_by_member(bad_rows, members) if bad_rows else {}
        compute_s = ended - started
        self._last_answer = ended
        self._failures_in_a_row = 0
        if sent.began is not None:
            self.service_times.observe(rows, compute_s, ended)
        self._traces.executed(members, rows, started, ended)
        counters = self._counters
        counters.batch_rows.observe(rows)
        counters.batch_requests.observe(len(members))
        counters.compute_s.observe(compute_s)
        if (way := self._way()) is not None:
            counters.executions[way] += 1
        for at, (work, *values) in enumerate(zip(members, *columns, strict=True)):
            if work.state is DONE:
                continue
            queue_s = started - work.arrived
            counters.queue_s.observe(queue_s)
            if not work.is_piece:
                counters.answered += 1
            work.state = DONE
            of_one = row_shapes
            if work.cut:
                of_one, values = cut_back(self._contract, ordered, work.rows, values, work.cut)
            work.sink.settle(
                work, Answer(of_one, values, rows, len(members), queue_s, compute_s, invalid.get(at, 0), way)
            )

    async def _answer_in_parts(self, work: Work, parts: AsyncGenerator[list[OutputTensor], None]) -> None:
        """Send all parts of one answer, and then how it ended. Raises BackendLost."""
        assert work.flow is not None  # the stream that it came by sees to that
        execution, started = PartExecution(work, self._contract, self._output_checks, self._now), self._now()
        failure = ""
        self._in_parts.add(execution)
        try:
            await execution.run(parts, started, self._note_answer)
        except (ModelError, WrongOutput) as error:
            failure = type(error).__name__
            self._note_answer()
            self._failures_in_a_row += 1
            self._blame(work, error)
        except BackendLost as error:
            failure = type(error).__name__
            raise
        finally:
            self._in_parts.discard(execution)
            self._count_parts(work, work.flow, execution, started, failure)
        if execution.failure is not None:
            self.fail(work, execution.failure)
        elif work.state is not DONE:
            self._failures_in_a_row = 0
            self._counters.answered += 1
            work.state, work.flow.whole = DONE, True
            queue_s = started - work.arrived
            work.sink.settle(work, Answer((), (), work.rows, 1, queue_s, execution.compute_s))

    def _note_answer(self) -> None:
        self._last_answer = self._now()

    def _count_parts(self, work: Work, flow: PartFlow, execution: PartExecution, started: float, failure: str) -> None:
        ended, counters = self._now(), self._counters
        self._usage.executed((work,), work.rows, execution.compute_s)
        if execution.first_s is not None:
            # Later parts wait for the reader, so only the first part measures the model.
            self.service_times.observe(work.rows, execution.first_s, ended)
        counters.batch_rows.observe(work.rows)
        counters.batch_requests.observe(1)
        counters.queue_s.observe(started - work.arrived)
        counters.compute_s.observe(execution.compute_s)
        counters.parts += flow.parts
        counters.part_bytes += flow.size_bytes
        counters.parts_waited_s += execution.waited_s
        self._traces.executed((work,), work.rows, started, ended, failure=failure)

    def _blame(self, work: Work, error: Exception) -> None:
        """Fail a request that was alone in its execution."""
        for_memory = isinstance(error, OutOfMemory)
        blamed = isinstance(error, ModelError) and policy.lone_failure_blames_input(
            self._failures_in_a_row, for_memory=for_memory
        )
        failure = MODEL_REJECTED_INPUT if blamed else MODEL_FAILING
        self._log_failure(work, error, blamed)
        self.fail(work, failure)

    def _trace_failure(self, members: Sequence[Work], rows: int, sent: Sent, error: Exception) -> None:
        ended = self._now()
        started = ended if sent.began is None else sent.began
        self._traces.executed(members, rows, started, ended, failure=type(error).__name__)

    def _log_failure(self, work: Work, error: Exception, blamed: bool) -> None:
        """Log at most one failure a second: a caller can make as many as requests."""
        now = self._now()
        self._unlogged += 1
        if now < self._log_again_at:
            return
        cause = str(error)[:500]
        log.warning(
            "model failed", model=self._name, failures=self._unlogged, rows=work.rows, blamed=blamed, cause=cause
        )
        self._unlogged, self._log_again_at = 0, now + 1.0


def _rows_by_member(rows: Sequence[int], members: Sequence[Work]) -> Counter[int]:
    """Return how many of the given rows of their batch each member has; rows are rising."""
    found: Counter[int] = Counter()
    at, end = 0, members[0].rows
    for row in rows:
        while row >= end:
            at += 1
            end += members[at].rows
        found[at] += 1
    return found

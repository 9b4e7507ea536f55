"""Answers in parts in the batcher: who executes when, what waits for whom, and how each request ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_batcher.batching import part_execution
from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_batcher.batching.usage import VersionUsage
from headrace_batcher.decisions import policy
from headrace_batcher.decisions.answers import Failure
from headrace_batcher.decisions.part_flow import MAX_AT_ONCE, MAX_UNTAKEN_BYTES, PartFlow
from headrace_batcher.decisions.work import Work
from headrace_batcher.frames import Exchange
from headrace_batcher.roster import Roster
from headrace_runtime.backends.backend import ModelCrashed, ModelError, ProcessCrashed
from headrace_runtime.shapes import Layout, OutputTensor
from headrace_servicekit.testing import eventually
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.batcher.scripted_backend import X_TO_Y, Doubling, WorkMaker

IN_PARTS = replace(X_TO_Y, decoupled=True)
ALONE = policy.Limits(max_rows=4, preferred_rows=(4,), max_wait_s=60.0, alone=True)


class Counting(Doubling):
    """A backend that answers `x` with as many parts as its first value says, at the gate before each.

    ended: the requests whose stream was closed. after: what is raised behind the last part.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: list[int] = []
        self.ended: list[float] = []
        self.after: Exception | None = None

    async def stream(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]
    ) -> AsyncIterator[list[OutputTensor]]:
        values = np.frombuffer(inputs[0], dtype="<f4")
        self.executed.append(values.tolist())
        try:
            for at in range(int(values[0])):
                await self.gate.wait()
                self.made.append(at)
                yield [OutputTensor("y", "FP32", (rows,), np.full(rows, at, "<f4").tobytes())]
            if self.after is not None:
                raise self.after
        finally:
            self.ended.append(float(values[0]))


@asynccontextmanager
async def serving(
    backend: Counting,
    limits: policy.Limits = ALONE,
    usage: VersionUsage | None = None,
    gate: ExecutionGate | None = None,
) -> AsyncIterator[Batcher]:
    batcher = Batcher("m--v", IN_PARTS, limits, backend, usage=usage, gate=gate)
    loop = asyncio.create_task(batcher.serve_forever())
    try:
        yield batcher
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


@pytest.fixture
def make() -> WorkMaker:
    return WorkMaker()


def submit(
    batcher: Batcher, make: WorkMaker, *many: Sequence[float], at_once: int = 16, **fields: object
) -> list[Work]:
    works = [make(values, batcher=batcher, arrived=time.monotonic(), **fields) for values in many]  # type: ignore[arg-type]
    for work in works:
        work.flow = PartFlow(at_once)
        batcher.submit(work)
    return works


async def settled(make: WorkMaker, *works: Work) -> None:
    await eventually(lambda: all(work.id in make.sink.outcomes for work in works), within=10)


async def test_each_request_is_executed_by_itself_and_no_more_at_once_than_there_are_instances(make):
    backend = Counting()
    backend.gate.clear()
    async with serving(backend, replace(ALONE, instances=2)) as batcher:
        works = submit(batcher, make, [3.0], [2.0, 2.0], [1.0], [0.0])
        await eventually(lambda: len(backend.executed) == 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert sorted(map(len, backend.executed)) == [1, 2]
        backend.gate.set()
        await settled(make, *works)
    assert [make.sink.parts.get(work.id, []) for work in works] == [[0, 1, 2], [0, 1], [0], []]
    assert [make.sink.reason(work) for work in works] == ["OK"] * 4
    assert (batcher.counters.parts, batcher.counters.answered) == (6, 4)
    assert batcher.counters.part_bytes == 4 * (3 + 2 * 2 + 1)


async def test_a_model_waits_while_nobody_takes_and_is_not_silent_meanwhile(make):
    backend = Counting()
    make.sink.takes = False
    async with serving(backend) as batcher:
        (work,) = submit(batcher, make, [100.0], at_once=4)
        await eventually(lambda: len(backend.made) == 4)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(backend.made) == 4
        before = time.monotonic()
        assert batcher.last_answer >= before
        assert work.flow is not None
        work.flow.taken(2)
        await eventually(lambda: len(backend.made) == 6)
        batcher.cancel(work)
        await eventually(lambda: backend.ended == [100.0])
        assert batcher.counters.cancelled == 1
        # Its place is free, and what it waited counts as no work of the model.
        (other,) = submit(batcher, make, [1.0])
        await settled(make, other)
    assert work.id not in make.sink.outcomes


async def test_whoever_takes_nothing_for_too_long_is_told_and_gives_its_place_to_others(make, monkeypatch):
    monkeypatch.setattr(part_execution, "TAKE_WITHIN_S", 0.05)
    backend = Counting()
    make.sink.takes = False
    async with serving(backend) as batcher:
        (slow,) = submit(batcher, make, [100.0], at_once=2)
        await settled(make, slow)
        make.sink.takes = True
        (next_one,) = submit(batcher, make, [3.0])
        await settled(make, next_one)
    assert (make.sink.reason(slow), make.sink.parts[slow.id]) == ("READER_TOO_SLOW", [0, 1])
    assert make.sink.parts[next_one.id] == [0, 1, 2]
    assert batcher.counters.parts_waited_s >= 0.05
    assert batcher.counters.compute_s.total < 0.05


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModelError("no"), "MODEL_REJECTED_INPUT"),
        (ModelCrashed("it died"), "BACKEND_CRASHED"),
        (RuntimeError("ours"), "INTERNAL"),
    ],
)
async def test_an_error_comes_behind_the_parts_before_it_and_nothing_is_tried_again(make, error, reason):
    backend = Counting()
    backend.after = error
    async with serving(backend) as batcher:
        (work,) = submit(batcher, make, [2.0])
        await settled(make, work)
        for _ in range(20):
            await asyncio.sleep(0)
    assert (make.sink.parts[work.id], make.sink.reason(work)) == ([0, 1], reason)
    assert len(backend.executed) == 1


async def test_an_input_that_ended_its_process_twice_is_refused_and_no_other_is(make):
    backend = Counting()
    backend.after = ProcessCrashed("it died")
    async with serving(backend) as batcher:
        for reason in ("BACKEND_CRASHED", "QUARANTINED_INPUT", "QUARANTINED_INPUT"):
            (poison,) = submit(batcher, make, [2.0])
            await settled(make, poison)
            assert make.sink.reason(poison) == reason
        assert backend.executed == [[2.0]] * 2, "the third time nothing is executed"
        assert batcher.counters.failed == {"BACKEND_CRASHED": 1, "QUARANTINED_INPUT": 2}
        backend.after = None
        (other,) = submit(batcher, make, [1.0])
        await settled(make, other)
        assert make.sink.parts[other.id] == [0]


async def test_whoever_was_executing_beside_an_input_that_ended_its_process_is_not_suspected(make):
    backend = Counting()
    backend.after = ModelCrashed("another one ended it")
    async with serving(backend) as batcher:
        for _ in range(3):
            (neighbour,) = submit(batcher, make, [2.0])
            await settled(make, neighbour)
            assert make.sink.reason(neighbour) == "BACKEND_CRASHED"


async def test_an_input_that_is_answered_to_the_end_is_suspected_no_more(make):
    backend = Counting()
    async with serving(backend) as batcher:
        for after, reason in (
            (ProcessCrashed("once"), "BACKEND_CRASHED"),
            (None, "OK"),
            (ProcessCrashed("once more"), "BACKEND_CRASHED"),
            (ModelError("no proof of anything"), "MODEL_REJECTED_INPUT"),
            (ProcessCrashed("again"), "QUARANTINED_INPUT"),
        ):
            backend.after = after
            (work,) = submit(batcher, make, [2.0])
            await settled(make, work)
            assert make.sink.reason(work) == reason


async def test_a_deadline_ends_an_answer_behind_the_parts_that_were_in_time(make):
    backend = Counting()
    backend.gate.clear()
    async with serving(backend) as batcher:
        (work,) = submit(batcher, make, [2.0], deadline=time.monotonic() + 0.1)
        await settled(make, work)
        assert backend.ended == [2.0]
    outcome = make.sink.outcomes[work.id]
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.message) == (
        "DEADLINE_PASSED",
        "the deadline passed before the last part was there",
    )


async def test_whoever_is_answered_in_parts_uses_what_the_model_worked_also_on_a_part_that_came_too_late(make):
    backend, usage = Counting(), VersionUsage()
    async with serving(backend, usage=usage) as batcher:
        (whole,) = submit(batcher, make, [3.0], client="ada")
        await settled(make, whole)
        backend.gate.clear()
        (late,) = submit(batcher, make, [2.0], client="bob", deadline=time.monotonic() + 0.1)
        await settled(make, late)
        computed_s = batcher.counters.compute_s.total

    used = usage.take()
    assert {client: use[:2] for (client, _), use in used.items()} == {"ada": [1, 1], "bob": [1, 1]}
    assert used["bob", 0][2] > 0.05
    assert sum(use[2] for use in used.values()) == pytest.approx(computed_s)


async def test_while_an_answer_goes_on_the_batcher_is_busy_and_nobody_who_is_to_be_alone_waits_for_it(make):
    backend, gate = Counting(), ExecutionGate()
    backend.gate.clear()
    async with serving(backend, gate=gate) as batcher:
        (work,) = submit(batcher, make, [1.0])
        await eventually(lambda: bool(backend.executed))
        assert gate.empty
        await eventually(lambda: gate.busy_s > 0)
        backend.gate.set()
        await settled(make, work)
        await asyncio.sleep(0)
        busy_s = gate.busy_s
        await asyncio.sleep(0.01)
        assert gate.busy_s == busy_s


async def test_a_batcher_that_stops_ends_what_goes_on(make):
    backend = Counting()
    make.sink.takes = False
    async with serving(backend) as batcher:
        (work,) = submit(batcher, make, [100.0], at_once=1)
        await eventually(lambda: backend.made == [0])
    assert make.sink.reason(work) == "STOPPING"
    assert backend.ended == [100.0]


async def test_a_request_with_more_rows_than_are_executed_at_once_is_refused_rather_than_split(make):
    async with serving(Counting()) as batcher:
        (work,) = submit(batcher, make, [1.0] * 5)
        assert make.sink.reason(work) == "TOO_MANY_ROWS"


async def test_a_part_of_another_number_of_rows_is_an_error_of_the_model(make):
    class Widening(Counting):
        async def stream(self, name, layout, rows, inputs):
            yield [OutputTensor("y", "FP32", (rows + 1,), bytes(4 * (rows + 1)))]

    async with serving(Widening()) as batcher:
        (work,) = submit(batcher, make, [1.0])
        await settled(make, work)
    assert make.sink.reason(work) in ("MODEL_REJECTED_INPUT", "MODEL_FAILING")


async def test_a_version_whose_backend_answers_once_fails_its_requests(make):
    async with serving(Doubling()) as batcher:  # type: ignore[arg-type]
        (work,) = submit(batcher, make, [1.0])
        await settled(make, work)
    assert make.sink.reason(work) == "BACKEND_CRASHED"


# Frames.


async def exchanged(backend: Counting, *frames: batcher_pb2.ExchangeRequest) -> list[batcher_pb2.InferResponse]:
    """Send frames one after the other, each once the ones before it were answered as far as they are; close then."""
    roster, answers = Roster(), []
    async with serving(backend) as batcher:
        handle = roster.add("d", batcher)
        assert handle == 1
        queue: asyncio.Queue[batcher_pb2.ExchangeRequest | None] = asyncio.Queue()

        async def incoming() -> AsyncIterator[batcher_pb2.ExchangeRequest]:
            while (frame := await queue.get()) is not None:
                yield frame

        async def write(frame: batcher_pb2.ExchangeResponse) -> None:
            answers.extend(frame.responses)

        exchange = asyncio.create_task(Exchange(roster, "p", max_answer_bytes=100).serve(incoming(), write))
        for frame in frames:
            before = len(answers)
            queue.put_nowait(frame)
            await eventually(lambda before=before: len(answers) > before)
            for _ in range(50):
                await asyncio.sleep(0)
        queue.put_nowait(None)
        await exchange
    return answers


def asking(value: float, *, at_once: int) -> batcher_pb2.ExchangeRequest:
    data = np.array([value], "<f4").tobytes()
    request = batcher_pb2.InferRequest(id=7, version=1, rows=1, inputs=[data], parts_at_once=at_once)
    return batcher_pb2.ExchangeRequest(requests=[request])


async def test_parts_leave_in_frames_that_say_that_more_follow_and_the_last_says_how_it_ended():
    answers = await exchanged(Counting(), asking(3.0, at_once=16))
    assert [(one.id, one.more, bool(one.outputs), one.code) for one in answers] == [
        *[(7, True, True, 0)] * 3,
        (7, False, False, 0),
    ]
    assert answers[-1].batch_requests == 1


async def test_no_more_parts_are_sent_than_were_taken():
    taken = batcher_pb2.ExchangeRequest(taken=[batcher_pb2.PartsTaken(id=7, count=1)])
    backend = Counting()
    answers = await exchanged(backend, asking(100.0, at_once=2), taken, taken)
    assert len(answers) == 4
    assert backend.ended == [100.0], "the stream was closed, so nobody wants more"


async def test_a_sender_that_takes_one_answer_is_refused():
    (answer,) = await exchanged(Counting(), asking(3.0, at_once=0))
    assert (answer.reason, answer.more) == ("ANSWERS_IN_PARTS", False)


async def test_a_part_that_no_message_may_have_ends_the_answer():
    class Large(Counting):
        async def stream(self, name, layout, rows, inputs):
            yield [OutputTensor("y", "FP32", (rows,), bytes(4))]
            yield [OutputTensor("y", "FP32", (rows,), bytes(4))]

    roster, answers = Roster(), []
    async with serving(Large()) as batcher:
        roster.add("d", batcher)
        exchange = Exchange(roster, "p", max_answer_bytes=10)

        async def incoming() -> AsyncIterator[batcher_pb2.ExchangeRequest]:
            yield asking(1.0, at_once=16)
            await eventually(lambda: bool(answers))

        async def write(frame: batcher_pb2.ExchangeResponse) -> None:
            answers.extend(frame.responses)

        await exchange.serve(incoming(), write)
        assert (batcher.counters.parts, batcher.counters.failed) == (0, {"ANSWER_TOO_LARGE": 1})
    assert [one.reason for one in answers] == ["ANSWER_TOO_LARGE"]


# Flow.


@given(st.integers(0, 100), st.lists(st.one_of(st.integers(1, 3 * MAX_UNTAKEN_BYTES), st.just(0)), max_size=60))
def test_what_is_not_taken_is_bounded_and_one_part_may_always_go(at_once, moves):
    flow, untaken = PartFlow(at_once), []
    for size in moves:
        if not size:
            flow.taken(1)
            untaken = untaken[1:]
        elif flow.has_room:
            assert not untaken or (len(untaken) < MAX_AT_ONCE and sum(untaken) < MAX_UNTAKEN_BYTES)
            flow.sent(size)
            untaken.append(size)
        if not untaken:
            assert flow.has_room
        assert len(untaken) <= max(1, min(at_once, MAX_AT_ONCE))
        assert sum(untaken) < MAX_UNTAKEN_BYTES + max(untaken, default=1)
    flow.taken(2**32 - 1)
    assert flow.has_room


def test_whoever_stops_a_flow_stops_what_makes_its_parts():
    stopped = []
    flow = PartFlow(1)
    flow.abandon()
    assert flow.abandoned
    flow.stop = lambda: stopped.append(True)
    flow.abandon()
    assert stopped == [True]

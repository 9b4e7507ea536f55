"""Who executed when what ran the version went away is tried once more, with nothing beside it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from headrace_batcher.batching import poison_isolation
from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_batcher.decisions.work import Work
from headrace_runtime.backends.backend import BackendLost, ModelCrashed
from headrace_servicekit.testing import eventually

from tests.kit.batcher.scripted_backend import Doubling, WorkMaker, serving, settled, submit

POISON = 13.0


class Mortal(Doubling):
    """A backend that dies of one value, and of nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.deaths = 0
        self.act = self._die

    def _die(self, values: list[float]) -> None:
        if POISON in values:
            self.deaths += 1
            raise ModelCrashed("it died")


@asynccontextmanager
async def running(
    backend: Doubling, gate: ExecutionGate | None = None, *, comes_back: bool = True
) -> AsyncIterator[Batcher]:
    """A batcher whose version is loaded again as soon as it crashed."""

    def crashed(reason: str) -> None:
        batcher.lose()
        if comes_back:
            asyncio.get_running_loop().call_later(0.02, batcher.accept)

    async with serving(backend, gate=gate, crashed=crashed) as batcher:
        yield batcher


@asynccontextmanager
async def before_a_trial(backend: Doubling, work: WorkMaker) -> AsyncIterator[tuple[Batcher, ExecutionGate, Work]]:
    """A batcher with a suspect whose trial waits for a neighbour's execution: until `end` of the gate."""
    gate = ExecutionGate()
    gate.begin()
    async with running(backend, gate) as batcher:
        (suspect,) = submit(batcher, work, [POISON])
        await eventually(lambda: not gate.open)
        yield batcher, gate, suspect


async def test_the_culprit_is_refused_the_second_time_and_its_mates_are_answered(work: WorkMaker):
    backend = Mortal()
    async with running(backend) as batcher:
        works = submit(batcher, work, [1.0], [POISON], [2.0], [3.0])
        await settled(work, *works)
        assert [work.sink.reason(one) for one in works] == ["OK", "QUARANTINED_INPUT", "OK", "OK"]
        # Each was executed alone after the first time, and nobody a third time.
        assert backend.executed[1:] == [[1.0], [POISON], [2.0], [3.0]]
        again, mate = submit(batcher, work, [POISON], [4.0])
        await settled(work, again, mate)
    assert (work.sink.reason(again), work.sink.rows(mate)) == ("QUARANTINED_INPUT", [8.0])
    assert (backend.deaths, batcher.counters.failed) == (2, {"QUARANTINED_INPUT": 2})


async def test_who_waited_is_no_suspect_and_is_told_at_once(work: WorkMaker):
    backend = Mortal()
    backend.gate.clear()
    async with running(backend) as batcher:
        (poison,) = submit(batcher, work, [POISON])
        await eventually(lambda: backend.executed)
        (waits,) = submit(batcher, work, [1.0])
        backend.gate.set()
        await settled(work, waits)
        assert work.sink.reason(waits) == "NO_BACKEND"
        await settled(work, poison)
    assert backend.executed == [[POISON], [POISON]]


async def test_a_culprit_whose_caller_left_is_known_when_it_comes_again(work: WorkMaker):
    backend = Mortal()
    async with running(backend) as batcher:
        (first,) = submit(batcher, work, [POISON])
        await eventually(lambda: backend.executed)
        batcher.cancel(first)
        await eventually(lambda: backend.deaths == 1 and batcher.accepting)
        again, mate = submit(batcher, work, [POISON], [1.0])
        await settled(work, again)
        assert work.sink.reason(again) == "QUARANTINED_INPUT"
        await settled(work, mate)
    assert [POISON] in backend.executed
    assert [POISON, 1.0] not in backend.executed


async def test_a_part_of_a_large_request_is_guilty_for_all_of_it(work: WorkMaker):
    backend = Mortal()
    async with running(backend) as batcher:
        (large,) = submit(batcher, work, [*([1.0] * 9), POISON])
        await settled(work, large)
        assert work.sink.reason(large) == "QUARANTINED_INPUT"
        (fine,) = submit(batcher, work, [2.0])
        await eventually(lambda: batcher.rows == 0)
    assert work.sink.reason(fine) in ("OK", "NO_BACKEND")


async def test_nothing_else_of_the_backend_executes_during_a_trial(work: WorkMaker):
    gate, backend, other = ExecutionGate(), Mortal(), Doubling()
    async with running(backend, gate) as batcher, running(other, gate) as neighbour:
        submit(batcher, work, [POISON])
        await eventually(lambda: backend.deaths == 1)
        backend.gate.clear()
        await eventually(lambda: len(backend.executed) == 2)
        (waits,) = submit(neighbour, work, [1.0])
        await asyncio.sleep(0.05)
        assert other.executed == []
        backend.gate.set()
        await settled(work, waits)
    assert work.sink.rows(waits) == [2.0]


async def test_nobody_is_condemned_for_a_crash_while_a_version_is_loaded(work: WorkMaker):
    gate, backend = ExecutionGate(), Mortal()
    async with running(backend, gate) as batcher:
        gate.begin_loading()
        (suspect,) = submit(batcher, work, [POISON])
        await settled(work, suspect)
        assert work.sink.reason(suspect) == "BACKEND_CRASHED"
        gate.end_loading()
        await eventually(lambda: batcher.accepting)
        (again,) = submit(batcher, work, [POISON])
        await settled(work, again)
    assert work.sink.reason(again) == "QUARANTINED_INPUT"


async def test_a_suspect_whose_caller_left_before_its_trial_stays_one(work: WorkMaker):
    backend = Mortal()
    async with before_a_trial(backend, work) as (batcher, gate, suspect):
        batcher.cancel(suspect)
        gate.end()
        await eventually(lambda: gate.open)
        again, mate = submit(batcher, work, [POISON], [1.0])
        await settled(work, again, mate)
    assert (work.sink.reason(again), backend.deaths) == ("QUARANTINED_INPUT", 2)
    assert [POISON, 1.0] not in backend.executed


async def test_nobody_is_condemned_for_a_crash_before_the_trial_began(work: WorkMaker):
    backend = Mortal()
    async with before_a_trial(backend, work) as (batcher, gate, suspect):
        batcher.lose()
        gate.end()
        await eventually(lambda: gate.open)
        backend.act = lambda values: None  # it was not why
        batcher.accept()
        await settled(work, suspect)
    assert (backend.executed, work.sink.reason(suspect)) == ([[POISON], [POISON]], "OK")


async def test_a_defect_in_a_trial_fails_that_request_and_the_loop_goes_on(work: WorkMaker):
    backend = Mortal()
    async with running(backend) as batcher:
        (suspect,) = submit(batcher, work, [POISON])
        await eventually(lambda: backend.deaths == 1)
        backend.fail_once(RuntimeError("secret"))
        await settled(work, suspect)
        (fine,) = submit(batcher, work, [1.0])
        await settled(work, fine)
    assert (work.sink.reason(suspect), work.sink.reason(fine)) == ("INTERNAL", "OK")


async def test_a_suspect_whose_time_is_over_is_told_and_not_tried(work: WorkMaker):
    backend = Mortal()
    async with running(backend, comes_back=False) as batcher:
        mate, _ = submit(batcher, work, [1.0], [POISON], deadline=time.monotonic() + 0.2)
        await settled(work, mate)
    assert work.sink.reason(mate) == "DEADLINE_PASSED"
    assert backend.executed == [[1.0, POISON]]


async def test_a_suspect_without_a_deadline_is_told_when_the_version_does_not_come_back(work: WorkMaker, monkeypatch):
    monkeypatch.setattr(poison_isolation, "LONGEST_WAIT_S", 0.2)
    backend = Mortal()
    async with running(backend, comes_back=False) as batcher:
        mate, poison = submit(batcher, work, [1.0], [POISON])
        await settled(work, mate, poison)
        assert batcher.rows == 0
    assert [work.sink.reason(one) for one in (mate, poison)] == ["BACKEND_CRASHED"] * 2
    assert backend.executed == [[1.0, POISON]]


async def test_a_suspect_waits_until_its_own_deadline_however_late_that_is(work: WorkMaker, monkeypatch):
    monkeypatch.setattr(poison_isolation, "LONGEST_WAIT_S", 0.0)
    backend = Mortal()
    async with running(backend) as batcher:
        (mate,) = submit(batcher, work, [1.0], deadline=time.monotonic() + 60)
        backend.fail_once(ModelCrashed("it died"))
        await settled(work, mate)
    assert work.sink.reason(mate) == "OK"


@pytest.mark.parametrize("gone", [True, False])
async def test_a_lost_execution_is_a_crash_only_if_the_backend_is_gone(work: WorkMaker, gone: bool):
    backend = Doubling()

    backend.fail_once(BackendLost("no answer in time"))
    async with running(backend) as batcher:
        (executed,) = submit(batcher, work, [1.0])
        await eventually(lambda: backend.executed)
        if gone:
            batcher.lose()
            batcher.accept()
        await settled(work, executed)
    assert work.sink.reason(executed) == ("OK" if gone else "BACKEND_CRASHED")

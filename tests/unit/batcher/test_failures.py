"""Whoever fails does so alone: mates of the poisonous are answered, and the loop goes on whatever happens to it."""

import asyncio
import math

import pytest
from headrace_batcher.decisions.answers import Answer, Failure
from headrace_batcher.decisions.policy import MAX_BLAMED_IN_A_ROW, Limits
from headrace_batcher.decisions.work import Work
from headrace_runtime.backends.backend import BackendLost, ModelCrashed, ModelError, OutOfMemory
from headrace_runtime.shapes import WrongOutput
from headrace_servicekit.errors import Code
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.batcher.scripted_backend import Doubling, WorkMaker, executing, serving, settled, submit
from tests.kit.stack.logs import logged_lines


async def test_one_poison_fails_alone_and_the_others_are_executed_without_it(backend: Doubling, work: WorkMaker):
    def poison(values: list[float]) -> None:
        if 13.0 in values:
            raise ModelError("unlucky")

    backend.act = poison
    async with serving(backend, Limits(max_rows=32)) as batcher:
        works = submit(batcher, work, *([float(at)] for at in range(32)))
        await settled(work, *works)
    for at, one in enumerate(works):
        if at == 13:
            outcome = work.sink.outcomes[one.id]
            assert isinstance(outcome, Failure)
            assert (outcome.code, outcome.reason) == (Code.INVALID_ARGUMENT, "MODEL_REJECTED_INPUT")
        else:
            assert work.sink.rows(one) == [at * 2.0]
    assert batcher.counters.failed == {"MODEL_REJECTED_INPUT": 1}


async def test_a_model_that_fails_on_everything_is_unavailable_rather_than_the_fault_of_callers(
    backend: Doubling, work: WorkMaker
):
    def broken(values: list[float]) -> None:
        raise ModelError("broken")

    backend.act = broken
    async with serving(backend) as batcher:
        reasons = []
        for _ in range(MAX_BLAMED_IN_A_ROW + 1):
            (one,) = submit(batcher, work, [1.0])
            await settled(work, one)
            reasons.append(work.sink.reason(one))
    assert (reasons[0], reasons[-1]) == ("MODEL_REJECTED_INPUT", "MODEL_FAILING")


async def test_a_backend_without_memory_is_unavailable_rather_than_the_fault_of_callers(
    backend: Doubling, work: WorkMaker
):
    def full(values: list[float]) -> None:
        raise OutOfMemory("Failed to allocate memory for requested buffer of size 268435456")

    backend.act = full
    async with serving(backend) as batcher:
        reasons = []
        for _ in range(4):
            (one,) = submit(batcher, work, [1.0])
            await settled(work, one)
            reasons.append(work.sink.reason(one))
    # The first may have asked for too much.
    assert reasons == ["MODEL_REJECTED_INPUT", "MODEL_FAILING", "MODEL_FAILING", "MODEL_FAILING"]


@pytest.mark.parametrize("error", [ModelError("unlucky"), WrongOutput("garbled")], ids=["refused", "not its outputs"])
async def test_what_fails_once_alone_is_executed_again_rather_than_blamed(
    backend: Doubling, work: WorkMaker, error: Exception
):
    """Nothing between batcher and backend checks bytes: what failed may not be what the caller sent."""
    backend.fail_once(error)
    async with serving(backend) as batcher:
        (one,) = submit(batcher, work, [1.0])
        await settled(work, one)
    assert work.sink.rows(one) == [2.0]
    assert backend.executed == [[1.0], [1.0]]
    assert not batcher.counters.failed


async def test_who_failed_with_others_is_blamed_after_failing_alone_as_well(backend: Doubling, work: WorkMaker):
    def poison(values: list[float]) -> None:
        if 13.0 in values:
            raise ModelError("unlucky")

    backend.act = poison
    async with serving(backend, Limits(max_rows=2)) as batcher:
        bad, good = submit(batcher, work, [13.0], [1.0])
        await settled(work, bad, good)
    assert work.sink.reason(bad) == "MODEL_REJECTED_INPUT"
    assert backend.executed.count([13.0]) == 1


async def test_a_nan_is_blamed_on_its_request_before_anything_is_executed(backend: Doubling, work: WorkMaker):
    async with serving(backend) as batcher:
        fine, bad, also_fine = submit(batcher, work, [1.0], [2.0, math.nan], [3.0])
        await settled(work, fine, bad, also_fine)
    assert backend.executed == [[1.0, 3.0]]
    outcome = work.sink.outcomes[bad.id]
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.blamed_input) == ("NAN_NOT_ALLOWED", 0)
    assert work.sink.rows(also_fine) == [6.0]


async def test_a_batch_of_nothing_but_nan_executes_nothing(backend: Doubling, work: WorkMaker):
    async with serving(backend) as batcher:
        (bad,) = submit(batcher, work, [math.nan])
        await settled(work, bad)
        (fine,) = submit(batcher, work, [1.0])
        await settled(work, fine)
    assert backend.executed == [[1.0]]


async def test_a_lost_backend_is_told_to_who_executed_and_who_waits_is_kept(backend: Doubling, work: WorkMaker):
    backend.gate.clear()

    backend.fail_once(BackendLost("gone"))
    async with serving(backend) as batcher:
        (executed,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        (waits,) = submit(batcher, work, [2.0])
        backend.gate.set()
        await settled(work, executed, waits)
    assert work.sink.reason(executed) == "BACKEND_CRASHED"
    assert work.sink.rows(waits) == [4.0]


@pytest.mark.parametrize("error", [ModelError("unlucky"), BackendLost("gone")], ids=["its model", "its backend"])
async def test_a_followed_request_is_found_in_the_log_when_its_execution_fails(
    backend: Doubling, work: WorkMaker, error: Exception
):
    backend.fail_once(error)
    with logged_lines() as lines:
        async with serving(backend) as batcher:
            followed = work([1.0], batcher=batcher)
            followed.request_id = "a"
            batcher.submit(followed)
            await settled(work, followed)
    line, *_again = lines.of("batch executed")
    assert (line["request_ids"], line["failure"]) == (["a"], type(error).__name__)


async def test_a_defect_fails_its_batch_and_the_loop_goes_on(backend: Doubling, work: WorkMaker):
    backend.fail_once(RuntimeError("secret"))
    async with serving(backend) as batcher:
        (first,) = submit(batcher, work, [1.0])
        await settled(work, first)
        (second,) = submit(batcher, work, [2.0])
        await settled(work, second)
    outcome = work.sink.outcomes[first.id]
    assert isinstance(outcome, Failure)
    assert (outcome.code, "secret" in outcome.message) == (Code.INTERNAL, False)
    assert work.sink.rows(second) == [4.0]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 11), min_size=1, max_size=25),
    st.sets(st.integers(0, 24)),
    st.sets(st.integers(0, 24)),
    st.integers(1, 3),
)
def test_everybody_gets_exactly_their_rows_or_their_own_failure(sizes, poisonous, leaving, instances):
    """Whatever the sizes, whoever is poisonous and whoever leaves: one outcome each, no batch too large."""
    make = WorkMaker()
    rows = [[100.0 * at + row for row in range(size)] for at, size in enumerate(sizes)]
    poison = {rows[at][-1] for at in poisonous if at < len(rows)}

    async def scenario() -> tuple[Doubling, list[Work]]:
        backend = Doubling()

        def act(values: list[float]) -> None:
            if poison & set(values):
                raise ModelError("poison")

        backend.act = act
        async with serving(backend, Limits(max_rows=8, preferred_rows=(4, 8), instances=instances)) as batcher:
            works = submit(batcher, make, *rows)
            await asyncio.sleep(0)
            for at in leaving:
                if at < len(works) and works[at].id not in make.sink.outcomes:
                    batcher.cancel(works[at])
            stayed = [one for at, one in enumerate(works) if at not in leaving]
            await settled(make, *stayed)
        return backend, works

    backend, works = asyncio.run(scenario())
    assert all(len(values) <= 8 for values in backend.executed)
    for at, one in enumerate(works):
        outcome = make.sink.outcomes.get(one.id)
        if isinstance(outcome, Answer):
            assert make.sink.rows(one) == [value * 2 for value in rows[at]]
        elif at not in leaving:
            assert at in poisonous, outcome


async def test_what_executed_on_a_server_of_others_that_went_away_is_not_suspected(backend: Doubling, work: WorkMaker):
    told: list[str] = []

    backend.fail_once(ModelCrashed("it is not there any more"))
    async with serving(backend, ours=False, crashed=told.append) as batcher:
        (lost,) = submit(batcher, work, [1.0])
        await settled(work, lost)
        (same,) = submit(batcher, work, [1.0])
        await settled(work, same)
    assert (work.sink.reason(lost), told) == ("BACKEND_CRASHED", ["it is not there any more"])
    assert work.sink.rows(same) == [2.0]

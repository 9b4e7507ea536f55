"""The loop settles every waiter on its own: mates of the cancelled, the poisonous, the late and the split."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headrace_batcher.backends.backend import BackendLost, ModelCrashed, ModelError
from headrace_batcher.batching.answers import BACKEND_LOST, Answer, Failure
from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.batching.policy import MAX_BLAMED_IN_A_ROW, Limits
from headrace_batcher.batching.work import BATCH, SHADOW, Work
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.batching import X_TO_Y, Doubling, WorkMaker

# Long enough that no wait is used up by a slow machine; the tests say what is executed when.
LIMITS = Limits(max_rows=4, preferred_rows=(4,), max_wait_s=60.0)


@asynccontextmanager
async def running(backend: Doubling, limits: Limits = LIMITS) -> AsyncIterator[Batcher]:
    batcher = Batcher("m--v", X_TO_Y, limits, backend)
    loop = asyncio.create_task(batcher.serve_forever())
    try:
        yield batcher
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


def submit(batcher: Batcher, make: WorkMaker, *many: list[float], **fields) -> list[Work]:
    works = [make(values, batcher=batcher, arrived=time.monotonic(), **fields) for values in many]
    for one in works:
        batcher.submit(one)
    return works


async def settled(make: WorkMaker, *works: Work) -> None:
    await eventually(lambda: all(one.id in make.sink.outcomes for one in works))


async def executing(backend: Doubling, count: int) -> None:
    await eventually(lambda: len(backend.executed) == count)


async def test_what_comes_in_one_turn_shares_an_execution(backend: Doubling, work: WorkMaker):
    async with running(backend) as batcher:
        first, second = submit(batcher, work, [1.0], [2.0, 3.0])
        await settled(work, first, second)
    assert backend.executed == [[1.0, 2.0, 3.0]]
    assert (work.sink.rows(first), work.sink.rows(second)) == ([2.0], [4.0, 6.0])


async def test_while_the_backend_is_busy_one_batch_is_formed_and_no_more_than_one_sent_ahead(
    backend: Doubling, work: WorkMaker
):
    backend.gate.clear()
    async with running(backend) as batcher:
        works = submit(batcher, work, [1.0])
        await executing(backend, 1)
        works += submit(batcher, work, [2.0], [3.0], [4.0])
        await asyncio.sleep(0.02)
        assert len(backend.executed) == 1
        works += submit(batcher, work, [5.0], [6.0])
        await executing(backend, 2)
        works += submit(batcher, work, [7.0], [8.0], [9.0])
        await asyncio.sleep(0.02)
        assert backend.executed == [[1.0], [2.0, 3.0, 4.0, 5.0]]
        backend.gate.set()
        await settled(work, *works)
    assert backend.executed[2:] == [[6.0, 7.0, 8.0, 9.0]]


async def test_a_used_up_wait_sends_what_there_is(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend) as batcher:
        submit(batcher, work, [1.0])
        await executing(backend, 1)
        submit(batcher, work, [2.0], max_wait_s=0.005)
        await executing(backend, 2)
    assert backend.executed == [[1.0], [2.0]]


async def test_what_was_sent_ahead_waited_until_the_execution_before_it_ended(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend) as batcher:
        first = submit(batcher, work, [1.0])
        await executing(backend, 1)
        ahead = submit(batcher, work, [2.0], max_wait_s=0.0)
        await executing(backend, 2)
        gone_s = 0.05
        opened_at = time.monotonic() + gone_s
        await eventually(lambda: time.monotonic() >= opened_at)
        backend.gate.set()
        await settled(work, *first, *ahead)
    answers = [work.sink.outcomes[one.id] for one in (*first, *ahead)]
    assert isinstance(answers[0], Answer) and isinstance(answers[1], Answer)  # noqa: PT018
    assert answers[0].compute_s >= gone_s
    assert answers[1].queue_s >= gone_s
    # What one row takes was learnt from the first alone: twice as much would be refused from now on.
    assert batcher.service_times.estimate(1, time.monotonic()) < 2 * answers[0].compute_s


async def test_a_cancelled_caller_does_not_delay_the_rest_of_its_batch(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend) as batcher:
        gone, stays = submit(batcher, work, [1.0], [2.0])
        await executing(backend, 1)
        batcher.cancel(gone)
        backend.gate.set()
        await settled(work, stays)
    assert work.sink.rows(stays) == [4.0]
    assert gone.id not in work.sink.outcomes
    assert batcher.counters.cancelled == 1


async def test_a_request_cancelled_while_it_waits_is_absent_from_its_batch(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend) as batcher:
        (busy,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        gone, stays = submit(batcher, work, [2.0], [3.0])
        batcher.cancel(gone)
        backend.gate.set()
        await settled(work, busy, stays)
    assert backend.executed == [[1.0], [3.0]]
    assert (batcher.counters.cancelled, batcher.rows) == (1, 0)


async def test_one_poison_fails_alone_and_the_others_are_executed_without_it(backend: Doubling, work: WorkMaker):
    def poison(values: list[float]) -> None:
        if 13.0 in values:
            raise ModelError("unlucky")

    backend.act = poison
    async with running(backend, Limits(max_rows=32)) as batcher:
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
    async with running(backend) as batcher:
        reasons = []
        for _ in range(MAX_BLAMED_IN_A_ROW + 1):
            (one,) = submit(batcher, work, [1.0])
            await settled(work, one)
            reasons.append(work.sink.reason(one))
    assert (reasons[0], reasons[-1]) == ("MODEL_REJECTED_INPUT", "MODEL_FAILING")


async def test_a_nan_is_blamed_on_its_request_before_anything_is_executed(backend: Doubling, work: WorkMaker):
    async with running(backend) as batcher:
        fine, bad, also_fine = submit(batcher, work, [1.0], [2.0, math.nan], [3.0])
        await settled(work, fine, bad, also_fine)
    assert backend.executed == [[1.0, 3.0]]
    outcome = work.sink.outcomes[bad.id]
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.blamed_input) == ("NAN_NOT_ALLOWED", 0)
    assert work.sink.rows(also_fine) == [6.0]


async def test_a_batch_of_nothing_but_nan_executes_nothing(backend: Doubling, work: WorkMaker):
    async with running(backend) as batcher:
        (bad,) = submit(batcher, work, [math.nan])
        await settled(work, bad)
        (fine,) = submit(batcher, work, [1.0])
        await settled(work, fine)
    assert backend.executed == [[1.0]]


async def test_what_is_larger_than_a_batch_gets_one_answer_in_order(backend: Doubling, work: WorkMaker):
    async with running(backend) as batcher:
        (large,) = submit(batcher, work, [float(at) for at in range(10)])
        await settled(work, large)
    assert [len(values) for values in backend.executed] == [4, 4, 2]
    assert work.sink.rows(large) == [at * 2.0 for at in range(10)]


async def test_a_split_request_fails_once_and_executes_no_further(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend) as batcher:
        (large,) = submit(batcher, work, [math.nan, *([0.0] * 19)])
        (mate,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        await eventually(lambda: large.id in work.sink.outcomes)
        backend.gate.set()
        await settled(work, mate)
    assert work.sink.reason(large) == "NAN_NOT_ALLOWED"
    assert sum(len(values) for values in backend.executed) <= 5


async def test_a_cancelled_split_request_leaves_nothing_behind(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend) as batcher:
        (large,) = submit(batcher, work, [1.0] * 20)
        await executing(backend, 2)
        batcher.cancel(large)
        backend.gate.set()
        await eventually(lambda: batcher.rows == 0)
    assert len(backend.executed) == 2
    assert work.sink.outcomes == {}
    assert batcher.counters.cancelled == 1


async def test_an_expired_request_is_told_while_the_backend_is_busy_and_never_executed(
    backend: Doubling, work: WorkMaker
):
    backend.gate.clear()
    async with running(backend) as batcher:
        (busy,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        (ahead,) = submit(batcher, work, [2.0], max_wait_s=0.0)
        await executing(backend, 2)
        (late,) = submit(batcher, work, [3.0], deadline=time.monotonic() + 0.01)
        await settled(work, late)
        assert work.sink.reason(late) == "DEADLINE_PASSED"
        backend.gate.set()
        await settled(work, busy, ahead)
    assert [3.0] not in backend.executed
    assert batcher.counters.expired == 1


async def test_a_lost_backend_is_told_to_who_executed_and_who_waits_is_kept(backend: Doubling, work: WorkMaker):
    backend.gate.clear()

    def lose(values: list[float]) -> None:
        backend.act = lambda values: None
        raise BackendLost("gone")

    backend.act = lose
    async with running(backend) as batcher:
        (executed,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        (waits,) = submit(batcher, work, [2.0])
        backend.gate.set()
        await settled(work, executed, waits)
    assert work.sink.reason(executed) == "BACKEND_CRASHED"
    assert work.sink.rows(waits) == [4.0]


async def test_refusing_settles_who_waits_and_who_comes_until_it_is_lifted(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend) as batcher:
        (executed,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        (waits,) = submit(batcher, work, [2.0])
        batcher.refuse(BACKEND_LOST)
        (comes,) = submit(batcher, work, [3.0])
        assert [work.sink.reason(one) for one in (executed, waits, comes)] == ["none yet", "NO_BACKEND", "NO_BACKEND"]
        backend.gate.set()
        batcher.accept()
        (again,) = submit(batcher, work, [4.0])
        await settled(work, executed, again)
    assert work.sink.rows(again) == [8.0]


async def test_bulk_fills_half_of_the_queue_and_does_not_delay_or_shut_out_callers(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend, Limits(max_rows=4, max_wait_s=60.0, max_queue_rows=40)) as batcher:
        for at in (1, 2):
            submit(batcher, work, [0.0] * 4)
            await executing(backend, at)
        bulk = submit(batcher, work, *([1.0] for _ in range(30)), priority=BATCH)
        assert [work.sink.reason(one) for one in bulk].count("QUEUE_FULL") == 10
        batcher.service_times.observe(4, 1.0, time.monotonic())
        in_time = time.monotonic() + 3.5
        (online,) = submit(batcher, work, [2.0], deadline=in_time)
        (more_bulk,) = submit(batcher, work, [3.0], deadline=in_time, priority=BATCH)
        (shadow,) = submit(batcher, work, [3.0], priority=SHADOW)
        assert [work.sink.reason(one) for one in (online, more_bulk, shadow)] == ["none yet", "QUEUE_FULL", "none yet"]
        assert [work.sink.reason(one) for one in bulk].count("QUEUE_FULL") == 11
        backend.gate.set()
        await settled(work, online, shadow, *bulk)
    assert backend.executed[2][:2] == [2.0, 3.0]


async def test_bulk_waits_for_nobody_when_no_caller_was_there(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend) as batcher:
        bulk = submit(batcher, work, *([float(at)] for at in range(12)), priority=BATCH)
        await executing(backend, 2)
        assert [len(values) for values in backend.executed] == [4, 4]
        backend.gate.set()
        await settled(work, *bulk)


async def test_the_noisy_client_is_refused_and_gives_its_place_to_the_quiet_one(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend, Limits(max_rows=4, max_wait_s=60.0, max_queue_rows=16)) as batcher:
        for at in (1, 2):
            submit(batcher, work, [0.0] * 4, client="noisy")
            await executing(backend, at)
        noisy = submit(batcher, work, [1.0] * 7, *([1.0] for _ in range(20)), client="noisy")
        quiet = submit(batcher, work, *([2.0] for _ in range(4)), client="quiet")
        outcomes = [work.sink.outcomes[one.id] for one in noisy if work.sink.reason(one) != "none yet"]
        assert len(outcomes) == 11 + 4
        assert all(
            isinstance(one, Failure) and one.reason == "QUEUE_FULL" and one.retry_after_s > 0 for one in outcomes
        )
        assert batcher.counters.shed["QUEUE_FULL"] == 15
        backend.gate.set()
        await settled(work, *noisy, *quiet)
    assert {work.sink.reason(one) for one in quiet} == {"OK"}
    assert sum(values.count(2.0) for values in backend.executed[2:4]) >= 3


async def test_a_split_request_of_which_a_piece_has_to_go_fails_as_a_whole(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend, Limits(max_rows=4, max_wait_s=60.0, max_queue_rows=16)) as batcher:
        for at in (1, 2):
            submit(batcher, work, [0.0] * 4, client="noisy")
            await executing(backend, at)
        (large,) = submit(batcher, work, [1.0] * 16, client="noisy")
        (quiet,) = submit(batcher, work, [2.0], client="quiet")
        assert (work.sink.reason(large), batcher.counters.shed["QUEUE_FULL"]) == ("QUEUE_FULL", 1)
        backend.gate.set()
        await settled(work, quiet)
    assert backend.executed[2:] == [[2.0]]


async def test_a_stopped_loop_leaves_nobody_waiting(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with running(backend) as batcher:
        (executed,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        (waits,) = submit(batcher, work, [2.0])
        (large,) = submit(batcher, work, [3.0] * 20)
    (comes,) = submit(batcher, work, [4.0])
    assert {work.sink.reason(one) for one in (executed, waits, large, comes)} == {"STOPPING"}


async def test_a_defect_fails_its_batch_and_the_loop_goes_on(backend: Doubling, work: WorkMaker):
    def defect(values: list[float]) -> None:
        backend.act = lambda values: None
        raise RuntimeError("secret")

    backend.act = defect
    async with running(backend) as batcher:
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
        async with running(backend, Limits(max_rows=8, preferred_rows=(4, 8), instances=instances)) as batcher:
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

    def lose(values: list[float]) -> None:
        backend.act = lambda values: None
        raise ModelCrashed("it is not there any more")

    backend.act, backend.load_control = lose, False
    batcher = Batcher("m--v", X_TO_Y, LIMITS, backend, crashed=told.append)
    loop = asyncio.create_task(batcher.serve_forever())
    (lost,) = submit(batcher, work, [1.0])
    await settled(work, lost)
    (same,) = submit(batcher, work, [1.0])
    await settled(work, same)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert (work.sink.reason(lost), told) == ("BACKEND_CRASHED", ["it is not there any more"])
    assert work.sink.rows(same) == [2.0]

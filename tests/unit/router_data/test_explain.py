"""What is noted of explained requests, what of it is told, and how many are explained."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import compute_pb2, predict_pb2
from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.explain.explanations import MAX_QUEUED, Explanations
from headrace_router.data.explain.facts import Outcome, explanation
from headrace_router.data.explain.store import MOST_CONNECTIONS, Store
from headrace_router.data.request.request import Call, Request, Tensors
from headrace_router.data.request.trace import MAX_ATTEMPTS, Trace
from headrace_router.data.tables.contract import Contract, Spec
from headrace_router.data.tables.decisions.lookup_policy import StoredVersion
from headrace_router.data.tables.served import REQUEST as STEP_OF_REQUEST
from headrace_router.data.tables.served import Plan, PlannedStep, ServedVersion, Take
from headrace_router.data.tables.table import Table, Unit, Variant
from headrace_servicekit.errors import Code
from headrace_servicekit.identity import Identity
from headrace_servicekit.testing import FakeClock

CONTRACT = Contract((Spec("x", "FP32", ()),), (Spec("y", "FP32", ()),))
V1 = ServedVersion("digits", "v1", "d1", "s", CONTRACT)
V0 = ServedVersion("digits", "v0", "d0", "s", CONTRACT)
REQUEST = Request("digits", lambda _contract, _max_rows: Tensors((), ()), request_id="req-1")
CALL = Call(Identity("ada"), "from-the-header", 10.0)
ENDED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANSWER = batcher_pb2.InferResponse(
    queue_us=100, compute_us=200, batch_rows=8, batch_requests=3, compute_way="COMPUTE_WAY_THREAD"
)


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def trace(time) -> Trace:
    """The trace of a request that was routed to v1 within a millisecond."""
    trace = Trace(time)
    time.now += 0.001
    trace.variant, trace.routed = Variant("stable", V1, "default"), time.now
    return trace


def stored_table(stored: StoredVersion) -> Table:
    """Return a table of v1 whose stored answers are these."""
    only = Variant("stable", V1, "default")
    return Table(
        "digits", 3, variants=[only], ends=[10**6], pinned={}, salt=b"", unit=Unit.UNIT_USER, max_wait_us=None,
        kept={"d1": stored},
    )  # fmt: skip


def told(trace: Trace, time: Time, **outcome) -> predict_pb2.ExplainResponse:
    made = Outcome("p-1", time.now, **outcome)
    return explanation(trace, REQUEST, CALL, made, data_plane="data-0", ended_at=ENDED_AT)


def test_times_are_from_the_arrival_and_the_batch_mates_are_the_others(trace, time):
    trace.sent("default", "b:1")
    time.now += 0.002
    trace.answered("b:1", ANSWER)
    trace.found = Answer(b"", ServedFrom.ONLINE, V1, queue_us=100, compute_us=200, batch_requests=3)
    time.now += 0.001
    said = told(trace, time)
    (attempt,) = said.attempts
    assert (said.route_us, said.total_us) == pytest.approx((1000, 4000), abs=1)
    assert (attempt.begin_us, attempt.took_us) == pytest.approx((1000, 2000), abs=1)
    assert (attempt.queue_us, attempt.compute_us, attempt.batch_rows, attempt.batch_mates) == (100, 200, 8, 2)
    assert attempt.compute_way == compute_pb2.COMPUTE_WAY_THREAD
    assert said.receive_time.ToDatetime(UTC) < ENDED_AT
    assert (said.version, said.digest, said.variant_version) == ("v1", "d1", "v1")


def test_a_kept_answer_is_one_attempt_without_a_batcher(trace, time):
    trace.found = Answer(b"", ServedFrom.CACHE, V1, age_ms=1500)
    said = told(trace, time)
    assert (said.served_from, said.age_ms) == (predict_pb2.PredictResponse.SERVED_FROM_CACHE, 1500)
    (attempt,) = said.attempts
    assert (attempt.step, attempt.version, attempt.pool, attempt.batcher) == ("primary", "v1", "", "")


def test_a_precomputed_answer_says_which_publish_it_is_from_and_what_computed_that(trace, time):
    trace.table = stored_table(StoredVersion(b"c", b"p", 7, 0, "jobs/nightly/runs/7", "m7"))
    trace.found = Answer(b"", ServedFrom.PRECOMPUTED, V1, age_ms=1500)
    said = told(trace, time)
    assert said.publish == "models/digits/versions/v1/publishes/7"
    assert (said.origin.run, said.origin.manifest_digest, said.origin.version_digest) == (
        "jobs/nightly/runs/7",
        "m7",
        "d1",
    )
    trace.found = Answer(b"", ServedFrom.CACHE, V1, age_ms=1500)
    said = told(trace, time)
    assert (said.publish, said.HasField("origin")) == ("", False)


def test_a_publish_of_which_nobody_said_what_computed_it_has_no_origin(trace, time):
    trace.table = stored_table(StoredVersion(b"c", b"p", 7))
    trace.found = Answer(b"", ServedFrom.PRECOMPUTED, V1, age_ms=1500)
    assert not told(trace, time).HasField("origin")


def test_what_was_tried_in_vain_stands_before_the_fallback_that_answered(trace, time):
    trace.sent("default", "b:1")
    time.now += 0.002
    trace.gone("b:1", "BATCHER_LOST")
    trace.passed_over("slow", "TIME_SHORT")
    trace.turn_to("older", "v0")
    trace.sent("cpu", "c:1")
    time.now += 0.001
    trace.answered("c:1", ANSWER)
    trace.found = Answer(b"", ServedFrom.FALLBACK, V0, fallback_step="older", degraded_reason="NO_BACKEND")
    said = told(trace, time)
    tried = [(one.step, one.version, one.pool, one.reason) for one in said.attempts]
    assert tried == [
        ("primary", "v1", "default", "BATCHER_LOST"),
        ("slow", "", "", "TIME_SHORT"),
        ("older", "v0", "cpu", ""),
    ]
    assert (said.fallback_step, said.degraded_reason, said.version, said.variant_version) == (
        "older",
        "NO_BACKEND",
        "v0",
        "v1",
    )


def test_values_that_the_route_gives_are_an_attempt_of_no_version(trace, time):
    trace.not_sent("default", "NO_BACKEND")
    trace.found = Answer(b"", ServedFrom.FALLBACK, None, fallback_step="constant", degraded_reason="NO_BACKEND")
    said = told(trace, time)
    assert [(one.step, one.version, one.reason) for one in said.attempts] == [
        ("primary", "v1", "NO_BACKEND"),
        ("constant", "", ""),
    ]
    assert (said.version, said.digest) == ("", "")


def test_the_slower_one_of_two_hedged_requests_is_withdrawn(trace, time):
    trace.sent("default", "b:1")
    time.now += 0.002
    trace.sent("default", "b:2", hedge=True)
    time.now += 0.001
    trace.answered("b:2", ANSWER)
    trace.found = Answer(b"", ServedFrom.ONLINE, V1, batch_requests=3)
    said = told(trace, time)
    assert [(one.batcher, one.hedge, one.reason) for one in said.attempts] == [
        ("b:1", False, "WITHDRAWN"),
        ("b:2", True, ""),
    ]
    trace.answered("b:1", ANSWER)  # late, and told to nobody
    assert said.attempts[0].compute_us == 0


def test_an_error_ends_what_still_lasts_with_its_reason(trace, time):
    trace.sent("default", "b:1")
    time.now += 0.005
    said = told(trace, time, code=Code.DEADLINE_EXCEEDED, reason="DEADLINE_PASSED")
    assert (said.code, said.reason, said.served_from) == (4, "DEADLINE_PASSED", 0)
    assert [one.reason for one in said.attempts] == ["DEADLINE_PASSED"]


def test_a_request_that_was_never_routed_spent_all_its_time_on_that(time):
    trace = Trace(time)
    time.now += 0.003
    said = told(trace, time, code=Code.NOT_FOUND, reason="MODEL_NOT_FOUND")
    assert said.route_us == said.total_us > 0
    assert (said.model, said.variant, said.generation, said.HasField("bucket")) == ("digits", "", 0, False)


def test_a_request_sent_about_for_ever_fills_no_memory(trace):
    for number in range(10 * MAX_ATTEMPTS):
        trace.sent("default", f"b:{number}")
    assert len(trace.attempts) == MAX_ATTEMPTS


class NoStore:
    """A store that is never asked, because nothing is written while the test looks."""

    async def put(self, entries, *, for_s):
        raise AssertionError

    async def get(self, key):
        raise AssertionError


def explanations(one_in: int, store: Store | None = None) -> Explanations:
    return Explanations(store, lambda: "i", data_plane="data-0", one_in=one_in, clock=FakeClock())


@pytest.mark.parametrize(
    ("one_in", "store", "sampled"),
    [
        pytest.param(1, NoStore(), 12, id="all"),
        pytest.param(4, NoStore(), 3, id="one in four"),
        pytest.param(0, NoStore(), 0, id="only those asked for"),
        pytest.param(1, None, 0, id="nowhere to keep them"),
    ],
)
def test_one_of_so_many_is_sampled(one_in, store, sampled):
    kept = explanations(one_in, store)
    assert sum(kept.samples() for _ in range(12)) == sampled


async def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(trace, time):
    kept = explanations(0, NoStore())
    for number in range(MAX_QUEUED // 2 + 5):
        kept.keep(trace, REQUEST, CALL, Outcome(f"p-{number}", time.now))
    assert kept.dropped == {"queue_full": 5, "store": 0}, "half of the queue is one client's share"
    kept.keep(trace, REQUEST, replace(CALL, caller=Identity("bob")), Outcome("of-bob", time.now))
    assert await kept.of_prediction("of-bob", CALL.caller) is not None
    found = await kept.of_prediction("p-7", CALL.caller)  # what waits to be written is told already
    assert found is not None
    assert found.prediction_id == "p-7"


class SlowStore:
    """A store whose answers come when they are let go."""

    def __init__(self) -> None:
        self.go, self.asked = asyncio.Event(), []

    async def put(self, entries, *, for_s):
        raise AssertionError

    async def get(self, key):
        self.asked.append(key)
        await self.go.wait()


async def test_one_client_that_looks_for_many_takes_turns_with_the_next_and_leaves_a_connection_for_writing():
    store = SlowStore()
    kept = explanations(0, store)
    greedy = [asyncio.create_task(kept.of_prediction(f"g-{number}", Identity("greedy"))) for number in range(50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(store.asked) == MOST_CONNECTIONS - 1
    modest = asyncio.create_task(kept.of_prediction("modest", Identity("modest")))
    await asyncio.sleep(0)
    store.go.set()
    await asyncio.gather(*greedy, modest)
    first = next(index for index, key in enumerate(store.asked) if b"modest" in key)
    assert first <= MOST_CONNECTIONS


def test_the_steps_of_a_pipeline_are_told_with_their_members_and_what_they_take(trace, time):
    steps = (
        PlannedStep("scaled", V0, "", (Take(0, STEP_OF_REQUEST, 0),), (0,)),
        PlannedStep("best", V1, "", (Take(0, 0, 0),), (0,)),
    )
    pipeline = ServedVersion("ensemble", "v1", "d2", "s", CONTRACT, Plan(steps, ((1, 0),)))
    trace.variant = Variant("stable", pipeline, "default")
    for name in ("scaled", "best"):
        notes = trace.of_step(name, f"digits/{name}")
        notes.sent("default", "batcher-1")
        time.now += 0.002
        notes.answered("batcher-1", ANSWER)
    trace.found = Answer(b"", ServedFrom.ONLINE, pipeline, missing_steps=("other",))
    told = explanation(
        trace, REQUEST, CALL, Outcome("p-1", time.now), data_plane="data-0", ended_at=ENDED_AT
    )  # fmt: skip
    assert [(one.pipeline_step, one.version, list(one.takes_from)) for one in told.attempts] == [
        ("scaled", "digits/scaled", []), ("best", "digits/best", ["scaled"]),
    ]  # fmt: skip
    assert [one.batch_mates for one in told.attempts] == [2, 2]
    assert list(told.missing_steps) == ["other"]

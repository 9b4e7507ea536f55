"""One prediction that is answered in parts: what is told of it, by which id, and what ends it if nobody takes them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from typing import Any

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import control_pb2
from headrace_router.data.answer.answer import Answer
from headrace_router.data.answer.refusals import answer_cut_off
from headrace_router.data.batchers.decisions.balance import RetryBudget
from headrace_router.data.batchers.parts import Rest
from headrace_router.data.batchers.work import PartBuffer, Work
from headrace_router.data.budgets import Budgets
from headrace_router.data.explain.facts import Outcome
from headrace_router.data.fallbacks.chain import FallbackChain
from headrace_router.data.fallbacks.degraded import DegradedAnswers
from headrace_router.data.predictor import Predictor
from headrace_router.data.rate_limits.limiter import RateLimiter
from headrace_router.data.request.request import Call
from headrace_router.data.request.trace import Trace
from headrace_router.data.tables.served import ServedVersion
from headrace_router.data.tables.tables import Tables
from headrace_router.data.telemetry.accesslog import AccessLog
from headrace_router.data.telemetry.counters import Counters
from headrace_servicekit.errors import Code, DeadlineExceeded, ServiceError
from headrace_servicekit.identity import Identity
from structlog.testing import capture_logs

from tests.kit.router.fake_control import resolved_version
from tests.kit.router.fallback_steps import constant
from tests.kit.router.garbage import instances, no_collection
from tests.kit.router.lookup_bench import Bench, outputs

CRASHED = batcher_pb2.InferResponse(code=int(Code.UNAVAILABLE), reason="BACKEND_CRASHED")
DECOUPLED = resolved_version("digits", "v1")
DECOUPLED.contract.decoupled = True
LAST = batcher_pb2.InferResponse(batch_requests=1, compute_us=9)


class Prospects:
    """Everybody answers quickly."""

    def needs_s(self, pool: str, served: ServedVersion, attributes: Mapping[str, str]) -> float:
        return 0.001

    def renews(self, pool: str, served: ServedVersion) -> bool:
        return False


class ExplanationRecorder:
    """Explains every request, and keeps what of it would be told. clock: of the times in it."""

    def __init__(self) -> None:
        self.clock, self.one_in = time.monotonic, 1
        self.outcomes: list[tuple[Trace, Outcome]] = []

    def samples(self) -> bool:
        return True

    def keep(self, trace: Trace, _request: Any, _call: Call, outcome: Outcome) -> None:
        self.outcomes.append((trace, outcome))


class Predicting:
    """A predictor over a look-up that the test holds in its hand. taken: what callers were given."""

    def __init__(self, *steps: control_pb2.ResolvedFallbackStep) -> None:
        self.bench = Bench(version=DECOUPLED)
        self.bench.put_kept(control_pb2.StoredAnswers(digest=DECOUPLED.digest), fallback=steps)
        self.explained, self.taken = ExplanationRecorder(), list[Answer]()
        tables, ids = Tables(), itertools.count(1)
        tables.loaded, tables.by_model["digits"] = True, self.bench.table
        now = self.bench.loop.time
        chain = FallbackChain(
            self.bench.lookup, Prospects(), RetryBudget(0.0, 100.0), DegradedAnswers(), max_rows=64, now=now
        )
        unlimited = RateLimiter(None, lambda: "", processes=1, loop=self.bench.loop)  # type: ignore[arg-type]
        self.predictor = Predictor(
            *(tables, chain, Counters(now), AccessLog(1000), self.explained, Budgets(), unlimited),
            new_id=lambda: f"p-{next(ids)}",
            max_rows=64,
            loop=self.bench.loop,  # type: ignore[arg-type]
        )

    def ask(self, *, within_s: float = 5.0, takes: bool = True) -> asyncio.Task[Answer]:
        """Ask. takes: whether the caller takes what it is given."""

        async def give(answer: Answer) -> None:
            self.taken.append(answer)
            if not takes:
                await asyncio.get_running_loop().create_future()

        call = Call(Identity("ann", None), "request-1", self.bench.loop.time() + within_s, sampled=True)
        return asyncio.ensure_future(self.predictor.predict_in_parts(self.bench.resolved().request, call, give))

    async def answer(self, count: int) -> Work:
        """Give so many parts to what is asked next; return its work."""
        (work,) = await self.bench.asked()
        assert work.parts is not None
        for at in range(count):
            work.parts.put(batcher_pb2.InferResponse(more=True, outputs=outputs(bytes([at, 0, 0, 0])), compute_us=7))
        self.bench.online.works.clear()
        return work

    def ended(self, code: Code) -> float:
        """Return how many answers ended with a status."""
        families = {family.name: family for family in self.bench.parts.collect()}
        of_code = [
            one for one in families["headrace_router_answers_in_parts"].samples if one.labels["code"] == code.name
        ]
        return sum(one.value for one in of_code)


async def test_its_explanation_and_its_line_in_the_log_say_how_many_parts_it_had_and_how_many_bytes():
    predicting = Predicting()
    with capture_logs() as logs:
        asked = predicting.ask()
        (await predicting.answer(3)).answer.set_result(LAST)
        last = await asked
    size = sum(len(part.outputs) for part in predicting.taken)
    ((trace, outcome),) = predicting.explained.outcomes
    assert (trace.parts, trace.part_bytes, outcome.code) == (3, size, Code.OK)
    (line,) = [one for one in logs if one["event"] == "prediction"]
    assert (line["parts"], line["part_bytes"], line["code"]) == (3, size, "OK")
    assert {one.prediction_id for one in predicting.taken} == {outcome.prediction_id, last.prediction_id}
    assert predicting.ended(Code.OK) == 1


@pytest.mark.parametrize(
    ("failure", "code", "reason"),
    [
        (CRASHED, Code.UNAVAILABLE, "BACKEND_CRASHED"),
        (batcher_pb2.InferResponse(code=99, reason="OF_THE_FUTURE"), Code.UNKNOWN, "OF_THE_FUTURE"),
        (answer_cut_off("default"), Code.UNAVAILABLE, "ANSWER_CUT_OFF"),
    ],
)  # fmt: skip
async def test_one_that_failed_in_the_middle_is_explained_by_the_id_of_its_parts_and_counted_by_its_status(
    failure, code, reason
):
    predicting = Predicting()
    with capture_logs() as logs:
        asked = predicting.ask()
        answer = (await predicting.answer(2)).answer
        if isinstance(failure, ServiceError):
            answer.set_exception(failure)
        else:
            answer.set_result(failure)
        with pytest.raises(ServiceError) as caught:
            await asked
    assert (caught.value.code, caught.value.reason) == (code, reason)
    ((trace, outcome),) = predicting.explained.outcomes
    assert (trace.parts, outcome.code, outcome.reason) == (2, code, reason)
    assert {one.prediction_id for one in predicting.taken} == {outcome.prediction_id}
    (line,) = [one for one in logs if one["event"] == "prediction"]
    assert (line["parts"], line["code"], line["reason"]) == (2, code.name, reason)
    assert (predicting.ended(code), predicting.ended(Code.CANCELLED)) == (1, 0)


async def test_whoever_takes_nothing_has_no_place_behind_the_deadline_of_the_call():
    predicting = Predicting()
    asked = predicting.ask(within_s=0.1, takes=False)
    (await predicting.answer(2)).answer.set_result(LAST)
    with pytest.raises(DeadlineExceeded):
        async with asyncio.timeout(10):
            await asked
    assert len(predicting.taken) == 1
    assert predicting.ended(Code.DEADLINE_EXCEEDED) == 1


async def test_a_fallback_answers_before_the_first_part_and_not_behind_it():
    predicting = Predicting(constant())
    asked = predicting.ask()
    (await predicting.answer(0)).answer.set_exception(answer_cut_off("default"))
    found = await asked
    assert (found.fallback_step, found.degraded_reason, found.rest) == ("neutral", "ANSWER_CUT_OFF", None)
    assert predicting.taken == [found], "given once"

    predicting.taken.clear()
    asked = predicting.ask()
    (await predicting.answer(1)).answer.set_exception(answer_cut_off("default"))
    with pytest.raises(ServiceError, match="in the middle of the answer"):
        await asked
    assert [one.fallback_step for one in predicting.taken] == [""]


@pytest.mark.parametrize("fails", ["not at all", "by what a batcher says", "here"])
@pytest.mark.parametrize("parts", [0, 2])
async def test_nothing_of_it_is_left_for_the_garbage_collector(fails: str, parts: int):
    predicting, kinds = Predicting(), (Work, PartBuffer, Rest, Answer, Call)

    async def ask() -> None:
        asked = predicting.ask()
        answer = (await predicting.answer(parts)).answer
        if fails == "here":
            answer.set_exception(answer_cut_off("default"))
        elif fails == "not at all":
            answer.set_result(LAST)
        else:
            answer.set_result(CRASHED)
        await asyncio.wait([asked])  # what is raised here would hold this frame, and it the task
        assert (asked.exception() is None) == (fails == "not at all")
        predicting.taken.clear()
        predicting.explained.outcomes.clear()

    await ask()
    with no_collection():
        before = instances(*kinds)  # other tests' own
        for _ in range(3):
            await ask()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not instances(*kinds) - before

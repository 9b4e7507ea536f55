"""The ladder over sources that the test holds in its hand; tests/integration/router_data climbs real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from google.protobuf import duration_pb2
from headrace.router.v1 import control_pb2, predict_pb2, route_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.batchers.balance import RetryBudget
from headrace_router.data.explain.trace import Trace
from headrace_router.data.fallbacks.degraded import DegradedAnswers
from headrace_router.data.fallbacks.ladder import Ladder
from headrace_router.data.fallbacks.rung_choice import CANNOT
from headrace_router.data.messages import Call, Request, ServedFrom, Tensors
from headrace_router.data.question import Found, Question
from headrace_router.data.routes.table import Arm, table_of
from headrace_servicekit.errors import Code, FieldViolation, InvalidArgument, ServiceError, Unavailable, error_for
from headrace_servicekit.identity import Identity
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.control import resolved_version, table
from tests.kit.digits import V1, V2

OTHER = resolved_version(
    "digits",
    "other",
    inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP32", shape=[8])],
    outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP32", shape=[1])],
)
DOWN = Unavailable("down", reason="NO_BACKEND")
NAN = InvalidArgument("NaN", reason="NAN_NOT_ALLOWED", violations=[FieldViolation("contract[0]", "has NaN")])
FALLS_BACK = {Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN}
CODES = sorted(set(Code) - {Code.OK})


@dataclass
class Outcome:
    """What a source does: takes its time, within what it is given, and then answers or fails."""

    answer: bytes | ServiceError | None = b"answer"
    takes_s: float = 0.0


@dataclass
class World:
    """Sources and their prospects, on a clock that only their work moves. asked: what was asked, in order."""

    online: Mapping[tuple[str, str], Outcome]
    needs: Mapping[tuple[str, str], float] = field(default_factory=dict)
    kept_answer: bytes | None = None
    stale_answer: Outcome = field(default_factory=lambda: Outcome(None))
    precomputed_answer: Outcome = field(default_factory=lambda: Outcome(None))
    on_error: bytes | None = None
    anew: bool = False
    asked: list[str] = field(default_factory=list)
    again: list[bool] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    raised: list[tuple[str, ServiceError]] = field(default_factory=list)
    at: float = 0.0

    def now(self) -> float:
        return self.at

    async def find(self, question: Question, arm: Arm, deadline: float) -> Found:
        outcome = self.online.get((arm.served.version, arm.pool), Outcome(DOWN))
        self.asked.append(f"{arm.served.version}@{arm.pool}")
        self.again.append(question.again)
        self.last.append(question.last)
        if self.at + outcome.takes_s > deadline:
            self.at = max(self.at, deadline)
            raise error_for(Code.DEADLINE_EXCEEDED, "late", reason="DEADLINE_PASSED")
        return self._answered(outcome, Found(b"", ServedFrom.ONLINE, arm.served))

    async def kept(self, question: Question, arm: Arm) -> Found | None:
        return Found(self.kept_answer, ServedFrom.CACHE, arm.served) if self.kept_answer else None

    async def kept_stale(self, question: Question, arm: Arm, max_age_s: float) -> Found | None:
        self.asked.append(f"stale {max_age_s:g}")
        found = self._answered(self.stale_answer, Found(b"", ServedFrom.STALE, arm.served, age_ms=9))
        return found if found.outputs else None

    async def stale_on_error(self, question: Question, arm: Arm) -> Found | None:
        return Found(self.on_error, ServedFrom.STALE, arm.served) if self.on_error else None

    async def precomputed(self, question: Question, arm: Arm) -> Found | None:
        self.asked.append("precomputed")
        found = self._answered(self.precomputed_answer, Found(b"", ServedFrom.PRECOMPUTED, arm.served))
        return found if found.outputs else None

    def needs_s(self, pool: str, digest: str) -> float:
        version = {one.digest: one.version for one in (V1, V2, OTHER)}[digest]
        return self.needs.get((version, pool), 0.01)

    def renews(self, pool: str, digest: str) -> bool:
        return self.anew

    def _answered(self, outcome: Outcome, found: Found) -> Found:
        self.at += outcome.takes_s
        if isinstance(outcome.answer, ServiceError):
            self.raised.append((self.asked[-1], outcome.answer))
            raise outcome.answer
        return replace(found, outputs=outcome.answer or b"")


def rung(name: str, least_s: float | None = None, **source) -> control_pb2.ResolvedRung:
    made = control_pb2.ResolvedRung(name=name, **source)
    if least_s is not None:
        made.min_time_left.FromMicroseconds(int(least_s * 1e6))
    return made


def backup(name: str, version: control_pb2.ResolvedVersion | None = None, pool: str = "", **how):
    made = control_pb2.ResolvedRung.ResolvedBackup(digest=version.digest if version else "", pool=pool)
    return rung(name, backup=made, **how)


def row(number: float) -> route_pb2.Rung.Row:
    return route_pb2.Rung.Row(outputs={"y": route_pb2.Rung.Values(numbers=[number])})


def constant(name: str = "zero", **how):
    return rung(name, constant=row(0.0), **how)


def by_entity(name: str, **rows: float):
    return rung(name, entity_table=route_pb2.Rung.EntityTable(rows={key: row(one) for key, one in rows.items()}))


def stale(name: str, seconds: int):
    return rung(name, stale=duration_pb2.Duration(seconds=seconds))


def question(
    *rungs,
    left_s: float = 1.0,
    entity: str = "",
    pinned: str = "",
    rows: int = 1,
    outputs=(),
    mode: route_pb2.Lookup.Mode | None = None,
) -> Question:
    proto = table("digits", [V1, V2, OTHER])
    proto.lookup.CopyFrom(route_pb2.Lookup(mode=mode))
    proto.fallback.extend(rungs)
    made = table_of(proto, {})
    arm = made.pin(pinned) if pinned else made.assign(user_id="u", entity_id="", request_id="r")
    assert arm is not None
    tensors = Tensors((("x", "FP32", rows, 4),), (bytes(16 * rows),))
    layout = arm.served.layout(tensors.described, 64)
    request = Request("digits", lambda _contract: tensors, version=pinned, entity_id=entity, outputs=outputs)
    wanted = arm.served.selection(outputs)
    return Question(made, arm, request, Call(Identity("ana"), "r", left_s), tensors, layout, tensors.contents, wanted)


def ladder(world: World, *, tokens: float = 100.0, degraded: DegradedAnswers | None = None) -> Ladder:
    budget = RetryBudget(0.0, tokens)
    return Ladder(world, world, budget, degraded or DegradedAnswers(), max_rows=64, now=world.now)


async def climbed(world: World, *rungs, tokens: float = 100.0, **asked) -> Found:
    return await ladder(world, tokens=tokens).find(question(*rungs, **asked))


def told(found: Found) -> tuple[str, str, str, str]:
    return (
        found.served_from.name,
        found.served.version if found.served else "",
        found.rung,
        found.degraded_reason,
    )


HEALTHY = Outcome()
BROKEN = Outcome(DOWN)


async def test_while_the_requests_own_version_answers_no_fallback_is_asked():
    world = World({("v1", "default"): HEALTHY, ("v2", "cpu"): HEALTHY})
    assert told(await climbed(world, backup("small", V2, "cpu"), constant())) == ("ONLINE", "v1", "", "")
    assert world.asked == ["v1@default"]


async def test_fallbacks_are_tried_in_their_order_and_the_answer_says_which_and_why():
    world = World({("v1", "default"): BROKEN, ("v2", "cpu"): Outcome(error_for(Code.INTERNAL, "!", reason="MODEL"))})
    rungs = (backup("small", V2, "cpu"), rung("batch", precomputed=True), stale("old", 60), constant())
    assert told(await climbed(world, *rungs, entity="e")) == ("FALLBACK", "", "zero", "NO_BACKEND")
    assert world.asked == ["v1@default", "v2@cpu", "precomputed", "stale 60"]


@pytest.mark.parametrize(
    ("rungs", "expected"),
    [
        pytest.param((backup("small", V2, "cpu"),), ("FALLBACK", "v2", "small", "NO_BACKEND"), id="another version"),
        pytest.param((backup("same", None, "cpu"),), ("FALLBACK", "v1", "same", "NO_BACKEND"), id="another pool"),
        pytest.param((rung("p", precomputed=True),), ("PRECOMPUTED", "v1", "p", "NO_BACKEND"), id="precomputed"),
        pytest.param((stale("s", 60),), ("STALE", "v1", "s", "NO_BACKEND"), id="stale"),
        pytest.param((by_entity("t", e=3.0),), ("FALLBACK", "", "t", "NO_BACKEND"), id="by entity"),
        pytest.param((constant("c"),), ("FALLBACK", "", "c", "NO_BACKEND"), id="constant"),
    ],
)
async def test_each_kind_of_fallback_says_where_its_answer_comes_from(rungs, expected):
    online = {("v1", "default"): BROKEN, ("v1", "cpu"): HEALTHY, ("v2", "cpu"): HEALTHY}
    world = World(online, stale_answer=HEALTHY, precomputed_answer=HEALTHY)
    assert told(await climbed(world, *rungs, entity="e")) == expected


async def test_given_values_have_a_row_for_each_row_of_the_request():
    found = await climbed(World({}), by_entity("t", e=3.0), entity="e", rows=3)
    message = predict_pb2.PredictResponse.FromString(found.outputs)
    assert list(message.outputs[0].shape) == [3, 1]
    assert message.raw_output_contents[0] == b"\0\0\x40\x40" * 3


@pytest.mark.parametrize("entity", ["", "stranger"])
async def test_an_entity_that_is_not_in_the_table_gets_the_next_rung(entity):
    assert told(await climbed(World({}), by_entity("t", e=3.0), constant(), entity=entity))[2] == "zero"


async def test_without_an_entity_precomputed_answers_are_not_looked_for():
    world = World({})
    assert told(await climbed(world, rung("p", precomputed=True), constant()))[2] == "zero"
    assert "precomputed" not in world.asked


@pytest.mark.parametrize("code", CODES)
async def test_what_is_wrong_with_the_request_is_never_answered_by_a_fallback(code):
    world = World({("v1", "default"): Outcome(error_for(code, "told", reason="WHY"))})
    if code in FALLS_BACK | {Code.DATA_LOSS}:
        assert told(await climbed(world, constant())) == ("FALLBACK", "", "zero", "WHY")
    else:
        with pytest.raises(ServiceError) as caught:
            await climbed(world, constant())
        assert (caught.value.code, caught.value.reason) == (code, "WHY")


@pytest.mark.parametrize("reason", ["ANSWER_TOO_LARGE", "TOO_MANY_ROWS"])
async def test_neither_is_a_request_that_is_too_large(reason):
    world = World({("v1", "default"): Outcome(error_for(Code.RESOURCE_EXHAUSTED, "large", reason=reason))})
    with pytest.raises(ServiceError) as caught:
        await climbed(world, constant())
    assert caught.value.reason == reason


async def test_an_entity_without_precomputed_answer_gets_the_fallback():
    world = World({("v1", "default"): Outcome(error_for(Code.NOT_FOUND, "none", reason="NOT_PRECOMPUTED"))})
    assert told(await climbed(world, constant())) == ("FALLBACK", "", "zero", "NOT_PRECOMPUTED")


async def test_a_route_that_computes_nothing_falls_back_for_want_of_an_answer_and_not_of_a_batcher():
    world = World(
        {
            ("v1", "default"): Outcome(error_for(Code.NOT_FOUND, "none", reason="NOT_PRECOMPUTED")),
            ("v2", "cpu"): HEALTHY,
        },
        needs={("v1", "default"): CANNOT},
    )
    asked = question(backup("small", V2, "cpu"), constant(), entity="e", mode=route_pb2.Lookup.MODE_BATCH)
    assert told(await ladder(world).find(asked)) == ("FALLBACK", "v2", "small", "NOT_PRECOMPUTED")
    nothing = replace(asked, tensors=Tensors((), ()), layout=asked.arm.served.without_inputs, inputs=())
    assert told(await ladder(world).find(nothing)) == ("FALLBACK", "", "zero", "NOT_PRECOMPUTED")


async def test_an_input_that_a_backup_of_the_same_contract_blames_is_the_callers_fault():
    world = World({("v2", "cpu"): Outcome(NAN)})
    with pytest.raises(InvalidArgument) as caught:
        await climbed(world, backup("small", V2, "cpu"), constant())
    assert caught.value.reason == "NAN_NOT_ALLOWED"


async def test_a_backup_of_another_contract_that_the_inputs_do_not_fit_is_passed_over():
    world = World({("other", "cpu"): HEALTHY})
    made = ladder(world, tokens=1.0)
    assert told(await made.find(question(backup("other", OTHER, "cpu"), constant())))[2] == "zero"
    assert world.asked == ["v1@default"]
    world.online = {("v2", "cpu"): HEALTHY}  # what was not asked is not paid for either
    assert told(await made.find(question(backup("small", V2, "cpu"), constant())))[2] == "small"


async def test_with_too_little_time_left_the_primary_is_not_tried():
    world = World({("v1", "default"): HEALTHY}, needs={("v1", "default"): 0.03})
    assert told(await climbed(world, constant(), left_s=0.02)) == ("FALLBACK", "", "zero", "TIME_SHORT")
    assert world.asked == []
    assert told(await climbed(world, constant(), left_s=0.05))[0] == "ONLINE"


async def test_a_kept_answer_needs_no_fallback():
    world = World({}, needs={("v1", "default"): CANNOT}, kept_answer=b"kept")
    found = await climbed(world, constant())
    assert (found.served_from, found.outputs, found.rung, found.degraded_reason) == (ServedFrom.CACHE, b"kept", "", "")


async def test_with_nobody_there_the_primary_is_not_tried_and_the_reason_says_so():
    world = World({("v2", "cpu"): HEALTHY}, needs={("v1", "default"): CANNOT})
    assert told(await climbed(world, backup("small", V2, "cpu"), tokens=0.0))[2:] == ("small", "NO_BACKEND")
    assert world.asked == ["v2@cpu"]
    assert world.again == [False]


async def test_one_request_finds_out_anew_how_long_an_answer_takes():
    world = World({("v1", "default"): HEALTHY}, needs={("v1", "default"): 0.03}, anew=True)
    assert told(await climbed(world, constant(), left_s=0.02))[0] == "ONLINE"


async def test_a_primary_that_is_late_leaves_the_next_rung_the_time_that_it_needs():
    needs = {("v1", "default"): 0.01, ("v2", "cpu"): 0.03}
    world = World({("v1", "default"): Outcome(takes_s=9.0), ("v2", "cpu"): Outcome(takes_s=0.03)}, needs=needs)
    found = await climbed(world, backup("small", V2, "cpu"), constant(), left_s=0.1)
    assert told(found) == ("FALLBACK", "v2", "small", "DEADLINE_PASSED")
    assert 0.08 < world.at <= 0.1


async def test_a_rung_is_passed_over_with_less_time_left_than_the_route_says():
    world = World({("v2", "cpu"): HEALTHY}, needs={("v1", "default"): CANNOT})
    patient = backup("small", V2, "cpu", least_s=0.5)
    assert told(await climbed(world, patient, constant(), left_s=0.4))[2] == "zero"
    assert told(await climbed(world, patient, constant(), left_s=0.6))[2] == "small"


async def test_what_the_route_says_counts_instead_of_what_was_measured():
    world = World({("v2", "cpu"): HEALTHY}, needs={("v1", "default"): CANNOT, ("v2", "cpu"): 3.0})
    assert told(await climbed(world, backup("small", V2, "cpu", least_s=0.1), constant(), left_s=0.4))[2] == "small"


async def test_without_a_rung_left_the_caller_gets_the_error_of_its_own_version():
    world = World({("v1", "default"): Outcome(error_for(Code.RESOURCE_EXHAUSTED, "full", reason="QUEUE_FULL"))})
    with pytest.raises(ServiceError) as caught:
        await climbed(world, backup("small", V2, "cpu"), stale("old", 60))
    assert caught.value.reason == "QUEUE_FULL"


async def test_the_deadline_has_not_passed_while_time_is_left():
    world = World({("v1", "default"): Outcome(takes_s=9.0)}, needs={("v2", "cpu"): 0.3})
    with pytest.raises(ServiceError) as caught:
        await climbed(world, backup("small", V2, "cpu"))
    assert caught.value.reason == "NO_BACKEND"
    world.at, world.online = 0.0, {("v1", "default"): Outcome(takes_s=9.0), ("v2", "cpu"): Outcome(takes_s=9.0)}
    with pytest.raises(ServiceError) as caught:
        await climbed(world, backup("small", V2, "cpu"))
    assert (caught.value.reason, world.at) == ("DEADLINE_PASSED", 1.0)


async def test_a_primary_that_was_passed_over_is_tried_when_nothing_else_answers():
    world = World({("v1", "default"): HEALTHY}, needs={("v1", "default"): 0.5})
    assert told(await climbed(world, stale("old", 60), left_s=0.4)) == ("ONLINE", "v1", "", "")
    assert world.asked == ["stale 60", "v1@default"]


async def test_a_backup_is_asked_within_the_budget_of_retries_and_given_values_cost_nothing():
    world = World({("v2", "cpu"): HEALTHY})
    rungs = (backup("small", V2, "cpu"), constant())
    made = ladder(world, tokens=1.0)
    rungs_used = [(await made.find(question(*rungs))).rung for _ in range(3)]
    assert rungs_used == ["small", "zero", "zero"]
    assert world.again == [False, True, False, False]


async def test_an_answer_past_its_time_stands_in_for_an_error_only_when_no_fallback_answers():
    world = World({}, on_error=b"old")
    assert told(await climbed(world, constant())) == ("FALLBACK", "", "zero", "NO_BACKEND")
    found = await climbed(world, backup("small", V2, "cpu"))
    assert told(found) == ("STALE", "v1", "", "NO_BACKEND")
    assert world.last == [False, False, False]


async def test_a_request_that_no_fallback_can_answer_is_asked_as_without_any():
    world = World({("v1", "default"): HEALTHY}, needs={("v2", "cpu"): CANNOT})
    await climbed(world, backup("small", V2, "cpu"))
    assert world.last == [True]


async def test_who_pins_a_version_gets_only_answers_of_that_version():
    world = World({("v1", "cpu"): HEALTHY, ("v2", "cpu"): HEALTHY})
    rungs = (backup("small", V2, "cpu"), constant(), backup("same", None, "cpu"))
    assert told(await climbed(world, *rungs, pinned="v1")) == ("FALLBACK", "v1", "same", "NO_BACKEND")
    with pytest.raises(Unavailable):
        await climbed(world, *rungs[:2], pinned="v1")


async def test_a_request_that_is_explained_notes_what_was_passed_over_and_why():
    world = World({}, needs={("v1", "default"): CANNOT})
    trace = Trace(world.now)
    rungs = (backup("same", None, "cpu"), backup("small", V2, "cpu"), constant())
    await ladder(world, tokens=0.0).find(replace(question(*rungs), trace=trace))
    assert [(one.rung, one.reason) for one in trace.attempts] == [
        ("primary", "NO_BACKEND"),
        ("small", "RETRY_BUDGET_SPENT"),
    ]
    assert (trace.rung, trace.version) == ("same", "v1")


async def test_degraded_answers_are_counted_by_model_rung_and_reason():
    degraded = DegradedAnswers()
    await ladder(World({}), degraded=degraded).find(question(constant()))
    (family,) = degraded.collect()
    (sample,) = family.samples
    assert (sample.labels, sample.value) == ({"model": "digits", "rung": "zero", "reason": "NO_BACKEND"}, 1)


OUTCOMES: st.SearchStrategy[Outcome] = st.builds(
    Outcome,
    st.one_of(st.just(b"answer"), st.sampled_from([error_for(code, "told", reason=code.name) for code in CODES])),
    st.floats(0.0, 2.0),
)
RUNGS: Mapping[str, Callable[[], control_pb2.ResolvedRung]] = {
    "small": lambda: backup("small", V2, "cpu"),
    "same": lambda: backup("same", None, "cpu"),
    "batch": lambda: rung("batch", precomputed=True),
    "old": lambda: stale("old", 60),
    "table": lambda: by_entity("table", e=1.0),
    "zero": constant,
}
ORDERS = st.lists(st.sampled_from(sorted(RUNGS)), unique=True, max_size=6)


@given(
    names=ORDERS,
    outcomes=st.fixed_dictionaries(dict.fromkeys((("v1", "default"), ("v2", "cpu"), ("v1", "cpu")), OUTCOMES)),
    needs=st.fixed_dictionaries({key: st.one_of(st.just(CANNOT), st.floats(0, 1)) for key in
                                 (("v1", "default"), ("v2", "cpu"), ("v1", "cpu"))}),
    left_s=st.floats(0.001, 3.0),
    entity=st.sampled_from(["", "e", "stranger"]),
)  # fmt: skip
def test_whatever_happens_the_ladder_keeps_its_promises(names, outcomes, needs, left_s, entity):
    """In time; no bad input answered; in order; an answer where one is at hand, unless the request is at fault."""
    world = World(outcomes, needs=needs)
    asked = question(*(RUNGS[name]() for name in names), left_s=left_s, entity=entity)

    async def climb() -> Found | ServiceError:
        try:
            return await ladder(world).find(asked)
        except ServiceError as error:
            return error

    outcome = asyncio.run(climb())
    assert world.at <= left_s + 1e-9
    if isinstance(outcome, Found) and outcome.rung:
        assert outcome.degraded_reason
    for source, error in world.raised:
        if source == "v1@default" and error.code not in FALLS_BACK | {Code.DATA_LOSS}:
            assert outcome is error
    positions = [["v1@default", *(_source(name) for name in names)].index(one) for one in world.asked]
    assert positions in (sorted(positions), [*sorted(positions[:-1]), 0])
    at_hand = "zero" in names or ("table" in names and entity == "e")
    if at_hand and isinstance(outcome, ServiceError):
        assert outcome.code not in FALLS_BACK


def _source(name: str) -> str:
    known = {"small": "v2@cpu", "same": "v1@cpu", "batch": "precomputed", "old": "stale 60"}
    return known.get(name, name)

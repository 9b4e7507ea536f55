"""The fallback chain over sources that the test holds in its hand; tests/integration/router_data climbs real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from headrace.router.v1 import control_pb2, predict_pb2, route_pb2
from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.fallbacks.decisions.step_choice import CANNOT
from headrace_router.data.fallbacks.degraded import DegradedAnswers
from headrace_router.data.request.request import Tensors
from headrace_router.data.request.trace import Trace
from headrace_servicekit.errors import Code, InvalidArgument, ServiceError, Unavailable, error_for
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.router.digits import V2
from tests.kit.router.fallback_chain import (
    BROKEN,
    HEALTHY,
    NAN,
    OTHER,
    ZERO,
    Outcome,
    World,
    chain,
    fallen_back,
    resolved,
    told,
)
from tests.kit.router.fallback_steps import backup, by_entity, constant, stale, step
from tests.kit.rows import each

FALLS_BACK = {Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN}
CODES = sorted(set(Code) - {Code.OK})


async def test_while_the_requests_own_version_answers_no_fallback_is_asked():
    world = World({("v1", "default"): HEALTHY, ("v2", "cpu"): HEALTHY})
    assert told(await fallen_back(world, backup("small", V2, "cpu"), ZERO)) == ("ONLINE", "v1", "", "")
    assert world.asked == ["v1@default"]


async def test_fallbacks_are_tried_in_their_order_and_the_answer_says_which_and_why():
    world = World({("v1", "default"): BROKEN, ("v2", "cpu"): Outcome(error_for(Code.INTERNAL, "!", reason="MODEL"))})
    steps = (backup("small", V2, "cpu"), step("batch", precomputed=True), stale("old", 60), ZERO)
    assert told(await fallen_back(world, *steps, entity="e")) == ("FALLBACK", "", "zero", "NO_BACKEND")
    assert world.asked == ["v1@default", "v2@cpu", "precomputed", "stale 60"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param((backup("small", V2, "cpu"),), ("FALLBACK", "v2", "small", "NO_BACKEND"), id="another version"),
        pytest.param((backup("same", None, "cpu"),), ("FALLBACK", "v1", "same", "NO_BACKEND"), id="another pool"),
        pytest.param((step("p", precomputed=True),), ("PRECOMPUTED", "v1", "p", "NO_BACKEND"), id="precomputed"),
        pytest.param((stale("s", 60),), ("STALE", "v1", "s", "NO_BACKEND"), id="stale"),
        pytest.param((by_entity("t", e=3.0),), ("FALLBACK", "", "t", "NO_BACKEND"), id="by entity"),
        pytest.param((constant("c"),), ("FALLBACK", "", "c", "NO_BACKEND"), id="constant"),
    ],
)
async def test_each_kind_of_fallback_says_where_its_answer_comes_from(steps, expected):
    online = {("v1", "default"): BROKEN, ("v1", "cpu"): HEALTHY, ("v2", "cpu"): HEALTHY}
    world = World(online, stale_answer=HEALTHY, precomputed_answer=HEALTHY)
    assert told(await fallen_back(world, *steps, entity="e")) == expected


async def test_given_values_have_a_row_for_each_row_of_the_request():
    found = await fallen_back(World({}), by_entity("t", e=3.0), entity="e", rows=3)
    message = predict_pb2.PredictResponse.FromString(found.outputs)
    assert list(message.outputs[0].shape) == [3, 1]
    assert message.raw_output_contents[0] == b"\0\0\x40\x40" * 3


@pytest.mark.parametrize("entity", ["", "stranger"])
async def test_an_entity_that_is_not_in_the_table_gets_the_next_step(entity):
    assert told(await fallen_back(World({}), by_entity("t", e=3.0), ZERO, entity=entity))[2] == "zero"


async def test_without_an_entity_precomputed_answers_are_not_looked_for():
    world = World({})
    assert told(await fallen_back(world, step("p", precomputed=True), ZERO))[2] == "zero"
    assert "precomputed" not in world.asked


@each("code", CODES)
async def test_what_is_wrong_with_the_request_is_never_answered_by_a_fallback(code):
    world = World({("v1", "default"): Outcome(error_for(code, "told", reason="WHY"))})
    if code in FALLS_BACK | {Code.DATA_LOSS}:
        assert told(await fallen_back(world, ZERO)) == ("FALLBACK", "", "zero", "WHY")
    else:
        with pytest.raises(ServiceError) as caught:
            await fallen_back(world, ZERO)
        assert (caught.value.code, caught.value.reason) == (code, "WHY")


@pytest.mark.parametrize("reason", ["ANSWER_TOO_LARGE", "TOO_MANY_ROWS"])
async def test_neither_is_a_request_that_is_too_large(reason):
    world = World({("v1", "default"): Outcome(error_for(Code.RESOURCE_EXHAUSTED, "large", reason=reason))})
    with pytest.raises(ServiceError) as caught:
        await fallen_back(world, ZERO)
    assert caught.value.reason == reason


async def test_an_entity_without_precomputed_answer_gets_the_fallback():
    world = World({("v1", "default"): Outcome(error_for(Code.NOT_FOUND, "none", reason="NOT_PRECOMPUTED"))})
    assert told(await fallen_back(world, ZERO)) == ("FALLBACK", "", "zero", "NOT_PRECOMPUTED")


async def test_a_route_that_computes_nothing_falls_back_for_want_of_an_answer_and_not_of_a_batcher():
    world = World(
        {
            ("v1", "default"): Outcome(error_for(Code.NOT_FOUND, "none", reason="NOT_PRECOMPUTED")),
            ("v2", "cpu"): HEALTHY,
        },
        needs={("v1", "default"): CANNOT},
    )
    asked = resolved(backup("small", V2, "cpu"), ZERO, entity="e", mode=route_pb2.Lookup.MODE_BATCH)
    assert told(await chain(world).find(asked)) == ("FALLBACK", "v2", "small", "NOT_PRECOMPUTED")
    nothing = replace(asked, tensors=Tensors((), ()), layout=asked.variant.served.without_inputs, inputs=())
    assert told(await chain(world).find(nothing)) == ("FALLBACK", "", "zero", "NOT_PRECOMPUTED")


async def test_an_input_that_a_backup_of_the_same_contract_blames_is_the_callers_fault():
    world = World({("v2", "cpu"): Outcome(NAN)})
    with pytest.raises(InvalidArgument) as caught:
        await fallen_back(world, backup("small", V2, "cpu"), ZERO)
    assert caught.value.reason == "NAN_NOT_ALLOWED"


async def test_a_backup_of_another_contract_that_the_inputs_do_not_fit_is_passed_over():
    world = World({("other", "cpu"): HEALTHY})
    made = chain(world, tokens=1.0)
    assert told(await made.find(resolved(backup("other", OTHER, "cpu"), ZERO)))[2] == "zero"
    assert world.asked == ["v1@default"]
    world.online = {("v2", "cpu"): HEALTHY}  # what was not asked is not paid for either
    assert told(await made.find(resolved(backup("small", V2, "cpu"), ZERO)))[2] == "small"


async def test_a_kept_answer_needs_no_fallback():
    world = World({}, needs={("v1", "default"): CANNOT}, kept_answer=b"kept")
    found = await fallen_back(world, ZERO)
    assert (found.served_from, found.outputs, found.fallback_step, found.degraded_reason) == (
        ServedFrom.CACHE,
        b"kept",
        "",
        "",
    )


async def test_with_nobody_there_the_primary_is_not_tried_and_the_reason_says_so():
    world = World({("v2", "cpu"): HEALTHY}, needs={("v1", "default"): CANNOT})
    assert told(await fallen_back(world, backup("small", V2, "cpu"), tokens=0.0))[2:] == ("small", "NO_BACKEND")
    assert world.asked == ["v2@cpu"]
    assert world.again == [False]


async def test_without_a_step_left_the_caller_gets_the_error_of_its_own_version():
    world = World({("v1", "default"): Outcome(error_for(Code.RESOURCE_EXHAUSTED, "full", reason="QUEUE_FULL"))})
    with pytest.raises(ServiceError) as caught:
        await fallen_back(world, backup("small", V2, "cpu"), stale("old", 60))
    assert caught.value.reason == "QUEUE_FULL"


async def test_a_backup_is_asked_within_the_budget_of_retries_and_given_values_cost_nothing():
    world = World({("v2", "cpu"): HEALTHY})
    steps = (backup("small", V2, "cpu"), ZERO)
    made = chain(world, tokens=1.0)
    steps_used = [(await made.find(resolved(*steps))).fallback_step for _ in range(3)]
    assert steps_used == ["small", "zero", "zero"]
    assert world.again == [False, True, False, False]


async def test_an_answer_past_its_time_stands_in_for_an_error_only_when_no_fallback_answers():
    world = World({}, on_error=b"old")
    assert told(await fallen_back(world, ZERO)) == ("FALLBACK", "", "zero", "NO_BACKEND")
    found = await fallen_back(world, backup("small", V2, "cpu"))
    assert told(found) == ("STALE", "v1", "", "NO_BACKEND")
    assert world.last == [False, False, False]


async def test_a_request_that_no_fallback_can_answer_is_asked_as_without_any():
    world = World({("v1", "default"): HEALTHY}, needs={("v2", "cpu"): CANNOT})
    await fallen_back(world, backup("small", V2, "cpu"))
    assert world.last == [True]


async def test_who_pins_a_version_gets_only_answers_of_that_version():
    world = World({("v1", "cpu"): HEALTHY, ("v2", "cpu"): HEALTHY})
    steps = (backup("small", V2, "cpu"), ZERO, backup("same", None, "cpu"))
    assert told(await fallen_back(world, *steps, pinned="v1")) == ("FALLBACK", "v1", "same", "NO_BACKEND")
    with pytest.raises(Unavailable):
        await fallen_back(world, *steps[:2], pinned="v1")


async def test_a_request_that_is_explained_notes_what_was_passed_over_and_why():
    world = World({}, needs={("v1", "default"): CANNOT})
    trace = Trace(world.now)
    steps = (backup("same", None, "cpu"), backup("small", V2, "cpu"), ZERO)
    await chain(world, tokens=0.0).find(replace(resolved(*steps), trace=trace))
    assert [(one.step, one.reason) for one in trace.attempts] == [
        ("primary", "NO_BACKEND"),
        ("small", "RETRY_BUDGET_SPENT"),
    ]
    assert (trace.step, trace.version) == ("same", "v1")


async def test_degraded_answers_are_counted_by_model_step_and_reason():
    degraded = DegradedAnswers()
    await chain(World({}), degraded=degraded).find(resolved(ZERO))
    (family,) = degraded.collect()
    (sample,) = family.samples
    assert (sample.labels, sample.value) == ({"model": "digits", "fallback_step": "zero", "reason": "NO_BACKEND"}, 1)


OUTCOMES: st.SearchStrategy[Outcome] = st.builds(
    Outcome,
    st.one_of(st.just(b"answer"), st.sampled_from([error_for(code, "told", reason=code.name) for code in CODES])),
    st.floats(0.0, 2.0),
)
STEPS: Mapping[str, Callable[[], control_pb2.ResolvedFallbackStep]] = {
    "small": lambda: backup("small", V2, "cpu"),
    "same": lambda: backup("same", None, "cpu"),
    "batch": lambda: step("batch", precomputed=True),
    "old": lambda: stale("old", 60),
    "table": lambda: by_entity("table", e=1.0),
    "zero": lambda: ZERO,
}
ORDERS = st.lists(st.sampled_from(sorted(STEPS)), unique=True, max_size=6)


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
    asked = resolved(*(STEPS[name]() for name in names), left_s=left_s, entity=entity)

    async def fall_back() -> Answer | ServiceError:
        try:
            return await chain(world).find(asked)
        except ServiceError as error:
            return error

    outcome = asyncio.run(fall_back())
    assert world.at <= left_s + 1e-9
    if isinstance(outcome, Answer) and outcome.fallback_step:
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

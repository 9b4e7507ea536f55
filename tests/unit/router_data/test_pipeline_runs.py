"""Requests to pipelines, over members that the test holds in its hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from headrace_runtime.pipelines.graph import Combiner, Kind, ModelStep, Output, Pipeline, Source, Step
from headrace_servicekit.errors import Code

from tests.kit.router.pipeline_runs import Behaviour, Composed, Ended, edges, member

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
DEAD = Behaviour(needs_s=math.inf)
HANGS = Behaviour(takes_s=math.inf, needs_s=0.01)


def ensemble(combiner: Combiner, names: str = "abc", **how: object) -> Composed:
    """Return models that take the request, scaled by 1, 2, …, and a combiner of what they give.

    how: of each model's step, by its field; `pools` by the model.
    """
    pools: Any = how.pop("pools", {})
    models = [
        Step(name, ModelStep(name), edges(("x", "", "x")), pool=pools.get(name, ""), **how)  # type: ignore[arg-type]
        for name in names
    ]
    combined = Step("all", combiner, edges(*((name, name, "y") for name in names)))
    pipeline = Pipeline((*models, combined), (Output("scores", Source("all", "output")),))
    return Composed(pipeline, {name: member(float(at + 1)) for at, name in enumerate(names)})


def chain(*names: str, **how: object) -> Composed:
    """Return models of which each takes what the one before gives."""
    steps = [
        Step(name, ModelStep(name), edges(("x", "", "x") if at == 0 else ("x", names[at - 1], "y")), **how)  # type: ignore[arg-type]
        for at, name in enumerate(names)
    ]
    return Composed(
        Pipeline(tuple(steps), (Output("y", Source(names[-1], "y")),)), {name: member(2.0) for name in names}
    )


def value_of(ended: Ended, name: str = "scores") -> float:
    """Return by what the request's values were scaled in the answer."""
    assert ended.outputs is not None, ended.error
    return float(ended.outputs[name][1, 3] / ROWS[1, 3])


def test_members_run_beside_each_other_and_the_combiner_after_them():
    ended = ensemble(Combiner(Kind.MEAN)).asked({"x": ROWS})
    assert value_of(ended) == 2.0
    assert ended.executed == ["a", "b", "c", "all"]
    assert ended.took_s == pytest.approx(0.02)
    assert (ended.missing, ended.left_over) == ((), 0)


def test_a_step_begins_as_soon_as_its_own_inputs_are_there():
    steps = (
        Step("slow", ModelStep("slow"), edges(("x", "", "x"))),
        Step("first", ModelStep("first"), edges(("x", "", "x"))),
        Step("second", ModelStep("second"), edges(("x", "first", "y"))),
    )
    outputs = (Output("s", Source("slow", "y")), Output("t", Source("second", "y")))
    composed = Composed(Pipeline(steps, outputs), {name: member(2.0) for name in ("slow", "first", "second")})
    ended = composed.asked({"x": ROWS}, behaviours={"slow": Behaviour(takes_s=0.1)})
    assert ended.took_s == pytest.approx(0.1)
    assert (value_of(ended, "s"), value_of(ended, "t")) == (2.0, 4.0)


@pytest.mark.parametrize("quorum", [0, 1, 2, 3])
@pytest.mark.parametrize("dead", [one for size in range(4) for one in itertools.combinations("abc", size)], ids=str)
@pytest.mark.parametrize("how", ["fails", "nobody has it", "hangs"])
def test_an_answer_needs_as_many_members_as_the_quorum_and_names_the_others(quorum, dead, how):
    behaviour = {
        "fails": Behaviour(codes=(Code.INTERNAL,)), "nobody has it": DEAD, "hangs": HANGS,
    }[how]  # fmt: skip
    composed = ensemble(Combiner(Kind.MEAN, quorum=quorum))
    ended = composed.asked({"x": ROWS}, deadline_s=1.0, behaviours=dict.fromkeys(dead, behaviour))
    alive = [at + 1.0 for at, name in enumerate("abc") if name not in dead]
    if len(alive) >= (quorum or 3):
        assert value_of(ended) == pytest.approx(sum(alive) / len(alive))
        assert ended.missing == dead
    else:
        assert ended.outputs is None
        assert ended.error is not None
    assert ended.took_s <= 1.0 + 1e-6
    assert ended.left_over == 0


def test_a_combiner_waits_for_all_until_it_has_to_begin():
    composed = ensemble(Combiner(Kind.MEAN, quorum=2))
    late = {"c": Behaviour(takes_s=0.5, needs_s=0.01), "all": Behaviour(takes_s=0.2)}
    assert composed.asked({"x": ROWS}, deadline_s=1.0, behaviours=late).missing == ()
    ended = composed.asked({"x": ROWS}, deadline_s=0.6, behaviours=late)
    assert ended.missing == ("c",)
    assert 0.57 < ended.took_s < 0.6
    assert ended.withdrawn == ["c"]


@pytest.mark.parametrize("how", [Behaviour(codes=(Code.INTERNAL,)), HANGS, DEAD], ids=["fails", "hangs", "away"])
def test_zeros_stand_for_a_voter_that_fails_softly_also_where_the_combiner_cannot_wait_for_it(how):
    composed = ensemble(Combiner(Kind.MEAN, quorum=1), "ab", soft_fail=True)
    ended = composed.asked({"x": ROWS}, deadline_s=1.0, behaviours={"b": how})
    assert value_of(ended) == 0.5  # of 1 and 0
    assert (ended.missing, ended.left_over) == (("b",), 0)


def test_what_cannot_end_in_time_is_refused_before_the_first_step():
    ended = chain("a", "b").asked({"x": ROWS}, deadline_s=0.5, behaviours={"b": Behaviour(takes_s=0.6)})
    assert ended.error is not None
    assert (ended.error.code, ended.error.reason) == (Code.DEADLINE_EXCEEDED, "TIME_SHORT")
    assert (ended.executed, ended.took_s) == ([], 0.0)


def test_what_nobody_can_run_is_refused_before_the_first_step_when_nobody_comes_for_a_while():
    ended = chain("a", "b").asked({"x": ROWS}, behaviours={"b": DEAD})
    assert ended.error is not None
    assert ended.error.reason == "NO_BACKEND"
    assert ended.executed == []
    assert 0.05 < ended.took_s <= 0.1


def test_a_request_waits_for_a_pool_that_is_being_started_and_is_refused_when_that_takes_too_long():
    away = {"b": DEAD}
    ended = chain("a", "b").asked({"x": ROWS}, behaviours=away, deadline_s=5.0, starts_in_s=2.0)
    assert value_of(ended, "y") == 4.0
    assert 2.0 < ended.took_s < 2.1
    ended = chain("a", "b").asked({"x": ROWS}, behaviours=away, deadline_s=1.0, starts_in_s=2.0)
    assert (ended.outputs, ended.executed, ended.took_s) == (None, [], 0.0)
    assert ended.error is not None
    assert (ended.error.code, ended.error.reason, ended.error.retry_after_s) == (Code.UNAVAILABLE, "POOL_STARTING", 2.0)


def test_a_pool_that_can_be_done_without_keeps_nobody_from_waiting_for_one_that_is_being_started():
    composed, away = ensemble(Combiner(Kind.MEAN, quorum=2), pools={"a": "gone"}), dict.fromkeys("abc", DEAD)
    ended = composed.asked({"x": ROWS}, behaviours=away, deadline_s=5.0, starts_in_s=2.0, gone={"gone"})
    assert (value_of(ended), ended.missing) == (2.5, ("a",))
    assert 2.0 < ended.took_s < 2.1
    ended = composed.asked({"x": ROWS}, behaviours=away, deadline_s=1.0, starts_in_s=2.0, gone={"gone"})
    assert ended.error is not None
    assert (ended.error.reason, ended.error.retry_after_s, ended.took_s) == ("POOL_STARTING", 2.0, 0.0)
    # Without a quorum it cannot be done without.
    composed = ensemble(Combiner(Kind.MEAN), pools={"a": "gone"})
    ended = composed.asked({"x": ROWS}, behaviours=away, deadline_s=5.0, starts_in_s=2.0, gone={"gone"})
    assert ended.error is not None
    assert ended.error.reason == "NO_BACKEND"
    assert ended.took_s <= 0.1


def test_a_member_that_is_not_needed_for_the_quorum_is_not_waited_for_while_nobody_has_it():
    ended = ensemble(Combiner(Kind.MEAN, quorum=2)).asked({"x": ROWS}, behaviours={"a": DEAD})
    assert ended.missing == ("a",)
    assert ended.took_s == pytest.approx(0.02)
    assert ended.missed_pools == {"default"}, "it is started all the same, for those who come later"


def test_a_step_is_tried_again_as_often_as_it_says_and_no_answer_is_flagged_for_it():
    composed = chain("a", "b", retries=2)
    flaky = {"b": Behaviour(codes=(Code.UNAVAILABLE, Code.INTERNAL, 0))}
    ended = composed.asked({"x": ROWS}, behaviours=flaky)
    assert value_of(ended, "y") == 4.0
    assert (ended.executed, ended.missing) == (["a", "b", "b", "b"], ())
    ended = composed.asked({"x": ROWS}, behaviours={"b": Behaviour(codes=(Code.UNAVAILABLE,))})
    assert ended.executed == ["a", "b", "b", "b"]
    assert ended.error is not None
    assert "step 'b'" in ended.error.public_message


def test_nothing_is_tried_again_beyond_the_budget_or_when_the_request_is_to_blame():
    composed = chain("a", retries=3)
    ended = composed.asked({"x": ROWS}, behaviours={"a": Behaviour(codes=(Code.UNAVAILABLE,))}, budget=0.0)
    assert ended.executed == ["a"]
    ended = composed.asked({"x": ROWS}, behaviours={"a": Behaviour(codes=(Code.INVALID_ARGUMENT,))})
    assert ended.executed == ["a"]
    assert ended.error is not None
    assert ended.error.code is Code.INVALID_ARGUMENT


def test_an_attempt_has_no_longer_than_the_step_says():
    composed = chain("a", timeout_ms=50.0, retries=1)
    ended = composed.asked({"x": ROWS}, behaviours={"a": HANGS})
    assert ended.executed == ["a", "a"]
    assert ended.took_s == pytest.approx(0.1)


def test_zeros_stand_for_what_fails_softly_and_the_answer_says_so():
    steps = (
        Step("extra", ModelStep("extra"), edges(("x", "", "x")), soft_fail=True),
        Step("main", ModelStep("main"), edges(("x", "", "x"), ("e", "extra", "y"))),
    )
    composed = Composed(
        Pipeline(steps, (Output("y", Source("main", "y")),)), {"extra": member(5.0), "main": member(1.0, "x", "e")}
    )
    assert value_of(composed.asked({"x": ROWS}), "y") == 6.0
    for behaviour in (Behaviour(codes=(Code.INTERNAL,)), DEAD):
        ended = composed.asked({"x": ROWS}, behaviours={"extra": behaviour})
        assert value_of(ended, "y") == 1.0
        assert ended.missing == ("extra",)


def test_a_caller_that_leaves_withdraws_every_step():
    ended = ensemble(Combiner(Kind.MEAN)).asked({"x": ROWS}, cancel_at=0.005)
    assert ended.outputs is None
    assert sorted(ended.withdrawn) == ["a", "b", "c"]
    assert ended.left_over == 0


def test_a_step_that_fails_for_good_withdraws_the_others():
    composed = ensemble(Combiner(Kind.MEAN))
    behaviours = {"a": Behaviour(codes=(Code.INTERNAL,)), "b": Behaviour(takes_s=1.0)}
    ended = composed.asked({"x": ROWS}, behaviours=behaviours)
    assert ended.error is not None
    assert "b" in ended.withdrawn
    assert ended.took_s == pytest.approx(0.01)


@pytest.mark.parametrize("step", ["a", "b"])
def test_a_defect_in_the_middle_of_a_request_answers_it_with_internal_and_leaves_nothing_behind(step):
    ended = chain("a", "b").asked({"x": ROWS}, behaviours={step: Behaviour(raises=True)})
    assert ended.error is not None
    assert ended.error.code is Code.INTERNAL
    assert "defect" not in ended.error.public_message
    assert ended.left_over == 0


def test_an_attribute_switches_and_steps_that_only_lead_elsewhere_do_not_run():
    switch = Combiner(Kind.SWITCH, attribute="country", cases={"ch": "a", "fr": "b"}, default_input="c")
    composed = ensemble(switch)
    for country, scaled, ran in (("ch", 1.0, "a"), ("fr", 2.0, "b"), ("it", 3.0, "c"), (None, 3.0, "c")):
        attributes = {} if country is None else {"country": country}
        ended = composed.asked({"x": ROWS}, attributes=attributes)
        assert value_of(ended) == scaled
        assert (ended.executed, ended.missing) == ([ran, "all"], ())


def test_only_what_the_wanted_outputs_need_is_run():
    steps = tuple(Step(name, ModelStep(name), edges(("x", "", "x"))) for name in "ab")
    outputs = (Output("first", Source("a", "y")), Output("second", Source("b", "y")))
    composed = Composed(Pipeline(steps, outputs), {"a": member(2.0), "b": member(3.0)})
    ended = composed.asked({"x": ROWS}, outputs=(1,), behaviours={"a": DEAD})
    assert ended.executed == ["b"]
    assert ended.outputs is not None
    assert list(ended.outputs) == ["second"]


def test_a_hundred_steps_run():
    names = [f"s{at}" for at in range(100)]
    ended = chain(*names).asked({"x": np.ones((1, 4), np.float32)})
    assert len(ended.executed) == 100
    assert ended.outputs is not None

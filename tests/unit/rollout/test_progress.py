"""How a rollout goes on: every decision, from state, observation and time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from headrace_rollout.decisions import progress, routes
from headrace_rollout.decisions.headroom import Room
from headrace_rollout.decisions.observation import Observation, Surroundings
from headrace_rollout.decisions.policies import OnLimit, Policy, Shadow, Step, Strategy
from headrace_rollout.decisions.rollouts import Decision, Rollout, State, Transition, Verdict
from headrace_servicekit.errors import Aborted, PreconditionFailed

from tests.kit.rollout.rollouts import CANARY, IMPLICIT, MINUTE, NOW, SHADOW, rollout

LATER = NOW + MINUTE
UNJUDGED = Policy(Strategy.ROLLING, (Step(0.5, MINUTE), Step(1.0, MINUTE)))


def at(step: int, **how) -> Rollout:
    """Return a rollout that has been at a step since NOW."""
    policy = how.pop("policy", CANARY)
    share = policy.steps[step].share
    return rollout(policy, state=State.RUNNING, step=step, share=share, step_time=NOW, etag="e1", **how)


def shadowing(**how) -> Rollout:
    """Return a rollout that has been a shadow since NOW."""
    policy = how.pop("policy", SHADOW)
    return rollout(policy, state=State.SHADOWING, step_time=NOW, etag="e1", evidence="{}", **how)


def seen(
    decision: Decision | None = Decision.HOLD, managed_by: str = "rollouts/7", named: str | None = "v1", **around
) -> Observation:
    """Return an observation in which nobody has interfered. around: what the monitor knows of the model."""
    verdict = None if decision is None else Verdict(decision, "so it is", (), NOW)
    return Observation(managed_by, named, Surroundings(**around), verdict, Room())


def types(transition: Transition) -> list[str]:
    return [event.type for event in transition.events]


def test_a_version_that_is_ready_gets_the_first_share():
    ready = progress.prepared(rollout(), "", NOW, Room()).rollout
    assert (ready.state, ready.step, ready.moving, ready.share) == (State.RUNNING, 0, True, 0)
    moved = progress.moved(ready, "e1", NOW)
    assert (moved.rollout.share, moved.rollout.moving, moved.rollout.etag) == (0.05, False, "e1")
    assert types(moved) == ["step"]


@pytest.mark.parametrize(
    ("policy", "around", "frozen"),
    [
        pytest.param(policy, around, frozen, id=f"{policy.strategy.value}, {name}")
        for policy in (CANARY, replace(CANARY, strategy=Strategy.BIG_BANG, steps=(Step(1.0, MINUTE),)))
        for name, around, frozen in (
            ("an open alert", Surroundings(alerts=("slo: late",)), "alert: slo: late"),
            ("an experiment", Surroundings(experiment="models/digits/experiments/e1"), "models/digits/experiments/e1"),
            ("alerts that are not known", Surroundings(known=False), ""),
        )
    ],
)
def test_the_first_step_is_kept_back_by_what_keeps_every_other_and_for_as_long(
    policy: Policy, around: Surroundings, frozen: str
):
    much_later = NOW + timedelta(days=1)
    kept = progress.prepared(rollout(policy), "", much_later, Room(), around)
    assert (kept.rollout.state, kept.rollout.step, kept.rollout.moving) == (State.PREPARING, -1, False)
    assert kept.rollout.frozen.startswith(frozen)
    assert types(kept) == (["frozen"] if frozen else [])
    begun = progress.prepared(kept.rollout, "", much_later, Room(), Surroundings())
    assert (begun.rollout.step, begun.rollout.moving, begun.rollout.frozen) == (0, True, "")
    assert types(begun) == (["thawed"] if frozen else [])
    ignoring = replace(rollout(policy), policy=replace(policy, ignore_alerts=True))
    assert progress.prepared(ignoring, "", NOW, Room(), around).rollout.moving


def test_a_version_that_does_not_become_ready_ends_the_rollout_and_says_why():
    waits = progress.prepared(rollout(), "no batcher", NOW + 9 * MINUTE).rollout
    assert (waits.state, "no batcher" in waits.reason) == (State.PREPARING, True)
    over = progress.prepared(rollout(), "no batcher", NOW + 10 * MINUTE)
    assert (over.rollout.state, types(over)) == (State.FAILED, ["failed"])


def test_a_paused_rollout_moves_nothing_when_the_version_is_ready():
    assert progress.prepared(rollout(paused=True), "", NOW, Room()).rollout.state is State.PREPARING


@pytest.mark.parametrize(
    ("now", "decision", "how", "goes_on"),
    [
        pytest.param(LATER, Decision.ADVANCE, {}, True, id="evidence and dwell"),
        pytest.param(LATER, Decision.HOLD, {}, False, id="no evidence"),
        pytest.param(NOW, Decision.ADVANCE, {}, False, id="no dwell"),
        pytest.param(LATER, Decision.ADVANCE, {"paused": True}, False, id="paused"),
        pytest.param(LATER, Decision.NO_DATA, {}, False, id="no data is no success"),
        pytest.param(NOW, Decision.HOLD, {"skip": True}, True, id="skipped by a person"),
    ],
)
def test_a_rollout_goes_on_with_evidence_after_its_dwell(now, decision, how, goes_on):
    after = progress.observed(at(0, **how), seen(decision), now).rollout
    assert (after.step, after.moving) == ((1, True) if goes_on else (0, False))


def test_the_last_step_is_judged_too_and_leads_to_the_promotion():
    assert progress.observed(at(2), seen(Decision.HOLD), LATER).rollout.state is State.RUNNING
    promoting = progress.observed(at(2), seen(Decision.ADVANCE), LATER)
    assert (promoting.rollout.state, types(promoting)) == (State.PROMOTING, ["promoting"])


def test_a_strategy_that_is_not_judged_needs_no_verdict():
    assert progress.observed(at(0, policy=UNJUDGED), seen(None), NOW).rollout.moving is False
    assert progress.observed(at(0, policy=UNJUDGED), seen(None), LATER).rollout.moving is True
    assert progress.observed(at(1, policy=UNJUDGED), seen(None), LATER).rollout.state is State.PROMOTING


@pytest.mark.parametrize("how", [{}, {"paused": True}])
def test_a_worse_version_is_taken_back_also_while_paused_or_frozen(how):
    observed = seen(Decision.ROLL_BACK, alerts=("drift: critical",))
    after = progress.observed(at(1, **how), observed, NOW)
    assert (after.rollout.state, after.rollout.ends_as, types(after)) == (
        State.ROLLING_BACK,
        State.ROLLED_BACK,
        ["rolling_back"],
    )
    over = progress.taken_back(replace(after.rollout, bad_from=NOW), LATER)
    assert (over.rollout.state, over.rollout.share, over.rollout.reason) == (State.ROLLED_BACK, 0, "so it is")
    assert over.rollout.bad_until == LATER


def test_a_policy_that_leaves_the_rollback_to_people_stops_growth_and_says_so():
    manual = at(0, policy=replace(CANARY, manual_rollback=True))
    after = progress.observed(manual, seen(Decision.ROLL_BACK), LATER)
    assert (after.rollout.state, after.rollout.moving, types(after)) == (State.RUNNING, False, ["frozen"])
    assert "leaves the rollback to you" in after.rollout.frozen


def test_an_alert_freezes_growth_once_and_its_end_thaws_it():
    frozen = progress.observed(at(0), seen(Decision.ADVANCE, alerts=("drift: critical",)), LATER)
    assert (frozen.rollout.frozen, frozen.rollout.moving) == ("alert: drift: critical", False)
    assert types(frozen) == ["frozen"]
    again = progress.observed(frozen.rollout, seen(Decision.ADVANCE, alerts=("drift: critical",)), LATER)
    assert types(again) == []
    thawed = progress.observed(again.rollout, seen(Decision.ADVANCE), LATER)
    assert (thawed.rollout.frozen, thawed.rollout.moving, types(thawed)) == ("", True, ["thawed"])
    ignored = at(0, policy=replace(CANARY, ignore_alerts=True))
    assert progress.observed(ignored, seen(Decision.ADVANCE, alerts=("drift",)), LATER).rollout.moving


def test_an_experiment_that_runs_freezes_growth_as_an_alert_does():
    running = {"experiment": "models/digits/experiments/ranking"}
    frozen = progress.observed(at(0), seen(Decision.ADVANCE, **running), LATER)
    assert frozen.rollout.frozen.startswith("models/digits/experiments/ranking runs")
    assert progress.observed(frozen.rollout, seen(Decision.ADVANCE), LATER).rollout.frozen == ""
    worse = progress.observed(frozen.rollout, seen(Decision.ROLL_BACK, **running), LATER)
    assert worse.rollout.state is State.ROLLING_BACK
    ignored = at(0, policy=replace(CANARY, ignore_alerts=True))
    assert progress.observed(ignored, seen(Decision.ADVANCE, **running), LATER).rollout.frozen == ""


def test_a_lack_of_evidence_is_told_once_after_the_limit():
    steps = (Step(0.05, MINUTE, 2 * MINUTE), Step(1.0, MINUTE))
    waiting = at(0, policy=replace(CANARY, steps=steps))
    early = progress.observed(waiting, seen(), NOW + MINUTE)
    held = progress.observed(early.rollout, seen(), NOW + 2 * MINUTE)
    again = progress.observed(held.rollout, seen(), NOW + 3 * MINUTE)
    assert [types(one) for one in (early, held, again)] == [[], ["held"], []]
    assert held.rollout.state is State.RUNNING


@pytest.mark.parametrize(
    ("on_limit", "manual", "state", "moving"),
    [
        (OnLimit.ROLLBACK, False, State.ROLLING_BACK, False),
        (OnLimit.ROLLBACK, True, State.RUNNING, False),
        (OnLimit.GO_ON, False, State.RUNNING, True),
        (OnLimit.HOLD, False, State.RUNNING, False),
    ],
)
def test_a_step_that_cannot_decide_within_its_limit_ends_as_the_policy_says(on_limit, manual, state, moving):
    steps = (Step(0.05, MINUTE, 2 * MINUTE), Step(0.95, MINUTE, 2 * MINUTE))
    policy = replace(CANARY, steps=steps, on_limit=on_limit, manual_rollback=manual)
    early = progress.observed(at(0, policy=policy), seen(), NOW + MINUTE).rollout
    assert (early.state, early.moving) == (State.RUNNING, False)
    late = progress.observed(early, seen(), NOW + 2 * MINUTE).rollout
    assert (late.state, late.moving) == (state, moving)
    proven = progress.observed(early, seen(Decision.ADVANCE), NOW + 3 * MINUTE).rollout
    assert (proven.state, proven.moving) == (State.RUNNING, True)
    paused = progress.observed(replace(early, paused=True), seen(), NOW + 3 * MINUTE).rollout
    assert (paused.state, paused.moving) == (State.RUNNING, False), "a person's pause has no limit"


def test_a_route_that_somebody_took_is_theirs():
    for managed_by in ("", "experiments/3"):
        after = progress.observed(at(1), seen(managed_by=managed_by), NOW)
        assert after.rollout.state is State.DISPLACED, managed_by


def test_a_promotion_by_hand_ends_the_rollout_and_gives_the_route_back():
    after = progress.observed(at(1), seen(Decision.ADVANCE, named="v3"), LATER)
    assert (after.rollout.state, after.rollout.ends_as) == (State.ROLLING_BACK, State.DISPLACED)
    assert "v3" in after.rollout.reason
    away = progress.observed(at(1), seen(Decision.HOLD, named=None), LATER)
    assert away.rollout.state is State.RUNNING, "a registry that is away says nothing"


def test_a_rollback_is_another_write_than_the_one_that_may_be_on_its_way():
    moving = replace(at(0), moving=True, writes=4)
    back = progress.abort(moving, "ana", "enough", NOW)
    assert (back.rollout.writes, back.rollout.moving, back.rollout.state) == (5, False, State.ROLLING_BACK)
    assert (back.events[0].client, "ana aborted it: enough" in back.rollout.reason) == ("ana", True)


def test_an_abort_before_anything_moved_needs_no_write():
    over = progress.abort(rollout(), "ana", "", NOW)
    assert (over.rollout.state, over.rollout.end_time) == (State.ABORTED, NOW)


@pytest.mark.parametrize("state", [State.PROMOTING, State.SUCCEEDED, State.ROLLED_BACK, State.ABORTED])
def test_what_is_over_or_decided_is_not_changed(state: State):
    ended = replace(at(2), state=state)
    for change in (
        lambda: progress.pause(ended, "ana", ""),
        lambda: progress.resume(ended, "ana", ""),
        lambda: progress.skip(ended, "ana", "", None),
        lambda: progress.abort(ended, "ana", "", NOW),
    ):
        with pytest.raises(PreconditionFailed) as refused:
            change()
        assert refused.value.reason == "ROLLOUT_OVER"


def test_a_step_is_skipped_only_where_the_rollout_is_at_it():
    with pytest.raises(PreconditionFailed) as moving:
        progress.skip(replace(at(0), moving=True), "ana", "", None)
    assert moving.value.reason == "STEP_NOT_REACHED"
    with pytest.raises(Aborted) as other:
        progress.skip(at(1), "ana", "", 0)
    assert other.value.reason == "STEP_CHANGED"
    skipped = progress.skip(at(1, paused=True), "ana", "trust me", 1)
    assert (skipped.rollout.skip, skipped.rollout.paused, types(skipped)) == (True, False, ["skipped"])


def test_pausing_twice_tells_once():
    once = progress.pause(at(0), "ana", "lunch")
    twice = progress.pause(once.rollout, "ana", "lunch")
    assert (types(once), types(twice), twice.rollout) == (["paused"], [], once.rollout)
    assert types(progress.resume(twice.rollout, "ana", "")) == ["resumed"]


def test_a_refused_promotion_takes_the_version_back():
    after = progress.promotion_refused(replace(at(2), state=State.PROMOTING), "gate accuracy", NOW).rollout
    assert (after.state, after.ends_as, "gate accuracy" in after.reason) == (State.ROLLING_BACK, State.FAILED, True)


def test_times_are_told_in_units_that_people_use():
    over = progress.prepared(rollout(), "x", NOW + timedelta(hours=1)).rollout
    assert "within 10 min" in over.reason


def test_a_version_that_is_ready_becomes_a_shadow_before_the_first_step_and_answers_nobody():
    ready = progress.prepared(rollout(SHADOW), "", NOW, Room()).rollout
    assert (ready.state, ready.step, ready.moving) == (State.SHADOWING, -1, True)
    moved = progress.moved(ready, "e1", NOW)
    assert (moved.rollout.state, moved.rollout.share, moved.rollout.step_time) == (State.SHADOWING, 0.0, NOW)
    assert types(moved) == ["shadowing"]
    assert moved.events[0].reason == "version v2 gets copies of 50 % of what is computed, and gets no requests"


@pytest.mark.parametrize(
    ("now", "decision", "how", "goes_on"),
    [
        pytest.param(LATER, Decision.ADVANCE, {}, True, id="pairs and dwell"),
        pytest.param(LATER, Decision.HOLD, {}, False, id="too few pairs"),
        pytest.param(NOW, Decision.ADVANCE, {}, False, id="no dwell"),
        pytest.param(LATER, Decision.ADVANCE, {"paused": True}, False, id="paused"),
        pytest.param(LATER, Decision.NO_DATA, {}, False, id="monitor away"),
        pytest.param(NOW, Decision.HOLD, {"skip": True}, True, id="skipped by a person"),
    ],
)
def test_a_shadow_becomes_a_canary_when_it_passes(now, decision, how, goes_on):
    after = progress.observed(shadowing(**how), seen(decision), now).rollout
    expected = (State.RUNNING, 0, True, "") if goes_on else (State.SHADOWING, -1, False, "{}")
    # The steps are judged on evidence of their own.
    assert (after.state, after.step, after.moving, after.evidence) == expected


def test_a_shadow_that_nothing_follows_gives_the_route_back_and_is_over():
    alone = shadowing(policy=replace(SHADOW, steps=()))
    back = progress.observed(alone, seen(Decision.ADVANCE), LATER)
    assert (back.rollout.state, back.rollout.ends_as, types(back)) == (State.ROLLING_BACK, State.SHADOWED, [])
    assert back.rollout.writes == alone.writes + 1
    over = progress.taken_back(back.rollout, LATER)
    assert (over.rollout.state, over.rollout.state.over, types(over)) == (State.SHADOWED, True, ["shadowed"])
    assert (over.rollout.reason, over.rollout.bad_until) == ("so it is", None)


def test_a_shadow_that_fails_is_taken_back_and_one_that_the_monitor_is_silent_of_is_frozen():
    back = progress.observed(shadowing(), seen(Decision.ROLL_BACK), NOW)
    assert (back.rollout.state, back.rollout.ends_as, back.rollout.reason) == (
        State.ROLLING_BACK,
        State.ROLLED_BACK,
        "so it is",
    )
    frozen = progress.observed(shadowing(), seen(Decision.NO_DATA), NOW + 1000 * MINUTE)
    assert (frozen.rollout.state, frozen.rollout.frozen) == (State.SHADOWING, "no data: so it is")
    assert types(frozen) == ["frozen"]


def test_a_lack_of_pairs_is_told_once_after_the_limit_of_the_shadow():
    assert SHADOW.shadow is not None
    waiting = shadowing(policy=replace(SHADOW, shadow=replace(SHADOW.shadow, limit=2 * MINUTE)))
    held = progress.observed(waiting, seen(), NOW + 2 * MINUTE)
    again = progress.observed(held.rollout, seen(), NOW + 3 * MINUTE)
    assert [types(one) for one in (held, again)] == [["held"], []]


def test_a_shadow_can_be_paused_skipped_and_aborted():
    assert progress.pause(shadowing(), "ana", "").rollout.paused
    assert progress.skip(shadowing(), "ana", "", None).rollout.skip
    with pytest.raises(PreconditionFailed):
        progress.skip(shadowing(moving=True), "ana", "", None)
    back = progress.abort(shadowing(), "ana", "", NOW).rollout
    assert (back.state, back.ends_as) == (State.ROLLING_BACK, State.ABORTED)


def test_a_version_is_warmed_for_its_time_whatever_it_answers_and_then_gets_the_first_share():
    warm = replace(CANARY, shadow=Shadow(dwell=MINUTE, warms=True))
    ready = progress.prepared(rollout(warm), "", NOW).rollout
    assert (ready.state, ready.judged, ready.step) == (State.SHADOWING, False, -1)
    route = routes.staged(IMPLICIT, ready)
    assert (route.shadowing.keeps_answers, route.shadowing.share, [one.weight for one in route.variants]) == (
        True,
        1,
        [1, 0],
    )
    moved = progress.moved(ready, "e1", NOW)
    assert types(moved) == ["warming"]
    stays = progress.observed(moved.rollout, seen(None), NOW).rollout
    assert (stays.state, stays.moving) == (State.SHADOWING, False)
    onward = progress.observed(moved.rollout, seen(None), LATER).rollout
    assert (onward.state, onward.step, onward.moving, onward.judged) == (State.RUNNING, 0, True, True)
    assert not routes.staged(IMPLICIT, onward).HasField("shadowing")


def test_while_nobody_has_said_which_alerts_are_open_a_rollout_stays_where_it_is_and_goes_back_all_the_same():
    held = progress.observed(at(0), seen(Decision.ADVANCE, known=False), LATER)
    assert not held.rollout.moving
    assert not held.events, "a restart of the service is no news of a rollout"
    assert "not said yet" in held.rollout.reason
    frozen = progress.observed(at(0), seen(Decision.ADVANCE, alerts=("drift: critical",)), LATER).rollout
    still = progress.observed(frozen, seen(Decision.ADVANCE, known=False), LATER)
    assert (still.rollout.frozen, still.events) == (frozen.frozen, ())
    assert progress.observed(held.rollout, seen(Decision.ADVANCE), LATER).rollout.moving
    assert progress.observed(at(0), seen(Decision.ROLL_BACK, known=False), LATER).rollout.state is State.ROLLING_BACK
    ignored = at(0, policy=replace(CANARY, ignore_alerts=True))
    assert progress.observed(ignored, seen(Decision.ADVANCE, known=False), LATER).rollout.moving


def test_what_a_person_did_is_the_reason_until_the_rollout_goes_on():
    paused = progress.pause(at(0), "ana", "weekend").rollout
    assert (paused.paused, paused.reason) == (True, "paused: weekend")
    resumed = progress.resume(paused, "ana", "").rollout
    assert (resumed.paused, resumed.reason) == (False, "resumed")
    skipped = progress.skip(paused, "ana", "seen enough", None).rollout
    assert (skipped.paused, skipped.reason) == (False, "skips the present step: seen enough")


def test_a_version_that_is_promoted_has_all_of_the_traffic_whatever_its_last_step_left():
    promoting = replace(at(1), state=State.PROMOTING, share=0.95)
    assert progress.succeeded(promoting, NOW).rollout.share == 1

"""Whether a pool has room for a step, and what becomes of a rollout where it has not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headrace_rollout.decisions import growth, progress, routes
from headrace_rollout.decisions.headroom import (
    Fit,
    Look,
    PoolLoad,
    Report,
    Room,
    VariantTraffic,
    Work,
    load_between,
    room_of,
)
from headrace_rollout.decisions.observation import Observation, Surroundings
from headrace_rollout.decisions.policies import Policy, Step, Strategy
from headrace_rollout.decisions.rollouts import Decision, Rollout, State, Verdict
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rollout.rollouts import CANARY, IMPLICIT, MINUTE, NOW, rollout

LATER = NOW + MINUTE
# Of 1,000 requests/s four fifths come from the cache; half of the time of one batcher is used, 2 ms each.
HALF_BUSY = PoolLoad(batchers=1, busy=0.5, request_s=0.002)
COLD = Room(rps=1000.0, extra_share=0.8, pool=HALF_BUSY)
FULL = replace(COLD, pool=replace(HALF_BUSY, busy=0.8))
BLUE_GREEN = Policy(Strategy.BLUE_GREEN, (Step(1.0, MINUTE),))


def at(step: int, **how) -> Rollout:
    """Return a rollout that has been at a step since NOW."""
    told = {"share": CANARY.steps[step].share, "state": State.RUNNING, "step": step, "step_time": NOW, **how}
    return rollout(**told)


def seen(room: Room | None, decision: Decision = Decision.ADVANCE, **around) -> Observation:
    return Observation("rollouts/7", "v1", Surroundings(**around), Verdict(decision, "so it is", (), NOW), room)


def traffic(requests: int, *, kept: float, precomputed: int = 0) -> VariantTraffic:
    return VariantTraffic(100.0, requests, round(requests * (1 - kept)), 0, precomputed)


def test_a_step_fits_where_batchers_stay_below_the_bound_with_what_it_adds():
    # 150 requests/s more is what 80 % leaves; each percent of the traffic adds 8.
    assert COLD.fit(0.0, 0.05, 0.8, whole=False) == Fit(0.05)
    slowed = COLD.fit(0.05, 1.0, 0.8, whole=False)
    assert slowed.share == pytest.approx(0.05 + 150 / 800, abs=1e-4)
    assert slowed.reason == (
        "100 % of the traffic would have the pool compute 760 requests/s more, and there is room for 150: "
        "its batchers (1) are busy for 50% of the time, and may be for 80%"
    )


def test_a_switch_of_all_traffic_fits_or_waits():
    assert COLD.fit(0.0, 1.0, 0.8, whole=True).share == 0
    assert COLD.fit(0.0, 1.0, 3.0, whole=True).share == 1


def test_where_nothing_is_computed_besides_a_busy_pool_is_no_obstacle():
    assert replace(FULL, extra_share=0.0).fit(0.0, 1.0, 0.8, whole=False) == Fit(1.0)


@given(
    rps=st.floats(0, 1e6),
    extra=st.floats(0, 1),
    busy=st.floats(0, 50),
    request_s=st.floats(1e-6, 10),
    shares=st.tuples(st.floats(0, 1), st.floats(1e-6, 1)).map(sorted),
    whole=st.booleans(),
)
def test_what_fits_is_never_less_than_there_is_nor_more_than_is_asked_for_nor_overloads_the_pool(
    rps, extra, busy, request_s, shares, whole
):
    share, wanted = shares
    pool = PoolLoad(4, busy, request_s)
    room = Room(rps, 0.0, extra, pool)
    fit = room.fit(share, wanted, 0.8, whole=whole)
    assert share <= fit.share <= wanted
    assert bool(fit.reason) == (fit.share < wanted) or fit.share == share == wanted
    assert fit.share == share or room.extra_rps(fit.share - share) <= pool.room_rps(0.8) * (1 + 1e-9) + 1e-9
    assert not whole or fit.share in (share, wanted)


def test_a_version_that_has_answered_says_itself_what_its_cache_has():
    before = traffic(100_000, kept=0.8)
    assert room_of(before, traffic(0, kept=0), 0.0).extra_share == pytest.approx(0.8)
    assert room_of(before, traffic(5_000, kept=0.5), 0.0).extra_share == pytest.approx(0.3)
    assert room_of(before, traffic(5_000, kept=0.9), 0.0).extra_share == 0
    assert room_of(before, traffic(5_000, kept=0.9), 0.0).rps == 1050


def test_what_is_precomputed_for_half_of_the_entities_is_kept_for_half_of_their_requests():
    before = traffic(100_000, kept=0.8, precomputed=60_000)
    assert room_of(before, traffic(0, kept=0), 0.5).kept_share == pytest.approx(0.3)


def test_without_traffic_nothing_is_computed_besides():
    assert room_of(traffic(0, kept=0), traffic(0, kept=0), 0.0) == Room()


def look(time_s: float, **compute_s: float) -> Look:
    """Return what batchers had done of v1, and of another model on the first one."""
    return {
        process: Report(time_s, {"a": Work("digits", "v1", 100, done_s), "b": Work("fraud", "v9", 10, done_s / 2)})
        for process, done_s in compute_s.items()
    }


def test_the_load_of_a_pool_is_what_its_batchers_executed_of_every_model_between_two_reports():
    load = load_between(look(10, one=1.0, two=4.0), look(14, one=3.0, two=4.0), "digits", "v1")
    assert load == PoolLoad(batchers=2, busy=(2.0 + 1.0) / 4, request_s=7.0 / 200)


@pytest.mark.parametrize(
    ("first", "last", "version"),
    [
        pytest.param(look(10, one=1.0), look(10, one=1.0), "v1", id="no report since"),
        pytest.param({}, look(14, one=1.0), "v1", id="all new"),
        pytest.param(look(10, one=1.0), look(14, one=2.0), "v7", id="never executed"),
    ],
)
def test_what_nobody_has_measured_is_unknown(first: Look, last: Look, version: str):
    assert load_between(first, last, "digits", version) is None


def test_a_batcher_that_began_anew_counts_as_idle_not_as_less_than_nothing():
    load = load_between(look(10, one=100.0), look(14, one=1.0), "digits", "v1")
    assert load is not None
    assert load.busy == 0


def test_a_first_step_gets_what_there_is_room_for_and_the_record_says_why():
    ready = progress.prepared(rollout(), "", NOW, replace(COLD, rps=8000)).rollout
    assert (ready.step, ready.moving, ready.limited_to) == (0, True, pytest.approx(0.0234))
    moved = progress.moved(ready, "e1", NOW)
    assert moved.rollout.share == ready.limited_to
    assert moved.events[0].reason.startswith("version v2 has 2.34 % of the traffic, not 5 % yet: 5 % of the traffic")
    weights = [one.weight for one in routes.staged(IMPLICIT, moved.rollout).variants]
    assert weights == [pytest.approx(0.9766), pytest.approx(0.0234)]


def test_a_first_step_that_does_not_fit_waits_and_ends_the_rollout_with_the_numbers():
    waits = progress.prepared(rollout(), "", NOW, FULL).rollout
    assert (waits.state, waits.moving, "room for 0" in waits.reason) == (State.PREPARING, False, True)
    over = progress.prepared(waits, "", NOW + 10 * MINUTE, FULL).rollout
    assert (over.state, "busy for 80% of the time" in over.reason) == (State.FAILED, True)
    assert waits.reason.startswith("the version is ready, and waits for head-room: 5 % of the traffic would")
    assert over.reason.startswith("version v2 was ready, and pool default had no head-room for it within 10 min: 5 %")
    assert over.reason.endswith("; add batchers to it, or set a higher max_utilisation_percent in the policy")
    switch = progress.prepared(rollout(BLUE_GREEN), "", NOW, COLD).rollout
    assert (switch.state, "100 % of the traffic would" in switch.reason) == (State.PREPARING, True)


def test_a_step_waits_while_the_load_is_being_measured_and_tells_nobody():
    assert progress.prepared(rollout(), "", NOW, None).rollout.state is State.PREPARING
    after = progress.observed(at(0), seen(None), LATER)
    assert (after.rollout.step, after.rollout.moving, after.events) == (0, False, ())


def test_a_step_without_room_is_frozen_with_the_numbers_told_once_and_goes_on_when_there_is():
    frozen = progress.observed(at(0), seen(FULL), LATER)
    assert (frozen.rollout.step, frozen.rollout.moving) == (0, False)
    assert frozen.rollout.frozen.startswith("no head-room: 50 % of the traffic would have the pool compute 360")
    assert frozen.rollout.frozen.endswith("; add batchers, or skip the step")
    assert [one.type for one in frozen.events] == ["frozen"]
    again = progress.observed(frozen.rollout, seen(FULL), LATER)
    assert again.events == ()
    onward = progress.observed(again.rollout, seen(Room()), LATER)
    assert (onward.rollout.step, onward.rollout.moving, [one.type for one in onward.events]) == (1, True, ["thawed"])


def test_a_step_that_was_slowed_grows_to_its_share_before_its_dwell_counts():
    slowed = progress.observed(at(0), seen(COLD), LATER).rollout
    assert (slowed.step, slowed.moving, slowed.limited_to) == (1, True, pytest.approx(0.2375))
    slowed = progress.moved(slowed, "e2", LATER).rollout
    early = progress.observed(slowed, seen(Room(), Decision.HOLD), LATER + growth.SETTLE / 2).rollout
    assert (early.moving, early.step) == (False, 1)
    # Evidence for the next step is not needed for the share that this one has anyway.
    grown = progress.observed(slowed, seen(Room(), Decision.HOLD), LATER + growth.SETTLE).rollout
    assert (grown.moving, grown.step, grown.limited_to, grown.stage_share) == (True, 1, None, 0.5)
    whole = progress.moved(grown, "e3", LATER + MINUTE).rollout
    assert progress.observed(whole, seen(Room()), LATER + MINUTE).rollout.moving is False
    assert progress.observed(whole, seen(Room()), LATER + 2 * MINUTE).rollout.step == 2


def test_the_last_step_is_not_promoted_before_it_has_all_of_the_traffic():
    slowed = at(2, share=0.7, limited_to=0.7)
    stays = progress.observed(slowed, seen(FULL), LATER).rollout
    assert (stays.state, stays.moving, stays.limited_to) == (State.RUNNING, False, 0.7)
    assert progress.observed(slowed, seen(Room()), LATER).rollout.stage_share == 1


def test_a_slowed_version_that_is_worse_is_taken_back_and_one_that_is_paused_stays():
    slowed = at(1, share=0.2, limited_to=0.2)
    back = progress.observed(slowed, seen(Room(), Decision.ROLL_BACK), LATER).rollout
    assert back.state is State.ROLLING_BACK
    paused = progress.observed(replace(slowed, paused=True), seen(Room()), LATER).rollout
    assert (paused.moving, paused.reason) == (False, "paused")


def test_a_slowed_step_is_frozen_no_longer_than_its_alert_is_open_room_or_not():
    frozen = progress.observed(at(1, share=0.2, limited_to=0.2), seen(FULL, alerts=("slo: late",)), LATER)
    assert (frozen.rollout.frozen, [one.type for one in frozen.events]) == ("alert: slo: late", ["frozen"])
    for room in (FULL, None):
        over = progress.observed(frozen.rollout, seen(room), LATER)
        assert (over.rollout.frozen, over.rollout.moving, [one.type for one in over.events]) == ("", False, ["thawed"])


def test_who_skips_a_step_does_not_wait_for_room():
    after = progress.observed(at(0, skip=True), seen(None), NOW).rollout
    assert (after.step, after.moving, after.limited_to) == (1, True, None)

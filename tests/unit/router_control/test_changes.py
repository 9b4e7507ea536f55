"""How writes, the registry's news, batchers' reports and time become generations."""

from dataclasses import replace
from datetime import timedelta

import pytest
from headrace_router.buckets import BUCKETS
from headrace_router.control.decisions.allocation import Range
from headrace_router.control.decisions.changes import registry_seen, removed, why_pending
from headrace_router.control.decisions.readiness import Fleet, Held, Phase, Report
from headrace_router.control.decisions.routes import Route, Serves, Variant
from headrace_router.control.decisions.states import Announcement, Kind, Outcome
from headrace_router.rules import Condition, Operator, Rule
from headrace_servicekit.errors import Aborted, NotFound

from tests.kit.router.route_states import (
    LIMITS,
    START,
    at,
    fleet,
    new_id,
    numbered,
    onward,
    registered,
    seen,
    serving,
    split,
    write,
)


def test_a_model_without_production_exists_and_serves_nothing():
    step = onward(seen(None, registered(1)), fleet())
    assert (step.announcement, step.state.active, step.state.pending) == (Announcement.NOT_SERVING, None, None)


def test_the_first_promotion_waits_until_a_batcher_has_the_version():
    waiting = onward(seen(None, registered(2, "v1")), fleet())
    assert waiting.state.pending is not None
    assert "no batcher" in (why_pending(waiting.state, fleet(batchers=0), now=START, limits=LIMITS) or "")
    served = onward(waiting.state, fleet("d1", seconds=3600), seconds=3600)
    assert served.announcement is Announcement.TABLE
    assert served.state.active is not None
    assert served.state.active.table.ranges == (Range(BUCKETS, "production"),)
    assert served.state.active.epoch == 2


def test_old_news_are_no_news():
    state = serving(epoch=5)
    for epoch in (4, 5):
        assert (
            registry_seen(
                state,
                registered(epoch, "v2"),
                salt=b"",
                now=START,
                new_id=new_id,
                revert=timedelta(),
            )
            is None
        )


def test_an_epoch_that_moves_nothing_is_noted_without_a_generation():
    step = onward(seen(serving(), registered(7, "v1")), fleet("d1"))
    assert step.announcement is None
    assert step.state.active is not None
    assert step.state.active.epoch == 7


def test_a_promotion_takes_effect_when_every_replica_is_ready():
    step = onward(seen(serving(), registered(2, "v2")), fleet("d1", batchers=2))
    assert step.state.pending is not None
    assert step.state.active is not None
    assert step.state.active.epoch == 1
    half = Fleet(
        [
            Report("default", "p0", "", at(5), {"d2": Held(Phase.READY)}),
            Report("default", "p1", "", at(5), {"d2": Held(Phase.LOADING)}),
        ],
        START,
    )
    assert onward(step.state, half).announcement is None
    assert onward(step.state, fleet("d2", batchers=2)).announcement is Announcement.TABLE


def test_after_the_grace_half_of_the_replicas_are_enough():
    pending = onward(seen(serving(), registered(2, "v2")), fleet()).state
    late = 31
    reports = [Report("default", f"p{n}", "", at(40), {"d2": Held(Phase.READY)} if n < 2 else {}) for n in range(4)]
    assert onward(pending, Fleet(reports, at(1)), seconds=1).announcement is None
    assert onward(pending, Fleet(reports, at(late)), seconds=late).announcement is Announcement.TABLE
    assert onward(pending, Fleet(reports[1:3], at(late)), seconds=late).announcement is Announcement.TABLE
    assert onward(pending, Fleet(reports[1:], at(late)), seconds=late).announcement is None


def test_an_expired_lease_no_longer_counts():
    report = Report("default", "p0", "", at(5), {"d2": Held(Phase.READY)})
    pending = onward(seen(serving(), registered(2, "v2")), fleet()).state
    assert onward(pending, Fleet([report], at(5)), seconds=5).announcement is None


def test_a_change_that_follows_the_registry_is_never_dropped():
    pending = onward(seen(serving(), registered(2, "v2")), fleet()).state
    later = onward(pending, fleet(), seconds=10_000)
    assert later.state.pending == pending.pending
    assert onward(later.state, fleet("d2", seconds=10_001), seconds=10_001).announcement is Announcement.TABLE


def test_a_rollback_before_the_promotion_took_effect_leaves_nothing_pending():
    pending = onward(seen(serving(), registered(2, "v2")), fleet()).state
    back = onward(seen(pending, registered(3, "v1")), fleet("d1"))
    assert back.state.pending is None
    assert [ended.outcome for ended in back.ended] == [Outcome.SUPERSEDED]
    assert back.state.active is not None
    assert back.state.active.epoch == 3


def test_a_write_of_weights_takes_effect_at_once():
    step = onward(write(serving(), split(90, 10)), fleet("d1", "d2"))
    assert step.announcement is Announcement.TABLE
    (ended,) = step.ended
    assert (ended.outcome, ended.change.moved_share) == (Outcome.ACTIVE, 0.1)
    after = numbered(step, 2)
    again = onward(write(after, split(80, 20, "e2"), "e1"), fleet())
    assert again.announcement is Announcement.TABLE  # both versions serve already: nothing needs to be ready anew
    assert again.ended[0].change.moved_share == pytest.approx(0.1)


def test_a_write_that_is_not_ready_in_time_is_dropped_and_traffic_stays():
    state = serving()
    waiting = onward(write(state, split(90, 10)), fleet("d1")).state
    assert waiting.declared.etag == "e1"
    assert onward(waiting, fleet("d1"), seconds=119).ended == ()
    dropped = onward(waiting, fleet("d1", seconds=120), seconds=120)
    assert [(ended.outcome, "'v2'" in ended.reason) for ended in dropped.ended] == [(Outcome.NOT_READY, True)]
    assert dropped.state == state


def test_a_promotion_that_a_dropped_write_displaced_is_wanted_again():
    pending = onward(seen(serving(), registered(2, "v2")), fleet()).state
    waiting = write(pending, split(1, 1)).state
    dropped = onward(waiting, fleet("d1", seconds=120), seconds=120)
    assert dropped.state.pending is not None
    assert dropped.state.pending.kind is Kind.REGISTRY
    assert dropped.state.pending.epoch == 2


def test_a_newer_write_supersedes_the_one_that_waits():
    waiting = onward(write(serving(), split(90, 10)), fleet("d1")).state
    with pytest.raises(Aborted, match="changed since") as caught:
        write(waiting, split(50, 50, "e2"))
    assert caught.value.metadata == {"current_etag": "e1"}
    newer = write(waiting, split(50, 50, "e2"), "e1")
    assert [ended.outcome for ended in newer.ended] == [Outcome.SUPERSEDED]
    assert newer.state.pending is not None
    assert newer.state.pending.route.etag == "e2"


def test_a_promotion_supersedes_a_write_that_waits():
    waiting = onward(write(serving(), split(90, 10)), fleet("d1")).state
    step = onward(seen(waiting, registered(2, "v3")), fleet("d1", "d3"))
    assert [ended.outcome for ended in step.ended] == [Outcome.SUPERSEDED, Outcome.ACTIVE]
    assert step.state.active is not None
    assert step.state.active.table.variants[0].version == "v3"


def test_news_that_move_only_what_a_waiting_write_names_re_resolve_it():
    first = serving()
    first = replace(first, registered=registered(1, "v1", champion="v2"))
    follows = Route("digits", (Variant("a", Serves.ALIAS, "champion", 1.0),), etag="e1")
    waiting = onward(write(first, follows), fleet("d1")).state
    step = seen(waiting, registered(2, "v1", champion="v3"))
    assert step.ended == ()
    assert step.state.pending is not None
    assert step.state.pending.table.variants[0].version == "v3"
    served = onward(step.state, fleet("d3"))
    assert served.state.active is not None
    assert served.state.active.epoch == 2


CHAMPION = Route("digits", (Variant("a", Serves.ALIAS, "champion", 1.0),), etag="e1")


def test_a_write_that_waits_outlives_an_alias_and_is_superseded_when_it_comes_back():
    """The alias is what the route in force names: without it nothing is known that could be moved."""
    served = replace(serving(), registered=registered(1, "v1", champion="v2"))
    served = numbered(onward(write(served, CHAMPION), fleet("d2")), 2)
    waiting = write(served, split(1, 1, "e2"), "e1").state
    without = seen(waiting, registered(2, "v1"))
    assert without.ended == ()
    assert without.state.pending is not None
    assert without.state.pending.kind is Kind.WRITE
    again = seen(without.state, registered(3, "v1", champion="v3"))
    assert [ended.outcome for ended in again.ended] == [Outcome.SUPERSEDED]


def test_an_alias_that_disappears_changes_nothing_that_serves():
    state = replace(serving(), registered=registered(1, "v1", champion="v2"))
    follows = Route("digits", (Variant("a", Serves.ALIAS, "champion", 1.0),), etag="e1")
    served = numbered(onward(write(state, follows), fleet("d2")), 2)
    step = onward(seen(served, registered(2, "v1")), fleet("d2"))
    assert (step.announcement, step.state.pending, step.state.active) == (None, None, served.active)


@pytest.mark.parametrize(
    ("variant", "field"),
    [
        (Variant("b", Serves.VERSION, "v9", 1.0), "route.variants[1].version"),
        (Variant("b", Serves.ALIAS, "nobody", 1.0), "route.variants[1].follow_alias"),
        (Variant("b", Serves.PRODUCTION, "", 1.0), "route.variants[1].follow_production"),
    ],
)
def test_a_write_must_name_what_exists(variant, field):
    state = seen(None, registered(1)).state
    route = Route("digits", (Variant("a", Serves.VERSION, "v1", 1.0), variant), etag="e1")
    with pytest.raises(NotFound) as caught:
        write(state, route)
    assert caught.value.reason == "VERSION_NOT_FOUND"
    assert [violation.field for violation in caught.value.violations] == [field]


def test_units_that_stay_on_their_version_do_not_move_when_the_implicit_route_is_replaced():
    step = write(serving("v2"), split(25, 75))
    assert step.state.pending is not None
    assert step.state.pending.moved_share == 0.25


def test_the_salt_of_a_route_never_changes():
    state = numbered(onward(write(serving(), split(90, 10)), fleet("d1", "d2")), 2)
    assert state.salt == serving().salt
    later = registry_seen(
        state, registered(9, "v3"), salt=b"x" * 16, now=START, new_id=new_id, revert=timedelta(hours=1)
    )
    assert later is not None
    assert later.state.salt == state.salt


def test_a_removed_model_is_told_and_may_come_back_as_a_new_one():
    gone = removed(onward(write(serving(), split(90, 10)), fleet("d1")).state)
    assert gone.announcement is Announcement.REMOVED
    assert [ended.outcome for ended in gone.ended] == [Outcome.SUPERSEDED]
    again = seen(gone.state, registered(2, "v1"))
    assert again.announcement is Announcement.NOT_SERVING
    assert again.state.route is None
    assert not again.state.removed


def test_an_older_word_on_a_removed_model_does_not_bring_it_back():
    gone = removed(serving(epoch=2))
    late = registry_seen(
        gone.state, registered(2, "v1"), salt=b"x" * 16, now=START, new_id=new_id, revert=timedelta(hours=1)
    )
    assert late is None


def test_epochs_of_a_restored_registry_count_anew():
    state = serving(epoch=9)
    step = onward(seen(state, registered(3, "v2", incarnation="two")), fleet("d1"))
    assert step.state.active is not None
    assert step.state.active.epoch == 0
    assert onward(step.state, fleet("d2")).state.active.epoch == 3  # type: ignore[union-attr]


def test_the_version_that_left_production_is_remembered_for_a_rollback():
    step = seen(serving(), registered(2, "v2"), seconds=10)
    assert step.state.previous is not None
    assert (step.state.previous.version, step.state.previous.until_at) == ("v1", at(10 + 24 * 3600))


def test_what_was_in_production_is_remembered_until_another_version_leaves_it():
    state = seen(serving(), registered(2, "v2"), seconds=10).state
    assert seen(state, registered(3, "v2", champion="v3"), seconds=20).state.previous == state.previous
    without_v2 = replace(registered(4, "v3"), versions={"v3": "d3"})
    last = seen(state, without_v2, seconds=30).state.previous
    assert last is not None
    assert (last.version, last.digest) == ("v2", "d2")


def test_new_rules_alone_take_effect_at_once_and_move_no_unit():
    state = numbered(onward(write(serving(), split(90, 10)), fleet("d1", "d2")), 2)
    rule = Rule("germans", (Condition("country", Operator.EQUALS, ("DE",)),), "treatment")
    step = onward(write(state, replace(split(90, 10, "e2"), rules=(rule,)), "e1"), fleet())
    assert step.announcement is Announcement.TABLE
    assert step.ended[0].change.moved_share == 0.0
    assert step.state.active is not None
    assert step.state.active.table.rules == (rule,)

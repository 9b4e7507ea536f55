"""What is kept of a version: purges, commits of publishes, reverts, and what data planes are told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace_router.control.decisions.changes import advance, kept_changed, route_written
from headrace_router.control.decisions.states import Announcement, RouteState, Writer
from headrace_router.control.decisions.stored_answers import (
    MAX_EARLIER,
    NOTHING,
    AnswerState,
    Precomputed,
    StoredAnswers,
    committed,
    purged,
    removed_up_to,
    reverted,
)
from headrace_servicekit.errors import Aborted, PreconditionFailed

from tests.kit.router.route_states import (
    LIMITS,
    START,
    fleet,
    new_id,
    numbered,
    onward,
    registered,
    seen,
    serving,
    split,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def publish(number: int, expires_at: datetime | None = None) -> Precomputed:
    return Precomputed(number, NOW, expires_at)


def with_generations(*numbers: int) -> AnswerState:
    kept = NOTHING
    for number in numbers:
        kept = committed(kept, publish(number), expected=kept.generation)
    return kept


def test_a_purge_raises_the_epoch_and_leaves_what_is_precomputed():
    kept = purged(purged(with_generations(3)))
    assert (kept.cache_epoch, kept.generation) == (2, 3)


def test_a_revert_goes_back_one_commit_at_a_time_until_there_is_none():
    kept = with_generations(2, 5, 9)
    found = []
    while kept.precomputed is not None:
        kept = reverted(kept, expected=0)
        found.append(kept.generation)
    assert found == [5, 2, 0]
    with pytest.raises(PreconditionFailed) as refused:
        reverted(kept, expected=0)
    assert refused.value.reason == "NOTHING_TO_REVERT"


def test_of_two_publishes_that_began_together_the_second_commit_is_overtaken():
    kept = committed(with_generations(2), publish(5), expected=2)
    with pytest.raises(Aborted) as refused:
        committed(kept, publish(4), expected=2)
    assert refused.value.reason == "PUBLISH_OVERTAKEN"


def test_a_repeated_commit_changes_nothing():
    kept = with_generations(2, 5)
    assert committed(kept, publish(5), expected=2) == kept


def test_a_commit_that_is_repeated_after_its_revert_does_not_undo_the_revert():
    kept = reverted(with_generations(2, 5), expected=5)
    with pytest.raises(Aborted):
        committed(kept, publish(5), expected=2)
    assert committed(kept, publish(6), expected=2).generation == 6


def test_a_repeated_revert_changes_nothing_and_one_of_another_generation_is_refused():
    kept = reverted(with_generations(2, 5), expected=5)
    assert reverted(kept, expected=5) == kept
    with pytest.raises(Aborted) as refused:
        reverted(kept, expected=9)
    assert refused.value.reason == "PUBLISH_OVERTAKEN"


def test_no_revert_goes_back_to_answers_that_are_removed():
    kept = removed_up_to(with_generations(2, 5, 9), 2)
    kept = reverted(kept, expected=0)
    assert kept.generation == 5
    with pytest.raises(PreconditionFailed) as refused:
        reverted(kept, expected=0)
    assert refused.value.reason == "NOTHING_TO_REVERT"


def test_what_counts_is_never_removed():
    kept = with_generations(2, 5)
    assert removed_up_to(kept, 7).generation == 5
    assert removed_up_to(kept, 1) == kept


def test_reverts_are_remembered_to_a_bound():
    kept = with_generations(*range(1, MAX_EARLIER + 5))
    assert len(kept.earlier) == MAX_EARLIER
    assert kept.earlier_removed
    assert not with_generations(*range(1, MAX_EARLIER + 2)).earlier_removed


def test_that_answers_were_removed_is_not_forgotten_by_a_commit():
    kept = committed(removed_up_to(with_generations(2, 5), 2), publish(9), expected=5)
    assert kept.earlier_removed


def test_a_change_that_changes_nothing_leaves_a_route_as_it_is():
    state = serving("v1")
    assert kept_changed(state, "d1", lambda kept: removed_up_to(kept, 7), now=NOW).state == state


def test_a_change_of_what_is_in_force_is_a_new_generation_of_the_same_table():
    state = serving("v1")
    step = kept_changed(state, "d1", purged, now=NOW)
    assert step.announcement is Announcement.TABLE
    assert step.state.active is not None
    assert state.active is not None
    assert step.state.active.table == state.active.table
    assert step.state.active.kept == {"d1": StoredAnswers(cache_epoch=1)}
    assert (step.began, step.ended) == ((), ())


def test_a_change_of_what_no_table_names_tells_nobody_and_a_later_table_carries_it():
    step = kept_changed(serving("v1"), "d2", purged, now=NOW)
    assert step.announcement is None
    news = seen(step.state, registered(2, "v2"))
    after = numbered(onward(news, fleet("d1", "d2")), 2)
    assert after.active is not None
    assert after.active.kept == {"d2": StoredAnswers(cache_epoch=1)}


def test_a_model_that_nothing_serves_keeps_what_is_changed():
    waiting = seen(None, registered(1, "v1")).state
    step = kept_changed(waiting, "d1", lambda kept: committed(kept, publish(1), expected=0), now=NOW)
    assert step.announcement is None
    active = onward(step, fleet("d1")).state.active
    assert active is not None
    assert active.kept == {"d1": StoredAnswers(precomputed_generation=1)}


def test_a_pending_change_takes_what_is_kept_when_it_takes_effect():
    state = pending_split(serving("v1"))
    state = kept_changed(state, "d2", purged, now=NOW).state
    state = kept_changed(state, "d1", purged, now=NOW).state
    assert state.active is not None
    assert state.active.kept == {"d1": StoredAnswers(cache_epoch=1)}
    step = onward(numbered_state(state), fleet("d1", "d2"))
    assert step.announcement is Announcement.TABLE
    assert step.state.active is not None
    assert step.state.active.kept == {"d1": StoredAnswers(cache_epoch=1), "d2": StoredAnswers(cache_epoch=1)}


def test_a_purge_that_lets_a_pending_change_take_effect_is_one_generation():
    step = kept_changed(pending_split(serving("v1")), "d1", purged, now=NOW)
    after = advance(step, fleet("d1", "d2"), now=START, limits=LIMITS, new_id=new_id)
    assert after.announcement is Announcement.TABLE
    assert after.state.active is not None
    assert {one.name for one in after.state.active.table.variants} == {"control", "treatment"}
    assert after.state.active.kept == {"d1": StoredAnswers(cache_epoch=1)}


def test_the_expiry_is_told():
    expires_at = NOW + timedelta(hours=1)
    step = kept_changed(serving("v1"), "d1", lambda kept: committed(kept, publish(1, expires_at), expected=0), now=NOW)
    assert step.state.active is not None
    assert step.state.active.kept["d1"].expires_at == expires_at


def test_what_only_reverts_need_is_no_new_generation():
    state = replace(serving("v1"), kept={"d1": with_generations(2, 5)})
    step = kept_changed(state, "d1", lambda kept: removed_up_to(kept, 2), now=NOW)
    assert step.announcement is None
    assert step.state.kept["d1"].earlier == ()


def pending_split(state: RouteState) -> RouteState:
    return route_written(state, split(1, 1), read_etag="", change=new_id(), writer=Writer("ana"), now=START).state


def numbered_state(state: RouteState) -> RouteState:
    assert state.active is not None
    return replace(state, active=replace(state.active, number=2))

"""Which prediction an entity's outcome is about, and how long it is looked for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace_monitor.record.outcomes.decisions import entities
from headrace_monitor.record.outcomes.decisions.entities import Candidate, Delays, PendingOutcome, Verdict
from headrace_monitor.record.outcomes.decisions.merge import EntityKey
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DELAYS = Delays(settle=2 * MINUTE, give_up=60 * MINUTE)
ONE = PendingOutcome(EntityKey("ann", 0, "label", NOON), NOON, reach=10 * MINUTE)


def candidate(minutes: float, number: int = 1) -> Candidate:
    return Candidate(NOON + minutes * MINUTE, UUID(int=number))


@given(st.integers(-20, 5))
def test_it_may_be_about_predictions_within_the_window_before_it_only(minutes):
    assert entities.fits(ONE, candidate(minutes)) == (-10 <= minutes <= 0)


def test_it_is_not_joined_before_a_later_prediction_would_be_in_the_log():
    assert entities.judge(ONE, candidate(-1), NOON + MINUTE, DELAYS) is Verdict.WAIT
    assert entities.next_try(ONE, NOON + MINUTE, DELAYS) == NOON + 2 * MINUTE
    assert entities.judge(ONE, candidate(-1), NOON + 2 * MINUTE, DELAYS) is Verdict.JOIN


def test_it_is_given_up_once_no_prediction_can_come_and_not_before():
    assert entities.judge(ONE, None, NOON + 59 * MINUTE, DELAYS) is Verdict.WAIT
    assert entities.judge(ONE, None, NOON + 60 * MINUTE, DELAYS) is Verdict.GIVE_UP
    told_late = PendingOutcome(ONE.key, NOON + 24 * 60 * MINUTE, ONE.reach)
    assert entities.judge(told_late, None, NOON + 24 * 60 * MINUTE, DELAYS) is Verdict.WAIT


@given(st.timedeltas(timedelta(0), timedelta(days=400)))
def test_pauses_between_tries_are_bounded(age):
    assert entities.MIN_PAUSE <= entities.pause(age) <= entities.MAX_PAUSE

"""What is kept of outcomes depends on what was told, not on how it came."""

from datetime import UTC, datetime, timedelta

from headrace_monitor.record.outcomes.decisions.merge import MAX_REPLACED, Outcome, RecordedOutcome, Result, merge
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

outcomes = st.builds(
    lambda minute, value: Outcome(NOON + timedelta(minutes=minute), value),
    st.integers(0, 4),
    st.one_of(st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from(["cat", "dog"])),
)


def told(outcome: Outcome, client: str = "labeller") -> RecordedOutcome:
    return RecordedOutcome(outcome, client, NOON)


@given(st.lists(outcomes, min_size=1, max_size=8), st.data())
def test_any_order_any_repetition_and_any_grouping_end_in_the_same_fact(sent, data):
    again = data.draw(st.permutations([*sent, *data.draw(st.lists(st.sampled_from(sent), max_size=4))]))
    recorded = None
    while again:
        size = data.draw(st.integers(1, len(again)))
        recorded = merge(recorded, [told(outcome) for outcome in again[:size]]).kept
        again = again[size:]
    assert recorded is not None
    assert recorded.outcome == merge(None, [told(outcome) for outcome in sent]).kept.outcome
    assert recorded.outcome == max(sent, key=lambda outcome: outcome.order)


@given(st.one_of(st.none(), outcomes), st.lists(outcomes, min_size=1, max_size=6))
def test_facts_that_come_together_are_taken_as_if_each_came_alone_in_the_order_of_its_time(before, sent):
    recorded = None if before is None else told(before)
    together = merge(recorded, [told(outcome) for outcome in sent])
    alone = []
    for place in sorted(range(len(sent)), key=lambda index: sent[index].order):
        step = merge(recorded, [told(sent[place])])
        recorded = step.kept
        alone.append((place, step.results[0]))
    assert together.results == tuple(result for _, result in sorted(alone, key=lambda one: one[0]))
    assert recorded is not None
    assert together.kept.outcome == recorded.outcome


def test_a_later_fact_corrects_and_what_it_corrected_is_remembered():
    first, second = told(Outcome(NOON, "cat")), told(Outcome(NOON + timedelta(days=1), "dog"), "reviewer")
    corrected = merge(first, [second])
    assert corrected.results == (Result.RECORDED,)
    assert (corrected.kept, corrected.replaced, corrected.changed) == (second, (first,), True)


def test_of_many_corrections_that_come_together_the_last_ones_are_remembered():
    folded = merge(
        None, [told(Outcome(NOON + timedelta(minutes=minute), float(minute))) for minute in range(MAX_REPLACED + 5)]
    )
    assert [one.outcome.value for one in folded.replaced] == [float(value) for value in range(MAX_REPLACED + 3, 3, -1)]


def test_an_earlier_fact_is_outdated_and_changes_nothing():
    recorded = told(Outcome(NOON, 1.0))
    late = merge(recorded, [told(Outcome(NOON - timedelta(seconds=1), 0.0))])
    assert (late.results, late.kept, late.changed) == ((Result.OUTDATED,), recorded, False)


def test_a_fact_repeated_at_a_later_time_is_not_corrected_by_one_in_between():
    recorded = merge(told(Outcome(NOON, 1.0)), [told(Outcome(NOON + timedelta(hours=2), 1.0))])
    assert (recorded.results, recorded.changed) == ((Result.REPEATED,), False)
    between = merge(recorded.kept, [told(Outcome(NOON + timedelta(hours=1), 0.0))])
    assert (between.results, between.kept.outcome.value) == ((Result.OUTDATED,), 1.0)

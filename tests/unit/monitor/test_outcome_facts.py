"""What is kept of facts depends on what was told, not on how it came."""

from datetime import UTC, datetime, timedelta

from headrace_monitor.outcomes.facts import MAX_REPLACED, Fact, Record, Result, fold
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

facts = st.builds(
    lambda minute, value: Fact(NOON + timedelta(minutes=minute), value),
    st.integers(0, 4),
    st.one_of(st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from(["cat", "dog"])),
)


def told(fact: Fact, client: str = "labeller") -> Record:
    return Record(fact, client, NOON)


@given(st.lists(facts, min_size=1, max_size=8), st.data())
def test_any_order_any_repetition_and_any_grouping_end_in_the_same_fact(sent, data):
    again = data.draw(st.permutations([*sent, *data.draw(st.lists(st.sampled_from(sent), max_size=4))]))
    recorded = None
    while again:
        size = data.draw(st.integers(1, len(again)))
        recorded = fold(recorded, [told(fact) for fact in again[:size]]).kept
        again = again[size:]
    assert recorded is not None
    assert recorded.fact == fold(None, [told(fact) for fact in sent]).kept.fact
    assert recorded.fact == max(sent, key=lambda fact: fact.order)


@given(st.one_of(st.none(), facts), st.lists(facts, min_size=1, max_size=6))
def test_facts_that_come_together_are_taken_as_if_each_came_alone_in_the_order_of_its_time(before, sent):
    recorded = None if before is None else told(before)
    together = fold(recorded, [told(fact) for fact in sent])
    alone = []
    for place in sorted(range(len(sent)), key=lambda index: sent[index].order):
        step = fold(recorded, [told(sent[place])])
        recorded = step.kept
        alone.append((place, step.results[0]))
    assert together.results == tuple(result for _, result in sorted(alone, key=lambda one: one[0]))
    assert recorded is not None
    assert together.kept.fact == recorded.fact


def test_a_later_fact_corrects_and_what_it_corrected_is_remembered():
    first, second = told(Fact(NOON, "cat")), told(Fact(NOON + timedelta(days=1), "dog"), "reviewer")
    corrected = fold(first, [second])
    assert corrected.results == (Result.RECORDED,)
    assert (corrected.kept, corrected.replaced, corrected.changed) == (second, (first,), True)


def test_of_many_corrections_that_come_together_the_last_ones_are_remembered():
    folded = fold(
        None, [told(Fact(NOON + timedelta(minutes=minute), float(minute))) for minute in range(MAX_REPLACED + 5)]
    )
    assert [one.fact.value for one in folded.replaced] == [float(value) for value in range(MAX_REPLACED + 3, 3, -1)]


def test_an_earlier_fact_is_outdated_and_changes_nothing():
    recorded = told(Fact(NOON, 1.0))
    late = fold(recorded, [told(Fact(NOON - timedelta(seconds=1), 0.0))])
    assert (late.results, late.kept, late.changed) == ((Result.OUTDATED,), recorded, False)


def test_a_fact_repeated_at_a_later_time_is_not_corrected_by_one_in_between():
    recorded = fold(told(Fact(NOON, 1.0)), [told(Fact(NOON + timedelta(hours=2), 1.0))])
    assert (recorded.results, recorded.changed) == ((Result.REPEATED,), False)
    between = fold(recorded.kept, [told(Fact(NOON + timedelta(hours=1), 0.0))])
    assert (between.results, between.kept.fact.value) == ((Result.OUTDATED,), 1.0)

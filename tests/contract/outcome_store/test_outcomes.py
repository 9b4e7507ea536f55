"""What a store records of outcomes, what it returns of them, and what it lets go."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace_monitor.names import first_prediction_id
from headrace_monitor.record.outcomes.decisions.merge import (
    MAX_REPLACED,
    EntityKey,
    Outcome,
    OutcomeKey,
    RecordedOutcome,
    ReportedOutcome,
    Result,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def prediction(at: datetime, number: int = 1) -> UUID:
    return UUID(int=first_prediction_id(at).int | 7 << 76 | 2 << 62 | number)


FIRST, SECOND = prediction(NOON), prediction(NOON + MINUTE)


def label(prediction_id: UUID, value: float | str, at: datetime = NOON, row: int = 0) -> ReportedOutcome:
    return ReportedOutcome(OutcomeKey(prediction_id, row, "label"), Outcome(at, value))


def purchase(entity: str, value: float, at: datetime = NOON) -> ReportedOutcome:
    return ReportedOutcome(EntityKey(entity, 0, "conversion", at), Outcome(at, value), timedelta(hours=1))


def known(value: float | str, at: datetime = NOON, client: str = "ann", recorded: datetime = NOON) -> RecordedOutcome:
    return RecordedOutcome(Outcome(at, value), client, recorded)


async def test_what_was_recorded_is_returned_by_kind_and_row_for_its_model_alone(store):
    reward = ReportedOutcome(OutcomeKey(FIRST, 0, "reward"), Outcome(NOON, 2.5))
    told = [reward, label(FIRST, "cat", row=1), label(FIRST, "dog"), label(SECOND, 1.0)]
    assert await store.record("digits", told, "ann", NOON) == [Result.RECORDED] * 4
    assert await store.of_prediction("digits", FIRST) == [
        (OutcomeKey(FIRST, 0, "label"), known("dog"), []),
        (OutcomeKey(FIRST, 1, "label"), known("cat"), []),
        (OutcomeKey(FIRST, 0, "reward"), known(2.5), []),
    ]
    assert await store.of_prediction("other", FIRST) == []
    assert await store.values_of("digits", [str(FIRST)]) == {
        (str(FIRST), 0): {"label": "dog", "reward": 2.5},
        (str(FIRST), 1): {"label": "cat"},
    }
    assert await store.values_of("other", [str(FIRST)]) == {}


async def test_each_outcome_of_a_request_has_its_result_in_the_order_of_the_request(store):
    await store.record("digits", [label(FIRST, "cat", NOON + MINUTE)], "ann", NOON)
    told = [purchase("c1", 1.0), label(FIRST, "cat"), label(SECOND, "dog"), label(FIRST, "dog"), purchase("c1", 1.0)]
    results = await store.record("digits", told, "bob", NOON)
    assert results == [Result.WAITING, Result.REPEATED, Result.RECORDED, Result.OUTDATED, Result.REPEATED]
    assert (await store.of_prediction("digits", FIRST))[0][1] == known("cat", NOON + MINUTE)


async def test_a_correction_is_recorded_with_what_it_corrected_up_to_a_bound(store):
    for number in range(MAX_REPLACED + 3):
        told = [label(FIRST, float(number), NOON + number * MINUTE)]
        assert await store.record("digits", told, "ann", NOON) == [Result.RECORDED]
    ((_, record, replaced),) = await store.of_prediction("digits", FIRST)
    last = MAX_REPLACED + 2
    assert record == known(float(last), NOON + last * MINUTE)
    assert [one.outcome.value for one in replaced] == [float(last - 1 - place) for place in range(MAX_REPLACED)]


async def test_a_range_of_ids_has_outcomes_or_none(store):
    await store.record("digits", [label(FIRST, "cat")], "ann", NOON)
    assert await store.any_between("digits", FIRST, SECOND)
    assert not await store.any_between("digits", first_prediction_id(NOON - MINUTE), FIRST)
    assert not await store.any_between("other", FIRST, SECOND)


async def test_new_and_corrected_outcomes_wait_for_the_log_and_repeated_ones_do_not(store):
    told = [label(FIRST, "cat"), purchase("c1", 1.0), purchase("c2", 0.0)]
    await store.record("digits", told, "ann", NOON)
    await store.record("digits", told, "ann", NOON)
    assert await store.waiting() == (1, 2)
    await store.record("digits", [label(FIRST, "dog", NOON + MINUTE)], "ann", NOON)
    assert await store.waiting() == (2, 2)


async def test_old_outcomes_expire_and_the_others_stay(store):
    told = [label(FIRST, "cat"), label(SECOND, "dog"), purchase("c1", 1.0), purchase("c1", 1.0, NOON + MINUTE)]
    await store.record("digits", told, "ann", NOON)
    assert await store.expire(NOON + MINUTE, first_prediction_id(NOON + MINUTE)) == 2
    assert await store.expire(NOON + MINUTE, first_prediction_id(NOON + MINUTE)) == 0
    assert await store.of_prediction("digits", FIRST) == []
    assert (await store.values_of("digits", [str(FIRST), str(SECOND)])) == {(str(SECOND), 0): {"label": "dog"}}
    assert (await store.waiting())[1] == 1

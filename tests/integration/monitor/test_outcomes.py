"""Outcomes on a real database: told late, twice, out of order, corrected, by mistake; durable once acknowledged."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc
import pytest
from headrace.monitor.v1 import outcome_pb2, outcome_pb2_grpc
from headrace_monitor import names
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER
from headrace_servicekit.testing import patience

from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry

RECORDED = outcome_pb2.RecordOutcomesResponse.RESULT_RECORDED
REPEATED = outcome_pb2.RecordOutcomesResponse.RESULT_REPEATED
OUTDATED = outcome_pb2.RecordOutcomesResponse.RESULT_OUTDATED
REJECTED = outcome_pb2.RecordOutcomesResponse.RESULT_REJECTED
WAITING = outcome_pb2.RecordOutcomesResponse.RESULT_WAITING

RNG = random.Random(7)


def prediction(at: datetime) -> str:
    return str(UUID(int=names.first_prediction_id(at).int | 7 << 76 | 2 << 62 | RNG.getrandbits(60)))


@pytest.fixture
async def outcomes(postgres_url, s3, tmp_path):
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target) as monitor,
    ):
        yield outcome_pb2_grpc.OutcomeServiceStub(monitor.channel)


async def record(stub, *told, parent="models/m", **fields):
    request = outcome_pb2.RecordOutcomesRequest(parent=parent, outcomes=told, **fields)
    return await stub.RecordOutcomes(request, timeout=patience(20))


async def listed(stub, prediction_id):
    return await stub.ListOutcomes(
        outcome_pb2.ListOutcomesRequest(parent="models/m", prediction_id=prediction_id), timeout=20
    )


async def test_labels_late_by_days_repeated_out_of_order_and_corrected_keep_the_last_and_its_history(outcomes):
    now = datetime.now(UTC)
    told = prediction(now - timedelta(days=7))

    def label(text, days_ago):
        return outcome_pb2.Outcome(
            prediction_id=told, kind="label", text=text, observe_time=now - timedelta(days=days_ago)
        )

    seen = [
        (await record(outcomes, one)).results[0]
        for one in (label("cat", 3), label("cat", 3), label("dog", 5), label("dog", 1), label("cat", 2))
    ]
    assert seen == [RECORDED, REPEATED, OUTDATED, RECORDED, OUTDATED]
    together = await record(outcomes, label("owl", 0), label("fox", 0.5), label("cow", 4))
    assert list(together.results) == [RECORDED, RECORDED, OUTDATED]
    kept = await listed(outcomes, told)
    assert [one.text for one in kept.outcomes] == ["owl"]
    assert [one.text for one in kept.replaced] == ["fox", "dog", "cat"]


async def test_a_bad_outcome_is_named_and_does_not_spoil_the_others(outcomes):
    now = datetime.now(UTC)
    good, row_two = prediction(now), prediction(now)
    answer = await record(
        outcomes,
        outcome_pb2.Outcome(prediction_id=good, kind="conversion", number=1),
        outcome_pb2.Outcome(prediction_id=prediction(now - timedelta(days=366)), kind="label", number=1),
        outcome_pb2.Outcome(prediction_id=good, kind="label", number=float("nan")),
        outcome_pb2.Outcome(prediction_id=row_two, kind="label", number=4, row=2),
    )
    assert list(answer.results) == [RECORDED, REJECTED, REJECTED, RECORDED]
    assert [one.field for one in answer.rejections] == ["outcomes[1].prediction_id", "outcomes[2].number"]
    assert [(one.row, one.number) for one in (await listed(outcomes, row_two)).outcomes] == [(2, 4.0)]


async def test_who_told_it_is_recorded_and_other_models_are_not_found(outcomes):
    told = prediction(datetime.now(UTC))
    request = outcome_pb2.RecordOutcomesRequest(
        parent="models/m", outcomes=[outcome_pb2.Outcome(prediction_id=told, kind="label", number=1)]
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await outcomes.RecordOutcomes(request, timeout=20, metadata=((CLIENT_HEADER, "eve"), (MODELS_HEADER, "other")))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    await outcomes.RecordOutcomes(request, timeout=20, metadata=((CLIENT_HEADER, "labeller"), (MODELS_HEADER, "m*")))
    assert [one.client for one in (await listed(outcomes, told)).outcomes] == ["labeller"]


async def test_entities_wait_for_their_predictions_and_are_known_again(outcomes):
    one = outcome_pb2.Outcome(entity_id="customer", kind="reward", number=3.5, observe_time=datetime.now(UTC))
    answer = await record(outcomes, one, one)
    assert list(answer.results) == [WAITING, REPEATED]
    assert list((await record(outcomes, one)).results) == [REPEATED]


async def test_what_is_no_list_of_outcomes_is_refused_by_its_field(outcomes):
    one = outcome_pb2.Outcome(prediction_id=prediction(datetime.now(UTC)), kind="label", number=1)
    for told, parent, field in (([one], "models/NO", "parent"), ([one] * 10_001, "models/m", "outcomes")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await record(outcomes, *told, parent=parent)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (refused.value.details() or "").startswith(f"{field}: ")
    assert list((await record(outcomes)).results) == []


@pytest.mark.long
async def test_ten_thousand_at_once_from_several_clients_are_recorded_once(outcomes):
    now = datetime.now(UTC)
    told = [outcome_pb2.Outcome(prediction_id=prediction(now), kind="label", number=n % 10) for n in range(10_000)]
    answers = await asyncio.gather(*(record(outcomes, *RNG.sample(told, len(told))) for _ in range(3)))
    results = [result for answer in answers for result in answer.results]
    assert (results.count(RECORDED), results.count(REPEATED)) == (10_000, 20_000)

"""A request of outcomes: each has its result, and a rejected one costs the others nothing."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace.monitor.v1 import outcome_pb2
from headrace_monitor import names
from headrace_monitor.record.outcomes.decisions.merge import Result
from headrace_monitor.record.outcomes.metrics import OutcomeMetrics
from headrace_monitor.record.outcomes.recorder import TURN_OUTCOMES, OutcomeRecorder
from headrace_servicekit.testing import FakeClock
from prometheus_client import CollectorRegistry

from tests.kit.monitor.memory_outcomes import MemoryOutcomes

NOW = datetime(2030, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def outcome(number: int, **fields) -> outcome_pb2.Outcome:
    prediction = UUID(int=names.first_prediction_id(NOW - HOUR).int | 7 << 76 | 2 << 62 | number)
    return outcome_pb2.Outcome(**{"prediction_id": str(prediction), "kind": "label", "number": 1.0, **fields})


async def test_rejected_outcomes_are_named_by_their_place_in_a_request_of_several_turns():
    registry, store = CollectorRegistry(), MemoryOutcomes()
    recorder = OutcomeRecorder(store, timedelta(days=30), OutcomeMetrics(registry), FakeClock(NOW))
    messages = [outcome(number) for number in range(TURN_OUTCOMES + 3)]
    messages[1], messages[TURN_OUTCOMES + 1] = outcome(1, kind="Label"), outcome(1, row=-1)

    results, rejections = await recorder.record("digits", messages, HOUR, "ann")

    rejected = {1: "outcomes[1].kind", TURN_OUTCOMES + 1: f"outcomes[{TURN_OUTCOMES + 1}].row"}
    expected = [Result.REJECTED if place in rejected else Result.RECORDED for place in range(len(messages))]
    assert results == expected
    assert [one.field for one in rejections] == list(rejected.values())
    assert await store.waiting() == (len(messages) - 2, 0)
    assert registry.get_sample_value("monitor_outcomes_total", {"result": "rejected"}) == 2
    assert registry.get_sample_value("monitor_outcomes_total", {"result": "recorded"}) == len(messages) - 2


async def test_a_request_of_rejected_outcomes_alone_does_not_need_the_store():
    recorder = OutcomeRecorder(
        MemoryOutcomes(), timedelta(days=30), OutcomeMetrics(CollectorRegistry()), FakeClock(NOW)
    )
    results, _ = await recorder.record("digits", [outcome(1, kind="")], HOUR, "ann")
    assert results == [Result.REJECTED]
    assert await recorder.of_prediction("digits", UUID(outcome(1).prediction_id)) == []

"""Outcomes for predictions that nobody made: taken, looked for, given up, and never mixed with the others."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc, outcome_pb2, outcome_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.models.onnx_models import classifier
from tests.kit.monitor.log_files import Logged, prediction_ids, records
from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry

QUICK: dict[str, Any] = {"outcomes_every_s": 0.1, "performance_every_s": 0.1, "log_settle_s": 0.0, "log_delay_s": 2.0}
MADE, NEVER_MADE, ENTITIES = 200, 300, 20
WITHIN_S = 60.0


@pytest.mark.long
async def test_outcomes_for_predictions_that_do_not_exist_are_given_up_and_change_no_measure(
    postgres_url, s3, tmp_path
):
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    draw = random.Random(5)
    made, nobody = (
        prediction_ids([hour + timedelta(seconds=n) for n in range(count)], draw) for count in (MADE, NEVER_MADE)
    )
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target, **QUICK) as monitor,
    ):
        await registry.register("m", "v1", classifier())
        await eventually(lambda: monitor.runtime.health.ready, within=WITHIN_S)
        times = [hour + timedelta(seconds=n) for n in range(MADE)]
        await Logged(postgres_url, s3, tmp_path).put(records("m", "v1", made, times, prediction_label=["cat"] * MADE))
        told = [outcome_pb2.Outcome(prediction_id=one, kind="label", text="cat") for one in made]
        told += [outcome_pb2.Outcome(prediction_id=one, kind="label", text="dog") for one in nobody]
        for number in range(ENTITIES):
            one = outcome_pb2.Outcome(entity_id=f"nobody-{number}", kind="label", text="dog")
            one.observe_time.FromDatetime(hour + timedelta(minutes=59))
            told.append(one)
        draw.shuffle(told)
        outcomes: Any = outcome_pb2_grpc.OutcomeServiceStub(monitor.channel)
        request = outcome_pb2.RecordOutcomesRequest(parent="models/m", outcomes=told)
        assert not (await outcomes.RecordOutcomes(request, timeout=30)).rejections

        def ended(about: str) -> dict[str, float | None]:
            sample = monitor.runtime.metrics.get_sample_value
            return {
                ending: sample("monitor_outcomes_joined_total", {"about": about, "ending": ending})
                for ending in ("found", "given_up")
            }

        await eventually(lambda: ended("prediction") == {"found": MADE, "given_up": NEVER_MADE}, within=WITHIN_S)
        await eventually(lambda: ended("entity") == {"found": 0, "given_up": ENTITIES}, within=WITHIN_S)
        asked = monitor_pb2.GetPerformanceRequest(parent="models/m")
        asked.range.start_time.FromDatetime(hour)
        asked.range.end_time.FromDatetime(hour + timedelta(hours=1))
        stub: Any = monitor_pb2_grpc.MonitorServiceStub(monitor.channel)
        (found,) = (await stub.GetPerformance(asked, timeout=30)).performance
        accuracy = {one.name: one.value for one in found.measures}["accuracy"]
        assert (found.predictions, found.labelled, found.maturity, accuracy) == (MADE, MADE, 1.0, 1.0)
        # They are kept all the same: the log may have lost what they are about.
        kept = outcome_pb2.ListOutcomesRequest(parent="models/m", prediction_id=nobody[0])
        assert [one.text for one in (await outcomes.ListOutcomes(kept, timeout=10)).outcomes] == ["dog"]

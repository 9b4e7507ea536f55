"""What alert rules are told of errors that rise, and what performance says of many classes."""

import random
import uuid
from datetime import UTC, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc, outcome_pb2, outcome_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2_grpc
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.testing import eventually

from tests.kit.models.onnx_models import classifier
from tests.kit.monitor.labelled import QUICK, Drawn, error_rate_changes, hours_ago, measured, performance, tell
from tests.kit.monitor.log_files import prediction_ids, records
from tests.kit.monitor.predictions import batch, report
from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry


@pytest.mark.long
async def test_the_detector_alarms_on_a_raised_error_rate_of_one_version_and_not_on_as_many_clean_labels(monitor):
    start = hours_ago(2)
    clean, raised = Drawn(11, 3000, start), Drawn(12, 3000, start)
    for drawn, late_rate in ((clean, 0.05), (raised, 0.25)):
        rate = np.where(np.arange(3000) < 1000, 0.05, late_rate)
        wrong = np.random.default_rng(13).random(3000) < rate
        drawn.truth = np.where(wrong, 1 - drawn.guess, drawn.guess)
    await monitor.log.put(clean.table("v1"))
    await monitor.log.put(raised.table("v2"))
    for first in range(0, 3000, 500):
        part = slice(first, first + 500)
        # Each label twice: it is counted once.
        await tell(monitor, clean.labels(part) + raised.labels(part) + clean.labels(part))

    found: Any = await eventually(lambda: error_rate_changes(monitor), within=60, every=0.2)
    assert {version: rows for version, (_, rows) in found.items()} == {"v1": 3000, "v2": 3000}
    assert found["v1"][0] == 0
    assert found["v2"][0] > 0.05
    # Corrections change what is known of a prediction, not what the detector has seen.
    await tell(monitor, clean.labels(truth=1 - clean.truth))
    assert await eventually(lambda: error_rate_changes(monitor), within=60, every=0.2) == found


async def test_the_detector_alarms_on_raised_errors_of_quantities_and_not_on_as_many_clean_labels(monitor):
    start, rows = hours_ago(2), 3000
    times = [start + timedelta(seconds=number) for number in range(rows)]
    rng = np.random.default_rng(15)
    errors = {}
    for version, factor in (("v1", 1.0), ("v2", 2.0)):
        predicted = rng.normal(100, 20, rows)
        off = rng.normal(0, 3, rows) * np.where(np.arange(rows) < 1000, 1.0, factor)
        errors[version] = np.delete(off, 10)
        ids = prediction_ids(times, random.Random(version))
        columns = {"prediction_label": [None] * rows, "prediction_value": predicted}
        await monitor.log.put(records("m", version, ids, times, **columns))
        told = [
            outcome_pb2.Outcome(prediction_id=one, kind="label", number=label)
            for one, label in zip(ids, predicted + off, strict=True)
        ]
        told[10] = outcome_pb2.Outcome(prediction_id=ids[10], kind="label", text="about a hundred")
        for first in range(0, rows, 500):
            await tell(monitor, told[first : first + 500])

    async def all_taken():
        found = await error_rate_changes(monitor)
        return found if {version: rows for version, (_, rows) in found.items()} == {"v1": 2999, "v2": 2999} else None

    found: Any = await eventually(all_taken, within=60, every=0.2)
    assert found["v1"][0] == 0
    assert found["v2"][0] > 0.1
    said = await performance(monitor, start, start + timedelta(hours=1))
    for version, off in errors.items():
        of = {name: measure.value for name, measure in measured(said[version, ""]).items()}
        assert of["mae"] == pytest.approx(np.abs(off).mean())
        assert of["rmse"] == pytest.approx(np.sqrt(np.mean(off**2)))
        assert of["bias"] == pytest.approx(-off.mean())
    calm, risen = said["v1", ""].concept_drift, said["v2", ""].concept_drift
    assert (calm.rise, calm.severity) == (0, monitor_pb2.SEVERITY_NONE)
    assert "no sign" in calm.summary
    assert risen.severity >= monitor_pb2.SEVERITY_MEDIUM
    assert "errors beyond" in risen.summary
    assert risen.update_time.ToDatetime(UTC) > start
    sliced = await performance(monitor, start, start + timedelta(hours=1), slice_by="country")
    assert not any(one.HasField("concept_drift") for one in sliced.values())


async def test_probabilities_of_many_classes_give_auc_and_log_loss_over_a_restart_whatever_else_came(
    postgres_url, s3, tmp_path
):
    from sklearn import metrics  # takes a second that every worker would wait when it collects tests

    rng, rows, start = np.random.default_rng(14), 600, hours_ago(2)
    chances = rng.dirichlet([0.6] * 3, rows).astype(np.float32)
    truth = (rng.random((rows, 1)) > np.cumsum(chances, axis=1)).sum(axis=1).clip(0, 2)
    shown = chances.copy()
    shown[:5], shown[5:9] = np.nan, 0.9  # neither of them says how likely a class is
    features = rng.normal(size=(rows, 4)).astype(np.float32)
    outputs = {"label": chances.argmax(axis=1), "probabilities": shown}
    made = batch({"features": features}, outputs, model="m", start_us=int(start.timestamp() * 1e6))
    ids = [str(uuid.UUID(bytes=made.prediction_ids[place : place + 16])) for place in range(0, 16 * rows, 16)]
    labels = [
        outcome_pb2.Outcome(prediction_id=one, kind="label", number=label)
        for one, label in zip(ids, truth, strict=True)
    ]
    labels[9].number = 7  # no class
    labels[10].number = -1e300
    quick = {**QUICK, "log_compact_every_s": 0.1}
    model, contract = classifier(4, 3), tensor_pb2.ServingContract(task="TASK_CLASSIFICATION")
    contract.MergeFrom(model.contract)

    async with memory_registry() as registry:
        await registry.register("m", "v1", model, contract=contract)
        for first in (0, 400):
            async with real_monitor(postgres_url, s3, tmp_path, registry=registry.target, **quick) as running:
                monitor = SimpleNamespace(
                    outcomes=outcome_pb2_grpc.OutcomeServiceStub(running.channel),
                    stub=monitor_pb2_grpc.MonitorServiceStub(running.channel),
                )
                if first == 0:
                    ingest = telemetry_pb2_grpc.TelemetrySinkServiceStub(running.channel)
                    await ingest.ReportPredictions(report(made, uuid.uuid4(), 1), timeout=20)
                await tell(monitor, labels[first : first + 400])
                last = min(first + 400, rows)

                async def all_labelled(monitor=monitor, last=last):
                    found = (await performance(monitor, start, start + timedelta(hours=1))).get(("v1", ""))
                    return measured(found) if found is not None and found.labelled == last else None

                said: Any = await eventually(all_labelled, within=60, every=0.2)
                exact = chances[11:last].astype(np.float64)
                exact /= exact.sum(axis=1, keepdims=True)
                auc = metrics.roc_auc_score(truth[11:last], exact, multi_class="ovr")
                assert said["auc"].value == pytest.approx(auc, abs=5e-4)
                assert said["log_loss"].value == pytest.approx(metrics.log_loss(truth[11:last], exact), rel=1e-5)
                assert said["auc"].lower < said["auc"].value < said["auc"].upper
                assert said["auc"].rows == said["log_loss"].rows == last - 11
                for reason in ("9 whose scores are no probabilities of the classes", "2 whose label is no class"):
                    assert reason in said["auc"].note

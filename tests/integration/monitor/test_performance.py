"""How good predictions were: the log in S3 joined with outcomes that come late, and what alert rules are told of it."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import asyncpg
import numpy as np
import pytest
from headrace.monitor.v1 import ingest_pb2_grpc, monitor_pb2, monitor_pb2_grpc, outcome_pb2, outcome_pb2_grpc
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.testing import eventually
from sklearn import metrics

from tests.kit.logged import Logged, prediction_ids, records
from tests.kit.monitor import real_monitor
from tests.kit.onnx_models import classifier, linear
from tests.kit.predictions import batch, report
from tests.kit.registry import memory_registry

NAMES = ("cat", "dog")
MODEL = linear(outputs=2)
CONTRACT = tensor_pb2.ServingContract(
    inputs=[
        tensor_pb2.TensorSpec(
            name="features",
            datatype="FP32",
            shape=[4],
            kind=tensor_pb2.TensorSpec.KIND_CATEGORICAL,
            columns=["country", "city", "plan", "device"],
        )
    ],
    outputs=[tensor_pb2.TensorSpec(name="scores", datatype="FP32", shape=[2])],
    labels=NAMES,
    task=tensor_pb2.ServingContract.TASK_CLASSIFICATION,
)
QUICK: dict[str, Any] = {"outcomes_every_s": 0.1, "performance_every_s": 0.1, "log_settle_s": 0.0, "log_delay_s": 60.0}


@pytest.fixture
async def monitor(postgres_url, s3, tmp_path):
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target, **QUICK) as running,
    ):
        for version in ("v1", "v2"):
            await registry.register("m", version, MODEL, contract=CONTRACT)
        yield SimpleNamespace(
            log=Logged(postgres_url, s3, tmp_path),
            url=postgres_url,
            outcomes=outcome_pb2_grpc.OutcomeServiceStub(running.channel),
            stub=monitor_pb2_grpc.MonitorServiceStub(running.channel),
        )


class Drawn:
    """Predictions of two classes with their truths, drawn so that scores mean what they say."""

    def __init__(self, seed: int, rows: int, start: datetime, *, every: timedelta = timedelta(seconds=1)) -> None:
        rng = np.random.default_rng(seed)
        self.times = [start + every * number for number in range(rows)]
        self.ids = prediction_ids(self.times, random.Random(seed))
        self.score = rng.beta(0.7, 0.7, rows)
        self.truth = (rng.random(rows) < self.score).astype(int)
        self.guess = (self.score >= 0.5).astype(int)
        self.right = self.truth == self.guess

    def table(self, version, **columns):
        return records(
            *("m", version, self.ids, self.times),
            prediction_label=[NAMES[one] for one in self.guess],
            prediction_value=np.maximum(self.score, 1 - self.score),
            prediction_score=self.score,
            **columns,
        )

    def labels(self, which=slice(None), truth=None):
        told = self.truth if truth is None else truth
        return [
            outcome_pb2.Outcome(prediction_id=one, kind="label", text=NAMES[label])
            for one, label in zip(self.ids[which], told[which], strict=True)
        ]


async def tell(monitor, outcomes):
    for first in range(0, len(outcomes), 5000):
        request = outcome_pb2.RecordOutcomesRequest(parent="models/m", outcomes=outcomes[first : first + 5000])
        answer = await monitor.outcomes.RecordOutcomes(request, timeout=30)
        assert not answer.rejections


async def performance(monitor, start, end, **fields):
    request = monitor_pb2.GetPerformanceRequest(parent="models/m", **fields)
    request.range.start_time.FromDatetime(start)
    request.range.end_time.FromDatetime(end)
    answer = await monitor.stub.GetPerformance(request, timeout=30)
    return {(one.version, one.slice): one for one in answer.performance}


def measured(of):
    return {measure.name: measure for measure in of.measures}


def hours_ago(hours):
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)


async def error_rate_changes(monitor):
    """Return the largest rise that alert rules were told of, and its labels, by version, once every label was taken."""
    connection = await asyncpg.connect(monitor.url)
    waiting = await connection.fetchval("select count(*) from outcome_arrivals")
    seen = await connection.fetch(
        "select version, max(value) as value, sum(rows) as rows from observations"
        " where signal = 'error_rate_change' group by version"
    )
    await connection.close()
    assert not waiting
    return {row["version"]: (row["value"], row["rows"]) for row in seen}


async def test_a_label_that_comes_seven_days_late_counts_for_its_version_and_its_hour_to_the_digit(monitor):
    start = hours_ago(7 * 24)
    one, two = Drawn(1, 3000, start), Drawn(2, 2000, start)
    await monitor.log.put(one.table("v1"))
    await monitor.log.put(two.table("v2"))
    before = await performance(monitor, start, start + timedelta(hours=1))
    assert measured(before["v1", ""])["accuracy"].unsaid
    assert before["v1", ""].maturity == 0

    await tell(monitor, one.labels() + two.labels(slice(500)))
    found = await performance(monitor, start, start + timedelta(hours=1))
    v1, v2 = found["v1", ""], found["v2", ""]
    assert (v1.predictions, v1.labelled, v1.maturity) == (3000, 3000, 1.0)
    assert (v2.predictions, v2.labelled, v2.maturity) == (2000, 500, 0.25)
    said = measured(v1)
    assert said["accuracy"].value == pytest.approx(metrics.accuracy_score(one.truth, one.guess), abs=1e-12)
    assert said["precision"].value == pytest.approx(metrics.precision_score(one.truth, one.guess), abs=1e-12)
    assert said["f1"].value == pytest.approx(metrics.f1_score(one.truth, one.guess), abs=1e-12)
    assert said["log_loss"].value == pytest.approx(metrics.log_loss(one.truth, one.score), abs=1e-9)
    assert said["auc"].value == pytest.approx(metrics.roc_auc_score(one.truth, one.score), abs=1e-4)
    assert said["auc"].lower < said["auc"].value < said["auc"].upper
    assert measured(v2)["accuracy"].value == pytest.approx(two.right[:500].mean(), abs=1e-12)
    at = measured(
        (await performance(monitor, start, start + timedelta(hours=1), version="v1", threshold=0.8))["v1", ""]
    )
    assert at["accuracy"].value == pytest.approx(np.mean((one.score >= 0.8) == one.truth), abs=1e-12)

    async def hour_was_looked_at_again():
        connection = await asyncpg.connect(monitor.url)
        kept = await connection.fetch("select version, labelled from performance_hours where hour = $1", start)
        await connection.close()
        return {row["version"]: row["labelled"] for row in kept} == {"v1": 3000, "v2": 500}

    await eventually(hour_was_looked_at_again, within=60, every=0.2)


async def test_a_segment_that_has_become_worse_is_found_and_named(monitor):
    countries = np.array(["AT", "DE", "FR", "IT"])
    for age, seed in ((26, 3), (3, 4)):
        drawn = Drawn(seed, 3600, hours_ago(age))
        country = countries[np.arange(3600) % 4]
        # Two days ago all was well; now half the answers for Austria are wrong.
        spoilt = (country == "AT") & (age == 3) & (np.random.default_rng(5).random(3600) < 0.5)
        drawn.truth = np.where(spoilt, 1 - drawn.guess, drawn.truth)
        attributes = [[("land", one)] for one in country]
        await monitor.log.put(drawn.table("v1", attributes=attributes, **{"feature.features.country": country}))
        await tell(monitor, drawn.labels())
    start = hours_ago(3)
    for slice_by in ("features.country", "land"):
        sliced = await performance(monitor, start, start + timedelta(hours=1), slice_by=slice_by)
        accuracy = {country: measured(one)["accuracy"].value for (_, country), one in sliced.items()}
        assert accuracy.pop("AT") < min(accuracy.values()) - 0.2
        assert sum(one.predictions for one in sliced.values()) == 3600

    async def blamed():
        answer = await performance(monitor, start, start + timedelta(hours=1))
        return list(answer["v1", ""].slices)

    slices: Any = await eventually(blamed, within=60, every=0.5)
    first, *_ = slices
    assert {each.name for each in slices} == {"features.country=AT", "land=AT"}
    assert first.effect > 0.2
    assert first.share > 0.5


async def test_rewards_and_conversions_are_told_with_their_rows(monitor):
    drawn = Drawn(6, 400, hours_ago(2))
    await monitor.log.put(drawn.table("v1"))
    rewards = np.random.default_rng(7).normal(3, 2, 400)
    told = [
        outcome_pb2.Outcome(prediction_id=one, kind="reward", number=reward)
        for one, reward in zip(drawn.ids, rewards, strict=True)
    ] + [
        outcome_pb2.Outcome(prediction_id=one, kind="conversion", number=number % 4 == 0)
        for number, one in enumerate(drawn.ids[:100])
    ]
    await tell(monitor, told)
    said = measured((await performance(monitor, hours_ago(2), hours_ago(1)))["v1", ""])
    assert said["reward_mean"].value == pytest.approx(rewards.mean(), abs=1e-12)
    assert (said["conversion_rate"].value, said["conversion_rate"].rows) == (0.25, 100)
    assert said["prediction_mean"].value == pytest.approx(drawn.score.mean(), abs=1e-12)
    assert said["prediction_std"].value == pytest.approx(drawn.score.std(ddof=1), abs=1e-12)


async def test_business_measures_are_told_apart_by_variant_and_slice(monitor):
    start, expected, told = hours_ago(2), {}, []
    for seed, variant in ((16, "control"), (17, "treatment")):
        drawn, rng = Drawn(seed, 400, start), np.random.default_rng(seed)
        country = np.array(["AT", "DE"])[np.arange(400) % 2]
        reward, converted = rng.gamma(2, seed, 400), rng.random(400) < seed / 40
        attributes = [[("country", one)] for one in country]
        await monitor.log.put(drawn.table("v1", variant=variant, attributes=attributes))
        for one, number, conversion in zip(drawn.ids, reward, converted, strict=True):
            told.append(outcome_pb2.Outcome(prediction_id=one, kind="reward", number=number))
            told.append(outcome_pb2.Outcome(prediction_id=one, kind="conversion", number=conversion))
        for one in ("AT", "DE"):
            expected[variant, one] = (reward[country == one].mean(), converted[country == one].mean())
    await tell(monitor, told)
    request = monitor_pb2.GetPerformanceRequest(parent="models/m", slice_by="country")
    request.range.start_time.FromDatetime(start)
    request.range.end_time.FromDatetime(start + timedelta(hours=1))
    answer = await monitor.stub.GetPerformance(request, timeout=30)
    found = {(one.variant, one.slice): measured(one) for one in answer.performance}
    assert found.keys() == expected.keys()
    for group, (reward, conversion) in expected.items():
        mean, rate = found[group]["reward_mean"], found[group]["conversion_rate"]
        assert (mean.value, rate.value) == (pytest.approx(reward), pytest.approx(conversion))
        assert mean.lower < mean.value < mean.upper
        assert rate.lower < rate.value < rate.upper
        assert mean.rows == rate.rows == 200


async def test_accuracy_and_auc_are_estimated_before_labels_come_once_scores_were_calibrated_on_earlier_ones(monitor):
    labelled, fresh = Drawn(8, 3000, hours_ago(3)), Drawn(9, 3000, hours_ago(2))
    await monitor.log.put(labelled.table("v1"))
    await monitor.log.put(fresh.table("v1"))
    await tell(monitor, labelled.labels())

    async def estimated():
        said = measured((await performance(monitor, hours_ago(2), hours_ago(1)))["v1", ""])
        return said if said["estimated_accuracy"].HasField("value") else None

    estimate: Any = await eventually(estimated, within=60, every=0.5)
    assert abs(estimate["estimated_accuracy"].value - fresh.right.mean()) < 0.03
    assert abs(estimate["estimated_auc"].value - metrics.roc_auc_score(fresh.truth, fresh.score)) < 0.03


async def test_outcomes_of_an_entity_join_its_last_prediction_within_the_window_whenever_the_log_has_it(monitor):
    start = hours_ago(5)
    times = [start, start + timedelta(minutes=10), start + timedelta(minutes=50), start + timedelta(minutes=20)]
    ids = prediction_ids(times, random.Random(10))
    entities = ["ann", "ann", "ann", "bob"]

    def reward(entity, minutes, number):
        return outcome_pb2.Outcome(
            entity_id=entity, kind="reward", number=number, observe_time=start + timedelta(minutes=minutes)
        )

    # The log has none of it yet: outcomes wait, and are joined when it has.
    told = [reward("ann", 45, 1.0), reward("bob", 45, 2.0), reward("bob", 10, 3.0), reward("eve", 45, 4.0)]
    request = outcome_pb2.RecordOutcomesRequest(parent="models/m", outcomes=told)
    answer = await monitor.outcomes.RecordOutcomes(request, timeout=20)
    assert set(answer.results) == {outcome_pb2.RecordOutcomesResponse.RESULT_WAITING}
    await monitor.log.put(records("m", "v1", ids, times, entity_id=entities, prediction_label=["cat"] * 4))

    async def of(prediction_id):
        listed = await monitor.outcomes.ListOutcomes(
            outcome_pb2.ListOutcomesRequest(parent="models/m", prediction_id=prediction_id), timeout=20
        )
        return [one.number for one in listed.outcomes]

    async def joined():
        return [await of(one) for one in ids] == [[], [1.0], [], [2.0]]

    await eventually(joined, within=60, every=0.2)
    again = await monitor.outcomes.RecordOutcomes(request, timeout=20)
    assert again.results[0] == outcome_pb2.RecordOutcomesResponse.RESULT_REPEATED


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
    calm, risen = said["v1", ""].error_watch, said["v2", ""].error_watch
    assert (calm.rise, calm.severity) == (0, monitor_pb2.SEVERITY_NONE)
    assert "no sign" in calm.summary
    assert risen.severity >= monitor_pb2.SEVERITY_MEDIUM
    assert "errors beyond" in risen.summary
    assert risen.update_time.ToDatetime(UTC) > start
    sliced = await performance(monitor, start, start + timedelta(hours=1), slice_by="country")
    assert not any(one.HasField("error_watch") for one in sliced.values())


async def test_probabilities_of_many_classes_give_auc_and_log_loss_over_a_restart_whatever_else_came(
    postgres_url, s3, tmp_path
):
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
                    ingest = ingest_pb2_grpc.IngestServiceStub(running.channel)
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
                    assert reason in said["auc"].unsaid


async def test_questions_that_cannot_be_answered_are_refused_by_their_field(monitor):
    for fields, field in (
        ({"parent": "models/-"}, "parent"),
        ({"version": "V 1"}, "version"),
        ({"threshold": float("nan")}, "threshold"),
        ({"slice_by": "x" * 300}, "slice_by"),
    ):
        request = monitor_pb2.GetPerformanceRequest(**{"parent": "models/m", **fields})
        with pytest.raises(Exception, match=f"{field}: "):
            await monitor.stub.GetPerformance(request, timeout=10)

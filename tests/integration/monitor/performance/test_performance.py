"""How good predictions were: the log in S3 joined with outcomes that come late, and what alert rules are told of it."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import numpy as np
import pytest
from headrace.monitor.v1 import monitor_pb2, outcome_pb2
from headrace_servicekit.testing import eventually

from tests.kit.monitor.labelled import Drawn, hours_ago, measured, performance, tell
from tests.kit.monitor.log_files import prediction_ids, records


async def test_a_label_that_comes_seven_days_late_counts_for_its_version_and_its_hour_to_the_digit(monitor):
    from sklearn import metrics  # takes a second that every worker would wait when it collects tests

    start = hours_ago(7 * 24)
    one, two = Drawn(1, 3000, start), Drawn(2, 2000, start)
    await monitor.log.put(one.table("v1"))
    await monitor.log.put(two.table("v2"))
    before = await performance(monitor, start, start + timedelta(hours=1))
    assert measured(before["v1", ""])["accuracy"].note
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
    always = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    assert (await performance(monitor, *always))["v1", ""].predictions == 400
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
    from sklearn import metrics  # takes a second that every worker would wait when it collects tests

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


@pytest.mark.long
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

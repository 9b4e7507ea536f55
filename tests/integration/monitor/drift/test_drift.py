"""Drift on real stores: the log in windows, and each window looked at once."""

from __future__ import annotations

import asyncio

import numpy as np
import pyarrow as pa
import pytest
from headrace.monitor.v1 import monitor_pb2
from headrace_monitor.judge.references.freezer import FreezeRequest
from headrace_monitor.judge.windows.decisions import window_summaries
from headrace_servicekit.errors import Aborted
from headrace_servicekit.testing import FakeClock
from headrace_statistics.references import NumericReference

from tests.kit.monitor.drift import HOUR, START, Replica, features, parquet, plain_name

ROWS = 1_500
# Windows before a shift; how often clean ones raise something is simulated in tests/statistics/drift_rates.py.
CLEAN = 8


async def evaluate_all(replica: Replica, clock: FakeClock, hours: int) -> list[monitor_pb2.Drift]:
    """Let so many hours pass, and return the scheduled evaluations, the first one first."""
    for _ in range(hours):
        await replica.deriver.catch_up()
        await clock.advance(3600)
        await replica.scheduler.step()
    await clock.advance(300)
    await replica.scheduler.step()
    evaluations, _ = await replica.evaluations.page("fraud", "v1", None, 1000)
    return [evaluation for _, evaluation in reversed(evaluations)]


def alarms(evaluation: monitor_pb2.Drift) -> set[tuple[str, str]]:
    return {(report.column, report.test) for report in evaluation.reports if report.alarm}


async def test_clean_windows_raise_nothing_and_a_shift_is_named(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(1)
    for hour in range(CLEAN):
        await log.add("fraud", "v1", START + hour * HOUR, features(rng, ROWS))
    shifted = features(rng, 2 * ROWS)
    shifted["feature.person.age"] += np.float32(3.5)  # .35 standard deviations
    await log.add("fraud", "v1", START + CLEAN * HOUR, shifted)
    await replica.freezer.freeze_missing()

    evaluations = await evaluate_all(replica, clock, CLEAN + 1)

    assert len(evaluations) == CLEAN + 1
    assert [alarms(evaluation) for evaluation in evaluations[:-1]] == [set()] * CLEAN
    assert {column for column, _ in alarms(evaluations[-1])} == {"person.age"}
    assert evaluations[-1].severity == monitor_pb2.SEVERITY_MEDIUM
    assert (evaluations[-1].rows, evaluations[-1].reference) == (2 * ROWS, monitor_pb2.Reference.SOURCE_ARTIFACT)
    assert await told(log) == [("drift", 0)] * CLEAN + [("drift", 2)] + [("quality", 0)] * (CLEAN + 1)


async def told(log) -> list[tuple[str, int]]:
    """Return what alert rules were told."""
    async with log.database.transaction() as connection:
        rows = await connection.fetch("select signal, severity from observations order by signal, window_end")
    return [tuple(row) for row in rows]


async def test_what_is_odd_is_named_with_examples_and_where_it_is(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(2)
    await log.add("fraud", "v1", START, features(rng, 2 * ROWS))
    odd = features(rng, 2 * ROWS)
    odd["feature.country"][: ROWS // 2] = "xx"
    missing = odd["feature.country"] == "it"
    odd["feature.person.income"] = np.where(missing, None, odd["feature.person.income"])
    odd["feature.share"] = np.full(2 * ROWS, 0.25, dtype=np.float32)
    odd["feature.text"] += np.float32(0.5)
    odd["prediction_label"][: ROWS // 2] = "fraud"
    await log.add("fraud", "v1", START + HOUR, odd)
    await replica.freezer.freeze_missing()

    well, evaluation = await evaluate_all(replica, clock, 2)

    assert alarms(well) == set()
    found = {(report.column, report.test): report for report in evaluation.reports if report.alarm}
    assert found["country", "new_categories"].examples == ["xx"]
    assert found["share", "constant"].examples == ["0.25"]
    assert found["text", "embedding"].severity == monitor_pb2.SEVERITY_HIGH
    assert found["prediction_label", "chi_square"].kind == "prediction"
    assert ("person.income", "missing") in found
    assert not {column for column, _ in found} & {"person.age", "scores.good"}
    async with log.database.transaction() as connection:
        (summary,) = await connection.fetchrow(
            "select summary from observations where signal = 'quality' and severity > 0"
        )
    assert summary.startswith("share is 0.25 in every row, and varies in the reference; ")


async def test_slices_tell_where_a_change_is(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(3)
    await log.add("fraud", "v1", START, features(rng, 2 * ROWS))
    shifted = features(rng, 2 * ROWS)
    shifted["feature.person.age"] += np.where(shifted["feature.country"] == "fr", 15, 0).astype(np.float32)
    await log.add("fraud", "v1", START + HOUR, shifted)
    await replica.freezer.freeze_missing()

    _, evaluation = await evaluate_all(replica, clock, 2)

    assert evaluation.slices[0].name == "country=fr"
    assert evaluation.slices[0].share > 0.9
    assert evaluation.slices[0].effect > 1


async def test_attributes_of_requests_tell_where_a_change_is(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(13)
    for hour in range(2):
        changed = features(rng, 2 * ROWS)
        phone = rng.random(2 * ROWS) < 0.4
        if hour == 1:
            changed["feature.person.age"][phone] += np.float32(20)
        given = [[("device", "phone" if one else "desk"), ("client", "app")] for one in phone]
        changed["attributes"] = pa.array(given, pa.map_(pa.string(), pa.string()))
        await log.add("fraud", "v1", START + hour * HOUR, changed)
    await replica.freezer.freeze_missing()
    _, evaluation = await evaluate_all(replica, clock, 2)
    assert [each.name for each in evaluation.slices] == ["device=phone"]
    assert evaluation.slices[0].share > 0.9


async def test_a_member_of_a_pipeline_whose_normaliser_is_broken_drifts_and_the_pipeline_is_named(
    log, registered, clock
):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(15)
    for hour in range(2):
        rows = features(rng, 2 * ROWS)
        of_step = rng.random(2 * ROWS) < 0.5  # the others are asked by callers themselves
        if hour == 1:
            rows["feature.person.income"][of_step] *= np.float32(10)
        rows["pipeline"] = [("ensemble/v3" if one else None) for one in of_step]
        rows["step"] = [("linear" if one else None) for one in of_step]
        await log.add("fraud", "v1", START + hour * HOUR, rows)
    await replica.freezer.freeze_missing()

    well, evaluation = await evaluate_all(replica, clock, 2)

    assert alarms(well) == set()
    assert {column for column, _ in alarms(evaluation)} == {"person.income"}
    assert evaluation.rows == 2 * ROWS
    assert [each.name for each in evaluation.slices] == ["pipeline=ensemble/v3"]
    assert evaluation.slices[0].share > 0.9


async def test_a_rush_of_which_an_eighth_was_recorded_is_no_drift(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(14)
    quiet, rush = features(rng, ROWS), features(rng, 2 * ROWS)
    rush["feature.person.age"] += np.float32(10)
    everything = {name: np.concatenate([quiet[name], rush[name]]) for name in quiet}
    registered.add("fraud", "v1", parquet({plain_name(name): values for name, values in everything.items()}))
    few = {name: values[: 2 * ROWS // 8] for name, values in rush.items()}
    await log.add("fraud", "v1", START, quiet | {"probability": np.ones(ROWS)})
    await log.add("fraud", "v1", START, few | {"probability": np.full(2 * ROWS // 8, 1 / 8)})
    await log.add("fraud", "v1", START + HOUR, quiet | {"probability": np.ones(ROWS)})
    await replica.freezer.freeze_missing()

    rushed, calm = await evaluate_all(replica, clock, 2)

    assert alarms(rushed) == set()
    assert rushed.rows == ROWS + 2 * ROWS // 8
    # As many as there would be, had an eighth of all been recorded.
    assert {report.window_rows for report in rushed.reports if not report.inconclusive} <= {562, 563}
    # Without the rush its people are missing.
    assert {column for column, _ in alarms(calm)} == {"person.age"}
    assert calm.rows == ROWS

    frozen = await replica.freezer.freeze(FreezeRequest("fraud", "v1", (START, START + HOUR)))
    age = frozen.reference.columns["person.age"]
    assert isinstance(age, NumericReference)
    assert 2 * ROWS // 8 + ROWS // 16 < age.summary.rows < 2 * ROWS // 8 + ROWS // 4
    assert age.summary.moments.mean == pytest.approx(40 + 10 * 2 / 3, abs=2)


async def test_traffic_with_a_daily_shape_is_told_to_have_a_seasonal_reference(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(15)
    for day in range(2):
        night = features(rng, ROWS)
        night["feature.person.age"] += np.float32(10)
        await log.add("fraud", "v1", START + day * 24 * HOUR, night)
    await replica.freezer.freeze_missing()
    await replica.deriver.catch_up()
    for seconds in (3_900, 24 * 3_600):
        await clock.advance(seconds)
        await replica.scheduler.step()
    first, second = [one for _, one in reversed((await replica.evaluations.page("fraud", "v1", None, 10))[0])]
    assert {column for column, _ in alarms(first)} == {column for column, _ in alarms(second)} == {"person.age"}
    assert first.advice == ""
    assert "the same time a day before" in second.advice
    assert "freeze fraud v1 --seasonal" in second.advice


async def test_windows_are_the_same_whoever_made_them_and_whatever_died(log, registered, clock):
    first, second = Replica(log, registered, clock), Replica(log, registered, clock)
    rng = np.random.default_rng(4)
    everything = [features(rng, 300) for _ in range(24)]
    for index, columns in enumerate(everything):
        variant = ("main", "canary")[index % 2]
        await log.add("fraud", "v1", START + index // 4 * HOUR, columns, variant=variant)
    kept = await first.freezer.freeze(FreezeRequest("fraud", "v1"))
    # Small files are merged meanwhile; they are there for a while all the same.
    async with log.database.transaction() as connection:
        await connection.execute("update log_files set replaced = true where hour = $1", START)
    await log.add("fraud", "v1", START, everything[0], merged=True)

    # One claims files and dies before they are in its windows.
    lost = await first.windows.claim(await first.windows.candidates(0, limit=5))
    assert len(lost) == 5
    await asyncio.gather(second.deriver.catch_up(), Replica(log, registered, clock).deriver.catch_up())
    assert (await second.windows.total(kept.number, START, START + 6 * HOUR)).rows == 19 * 300
    async with log.database.transaction() as connection:  # its lease ends
        await connection.execute("update window_files set claimed_until = now() where waiting")
    await asyncio.gather(second.deriver.catch_up(), Replica(log, registered, clock).deriver.catch_up())
    with pytest.raises(Aborted):  # it was no corpse, only slow
        await first.windows.put(lost, {})

    window = await second.windows.total(kept.number, START, START + 6 * HOUR)
    assert window.rows == 24 * 300
    columns = [column for column in kept.monitored if column.name in kept.reference.columns]
    tables = [pa.table({name: pa.array(list(values)) for name, values in each.items()}) for each in everything]
    whole = window_summaries.window_of(pa.concat_tables(tables), columns, kept.reference.columns)
    for name, summary in whole.summaries.items():
        mine = window.summaries[name]
        assert getattr(mine, "bins", mine.rows) == getattr(summary, "bins", summary.rows), name
    assert window.summaries["country"] == whole.summaries["country"]
    assert window.predictions.mean == pytest.approx(whole.predictions.mean, rel=1e-12)
    assert await first.windows.candidates(0, limit=100) == []

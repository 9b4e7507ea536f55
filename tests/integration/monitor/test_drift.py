"""Drift on real stores: references frozen, the log in windows, each window looked at once."""

from __future__ import annotations

import asyncio

import numpy as np
import pyarrow as pa
import pytest
from headrace.monitor.v1 import monitor_pb2
from headrace_monitor.references.freezer import Asked
from headrace_monitor.references.freezing_process import FreezingProcess
from headrace_monitor.statistics.arrays import floats
from headrace_monitor.statistics.change.estimated import Calibration
from headrace_monitor.statistics.references import NumericReference, Source
from headrace_monitor.windows import summarising
from headrace_servicekit.errors import Aborted, PreconditionFailed, ResourceExhausted, Unavailable
from headrace_servicekit.testing import FakeClock

from tests.kit.drifting import HOUR, START, Registered, Replica, features, parquet, plain_name
from tests.kit.feature_log import feature_log

ROWS = 1_500


@pytest.fixture
async def log(postgres_url, s3, tmp_path):
    async with feature_log(postgres_url, s3, tmp_path) as opened:
        yield opened


@pytest.fixture
def registered():
    known = Registered()
    # As somebody would write it who never saw the log: names of the contract, or of columns alone.
    reference = features(np.random.default_rng(99), 20_000)
    known.add("fraud", "v1", parquet({plain_name(name): values for name, values in reference.items()}))
    return known


@pytest.fixture
def clock():
    return FakeClock(START)


async def look_at_all(replica: Replica, clock: FakeClock, hours: int) -> list[monitor_pb2.Drift]:
    """Let so many hours pass, and return the scheduled looks, the first one first."""
    for _ in range(hours):
        await replica.deriver.catch_up()
        await clock.advance(3600)
        await replica.scheduler.step()
    await clock.advance(300)
    await replica.scheduler.step()
    looks, _ = await replica.looks.page("fraud", "v1", None, 1000)
    return [look for _, look in reversed(looks)]


def alarms(look: monitor_pb2.Drift) -> set[tuple[str, str]]:
    return {(report.column, report.test) for report in look.reports if report.alarm}


async def test_clean_windows_raise_nothing_and_a_shift_is_named(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(1)
    for hour in range(24):
        await log.add("fraud", "v1", START + hour * HOUR, features(rng, ROWS))
    shifted = features(rng, 2 * ROWS)
    shifted["feature.person.age"] += np.float32(3.5)  # .35 standard deviations
    await log.add("fraud", "v1", START + 24 * HOUR, shifted)
    await replica.freezer.freeze_missing()

    looks = await look_at_all(replica, clock, 25)

    assert len(looks) == 25
    assert [alarms(look) for look in looks[:-1]] == [set()] * 24
    assert {column for column, _ in alarms(looks[-1])} == {"person.age"}
    assert looks[-1].severity == monitor_pb2.SEVERITY_MEDIUM
    assert (looks[-1].rows, looks[-1].reference) == (2 * ROWS, monitor_pb2.Reference.SOURCE_ARTIFACT)
    assert await told(log) == [("drift", 0)] * 24 + [("drift", 2)] + [("quality", 0)] * 25


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

    well, look = await look_at_all(replica, clock, 2)

    assert alarms(well) == set()
    found = {(report.column, report.test): report for report in look.reports if report.alarm}
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
    assert summary.startswith("constant of share is 1, and 0 is tolerated (0.25); ")


async def test_slices_tell_where_a_change_is(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(3)
    await log.add("fraud", "v1", START, features(rng, 2 * ROWS))
    shifted = features(rng, 2 * ROWS)
    shifted["feature.person.age"] += np.where(shifted["feature.country"] == "fr", 15, 0).astype(np.float32)
    await log.add("fraud", "v1", START + HOUR, shifted)
    await replica.freezer.freeze_missing()

    _, look = await look_at_all(replica, clock, 2)

    assert look.slices[0].name == "country=fr"
    assert look.slices[0].share > 0.9
    assert look.slices[0].effect > 1


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
    _, look = await look_at_all(replica, clock, 2)
    assert [each.name for each in look.slices] == ["device=phone"]
    assert look.slices[0].share > 0.9


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

    rushed, calm = await look_at_all(replica, clock, 2)

    assert alarms(rushed) == set()
    assert rushed.rows == ROWS + 2 * ROWS // 8
    # As many as there would be, had an eighth of all been recorded.
    assert {report.window_rows for report in rushed.reports if not report.unsaid} <= {562, 563}
    # Without the rush its people are missing.
    assert {column for column, _ in alarms(calm)} == {"person.age"}
    assert calm.rows == ROWS

    frozen = await replica.freezer.freeze(Asked("fraud", "v1", (START, START + HOUR)))
    age = frozen.reference.columns["person.age"]
    assert isinstance(age, NumericReference)
    assert 2 * ROWS // 8 + ROWS // 16 < age.summary.rows < 2 * ROWS // 8 + ROWS // 4
    assert age.summary.moments.mean == pytest.approx(40 + 10 * 2 / 3, abs=2)


async def test_windows_are_the_same_whoever_made_them_and_whatever_died(log, registered, clock):
    first, second = Replica(log, registered, clock), Replica(log, registered, clock)
    rng = np.random.default_rng(4)
    everything = [features(rng, 300) for _ in range(24)]
    for index, columns in enumerate(everything):
        variant = ("main", "canary")[index % 2]
        await log.add("fraud", "v1", START + index // 4 * HOUR, columns, variant=variant)
    kept = await first.freezer.freeze(Asked("fraud", "v1"))
    # Small files are merged meanwhile; they are there for a while all the same.
    async with log.database.transaction() as connection:
        await connection.execute("update log_files set replaced = true where hour = $1", START)
    await log.add("fraud", "v1", START, everything[0], merged=True)

    # One claims files and dies before they are in its windows.
    lost = await first.windows.claim(await first.windows.candidates(0, clock.now(), limit=5), clock.now(), HOUR)
    assert len(lost) == 5
    await asyncio.gather(second.deriver.catch_up(), Replica(log, registered, clock).deriver.catch_up())
    assert (await second.windows.total(kept.number, START, START + 6 * HOUR)).rows == 19 * 300
    await clock.advance(3601)
    await asyncio.gather(second.deriver.catch_up(), Replica(log, registered, clock).deriver.catch_up())
    with pytest.raises(Aborted):  # it was no corpse, only slow
        await first.windows.put(lost, {})

    window = await second.windows.total(kept.number, START, START + 6 * HOUR)
    assert window.rows == 24 * 300
    columns = [column for column in kept.judged if column.name in kept.reference.columns]
    tables = [pa.table({name: pa.array(list(values)) for name, values in each.items()}) for each in everything]
    whole = summarising.window_of(pa.concat_tables(tables), columns, kept.reference.columns)
    for name, summary in whole.summaries.items():
        mine = window.summaries[name]
        assert getattr(mine, "bins", mine.rows) == getattr(summary, "bins", summary.rows), name
    assert window.summaries["country"] == whole.summaries["country"]
    assert window.predictions.mean == pytest.approx(whole.predictions.mean, rel=1e-12)
    assert await first.windows.candidates(0, clock.now(), limit=100) == []


async def test_a_reference_that_comes_late_finds_the_traffic_before_it(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(5)
    registered.add("fraud", "v2")
    for hour in range(3):
        await log.add("fraud", "v2", START + hour * HOUR, features(rng, 500))
    await clock.advance(3 * 3600)
    await replica.deriver.catch_up()
    await replica.freezer.freeze_missing()
    assert await replica.references.current("fraud", "v2") is None
    assert "no artifact reference.parquet" in (await replica.references.problem("fraud", "v2") or "")

    # A merged file has taken the place of two hours of files, whose rows are not to be counted twice.
    async with log.database.transaction() as connection:
        await connection.execute("update log_files set replaced = true where hour = $1", START)
    await log.add("fraud", "v2", START, features(rng, 500), merged=True)
    kept = await replica.freezer.freeze(Asked("fraud", "v2", (START, START + 3 * HOUR)))
    await replica.deriver.catch_up()

    assert kept.reference.source is Source.WINDOW
    assert kept.reference.columns["person.age"].summary.rows == 1_500
    again = await replica.freezer.freeze(Asked("fraud", "v2", (START, START + 3 * HOUR)))
    assert again.number == kept.number
    assert (await replica.windows.total(kept.number, START, START + 3 * HOUR)).rows == 1_500
    look = await replica.looker.look(kept, START, START + 3 * HOUR, 0.05)
    assert look.alarms == ()


async def test_a_seasonal_reference_is_the_same_hour_a_week_before(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(6)
    day, night = features(rng, ROWS), features(rng, ROWS)
    for hours, columns in ((0, day), (1, night)):
        if hours == 1:
            columns["feature.person.age"] += np.float32(20)
        for week in (0, 7 * 24):
            await log.add("fraud", "v1", START + (week + hours) * HOUR, columns)
    await clock.advance(7 * 24 * 3600 + 2 * 3600)
    kept = await replica.freezer.freeze(Asked("fraud", "v1", seasonal=True))
    await replica.deriver.catch_up()

    night_start = START + (7 * 24 + 1) * HOUR
    look = await replica.looker.look(kept, night_start, night_start + HOUR, 0.05)
    assert look.source is Source.SEASON
    assert look.alarms == ()
    # A week before the first week nothing is known: the artifact counts.
    first = await replica.looker.look(kept, START + HOUR, START + 2 * HOUR, 0.05)
    assert first.source is Source.ARTIFACT
    assert first.alarms[0].column == "person.age"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"PAR1" + b"\xff" * 64 + b"\x20\0\0\0PAR1", "cannot be read as Parquet", id="no Parquet"),
        pytest.param(parquet({"other": np.zeros(100)}), "no such column in the file", id="other columns"),
        pytest.param(parquet({"age": np.zeros(10)}), "at least 50 are needed", id="ten rows"),
        pytest.param(
            parquet({"age": ["x"] * 60, "person": [{"a": 1}] * 60, "share": [[1.0]] * 60, "country": [[1]] * 60}),
            "which is no number",
            id="other types",
        ),
    ],
)
async def test_an_artifact_that_is_none_is_refused_with_what_is_wrong(log, registered, clock, content, problem):
    registered.add("fraud", "v3", content)
    replica = Replica(log, registered, clock, freeze=FreezingProcess(timeout_s=60))

    with pytest.raises(PreconditionFailed, match=problem) as refused:
        await replica.freezer.freeze(Asked("fraud", "v3"))

    assert refused.value.reason == "REFERENCE_UNREADABLE"


async def test_a_reference_with_labels_calibrates_scores_unless_it_is_known(log, registered, clock):
    rng = np.random.default_rng(15)
    rows = features(rng, 5_000)
    # Half as many are fraud as the scores say.
    label = np.where(rng.random(5_000) < rows["output.scores.fraud"] / 2, 1, 0)
    told = {plain_name(name): values for name, values in rows.items()} | {"outcome.label": label}
    registered.add("fraud", "v1", parquet(told))
    await log.add("fraud", "v1", START, features(rng, 100))
    replica = Replica(log, registered, clock, freeze=FreezingProcess(timeout_s=60))
    await replica.freezer.freeze_missing()
    found = await replica.performance.calibration("fraud", "v1")
    assert found is not None
    assert found.rows == 5_000
    assert found.chances([0.1])[0] == pytest.approx(0.05, abs=0.03)

    by_labels = Calibration(floats([0.0, 1.0]), floats([0.5, 0.5]), 400)
    await replica.performance.calibrate_first("fraud", "v1", by_labels, clock.now())
    still = await replica.performance.calibration("fraud", "v1")
    assert still is not None
    assert still.rows == 5_000


async def test_a_reference_comes_when_the_store_is_back(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(8)
    await log.add("fraud", "v1", START, features(rng, 100))
    registered.away = True
    with pytest.raises(Unavailable):
        await replica.freezer.freeze_missing()
    assert await replica.references.problem("fraud", "v1") is None

    registered.away = False
    await replica.freezer.freeze_missing()
    assert await replica.references.current("fraud", "v1") is not None


async def test_freezing_is_bounded(log, registered, clock):
    async def nothing(_file, _columns, _contract) -> str:
        return "nothing is in it"

    replica = Replica(log, registered, clock, freeze=nothing)
    asked = (replica.freezer.freeze(Asked("fraud", "v1")) for _ in range(12))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in outcomes] == [PreconditionFailed] * 8 + [ResourceExhausted] * 4


async def test_columns_that_do_not_fit_are_told_and_the_others_are_judged(log, registered, clock):
    rng = np.random.default_rng(7)
    reference = features(rng, 500)
    reference["feature.share"] = np.full(500, np.nan)
    reference["feature.country"] = [f"id-{row}" for row in range(500)]
    del reference["feature.text"]
    registered.add("fraud", "v3", parquet(reference))
    replica = Replica(log, registered, clock, freeze=FreezingProcess(timeout_s=60))

    kept = await replica.freezer.freeze(Asked("fraud", "v3"))

    assert {name: str(why) for name, why in kept.reference.unfit.items()} == {
        "share": "too few: 0, at least 50 are needed",
        "text": "no such column in the file",
    }
    assert "secret" not in kept.reference.columns

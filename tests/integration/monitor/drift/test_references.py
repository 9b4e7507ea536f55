"""References: what they are made of, when, and what is said of those that cannot be."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from headrace_monitor.judge.references.freezer import FreezeRequest
from headrace_monitor.judge.references.freezing_process import FreezingProcess
from headrace_servicekit.errors import PreconditionFailed, ResourceExhausted, Unavailable
from headrace_statistics.arrays import floats
from headrace_statistics.calibration import Calibration
from headrace_statistics.references import Source

from tests.kit.monitor.drift import HOUR, START, Replica, features, parquet, plain_name


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
    kept = await replica.freezer.freeze(FreezeRequest("fraud", "v2", (START, START + 3 * HOUR)))
    await replica.deriver.catch_up()

    assert kept.reference.source is Source.WINDOW
    assert kept.reference.columns["person.age"].summary.rows == 1_500
    again = await replica.freezer.freeze(FreezeRequest("fraud", "v2", (START, START + 3 * HOUR)))
    assert again.number == kept.number
    assert (await replica.windows.total(kept.number, START, START + 3 * HOUR)).rows == 1_500
    evaluation = await replica.evaluator.evaluate(kept, START, START + 3 * HOUR, 0.05)
    assert evaluation.alarms == ()


async def test_a_seasonal_reference_is_the_same_hour_a_week_before(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(6)
    day, night = features(rng, 1_500), features(rng, 1_500)
    for hours, columns in ((0, day), (1, night)):
        if hours == 1:
            columns["feature.person.age"] += np.float32(20)
        for week in (0, 7 * 24):
            await log.add("fraud", "v1", START + (week + hours) * HOUR, columns)
    await clock.advance(7 * 24 * 3600 + 2 * 3600)
    kept = await replica.freezer.freeze(FreezeRequest("fraud", "v1", seasonal=True))
    await replica.deriver.catch_up()

    night_start = START + (7 * 24 + 1) * HOUR
    evaluation = await replica.evaluator.evaluate(kept, night_start, night_start + HOUR, 0.05)
    assert evaluation.source is Source.SEASON
    assert evaluation.alarms == ()
    # A week before the first week nothing is known: the artifact counts.
    first = await replica.evaluator.evaluate(kept, START + HOUR, START + 2 * HOUR, 0.05)
    assert first.source is Source.ARTIFACT
    assert first.alarms[0].column == "person.age"


async def test_a_file_with_wider_types_than_the_contract_does_not_differ_from_its_own_log(log, registered, clock):
    rng = np.random.default_rng(23)

    def priced(rows: int) -> dict[str, Any]:
        """Return what FP32 cannot hold exactly, in float64 as pandas has it."""
        prices = rng.choice([4.99, 9.99, 14.99, 19.99, 24.99], rows)
        return features(rng, rows) | {"feature.person.income": prices}

    registered.add("fraud", "v3", parquet({plain_name(name): values for name, values in priced(20_000).items()}))
    replica = Replica(log, registered, clock, freeze=FreezingProcess(timeout_s=60))
    sent = priced(2_000)
    sent["feature.person.income"] = sent["feature.person.income"].astype(np.float32)
    await log.add("fraud", "v3", START, sent)
    await clock.advance(2 * 3600)
    kept = await replica.freezer.freeze(FreezeRequest("fraud", "v3"))
    await replica.deriver.catch_up()

    evaluation = await replica.evaluator.evaluate(kept, START, START + HOUR, 0.05)
    assert "person.income" in {report.column for report in evaluation.reports}
    assert evaluation.alarms == ()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"PAR1" + b"\xff" * 64 + b"\x20\0\0\0PAR1", "cannot be read as Parquet", id="no Parquet"),
        pytest.param(parquet({"other": np.zeros(100)}), "no such column in the file", id="other columns"),
        pytest.param(parquet({"age": np.zeros(10)}), "at least 50 are needed", id="ten rows"),
        pytest.param(
            parquet({"age": ["x"] * 60, "person": [{"a": 1}] * 60, "share": [[1.0]] * 60, "country": [[1]] * 60}),
            "column 'age' cannot be converted to what the contract says: its type in the file is string",
            id="other types",
        ),
        pytest.param(
            parquet({"age": np.zeros(60), "country": [b"\xff"] * 60}).replace(b"PAR1", b"PAR1\xff", 1),
            r"from reference\.parquet: column 'age' cannot be read",
            id="pages that are damaged",
        ),
    ],
)
async def test_an_artifact_that_is_none_is_refused_with_what_is_wrong(log, registered, clock, content, problem):
    registered.add("fraud", "v3", content)
    replica = Replica(log, registered, clock, freeze=FreezingProcess(timeout_s=60))

    with pytest.raises(PreconditionFailed, match=problem) as refused:
        await replica.freezer.freeze(FreezeRequest("fraud", "v3"))

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


async def test_a_damaged_file_of_one_version_does_not_keep_the_others_from_their_references(log, registered, clock):
    replica, rng = Replica(log, registered, clock), np.random.default_rng(9)
    for version in ("v1", "v2"):
        rows = features(rng, 500)
        registered.add("fraud", version, parquet({plain_name(name): values for name, values in rows.items()}))
        await log.add("fraud", version, START, features(rng, 100))
    (damaged,) = (await registered.get("fraud", "v1")).message.artifacts
    registered.files[damaged.sha256] = b"half of it"
    await replica.freezer.freeze_missing()
    assert await replica.references.current("fraud", "v2") is not None
    assert "arrived damaged" in (await replica.references.problem("fraud", "v1") or "")


async def test_freezing_is_bounded(log, registered, clock):
    async def nothing(_file, _columns, _contract) -> str:
        return "nothing is in it"

    replica = Replica(log, registered, clock, freeze=nothing)
    asked = (replica.freezer.freeze(FreezeRequest("fraud", "v1")) for _ in range(12))
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

    kept = await replica.freezer.freeze(FreezeRequest("fraud", "v3"))

    assert {name: str(why) for name, why in kept.reference.unfit.items()} == {
        "share": "too few: 0, at least 50 are needed",
        "text": "no such column in the file",
    }
    assert "secret" not in kept.reference.columns

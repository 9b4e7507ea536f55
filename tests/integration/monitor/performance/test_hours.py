"""Hours of predictions: when they are looked at, and what alert rules are told of them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_monitor.judge.performance.calculator import OutcomeJoiner, PerformanceCalculator
from headrace_monitor.judge.performance.evaluator import HOUR, SETTLE, HourEvaluator
from headrace_monitor.judge.performance.store import PerformanceStore
from headrace_monitor.judge.references.store import References
from headrace_monitor.record.log.contracts import VersionContract, version_contract
from headrace_monitor.record.outcomes.decisions.merge import Outcome, OutcomeKey, ReportedOutcome
from headrace_monitor.record.outcomes.postgres import PostgresOutcomes
from headrace_servicekit.testing import FakeClock

from tests.kit.monitor.feature_log import FeatureLog, feature_log
from tests.kit.monitor.labelled import CONTRACT, NAMES, Drawn
from tests.kit.monitor.log_files import Logged

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Registered:
    """A registry with versions of one contract."""

    async def get(self, model: str, version: str) -> VersionContract:
        return version_contract(model, version, registry_pb2.ModelVersion(contract=CONTRACT))


class Looked:
    """What looks at hours, and what it found."""

    def __init__(self, log: FeatureLog, files: Logged, clock: FakeClock) -> None:
        self.log, self.files, self.clock = log, files, clock
        self.outcomes, self.performance = PostgresOutcomes(log.database), PerformanceStore(log.database)
        joins, registered = OutcomeJoiner(log.reader, self.outcomes), Registered()
        tracker = PerformanceCalculator(joins, self.performance, registered, References(log.database))
        self.evaluator = HourEvaluator(log.database, joins, tracker, self.performance, registered, clock)

    async def label(self, drawn: Drawn, rows: int, *, wrong: bool = False) -> None:
        """Tell the labels of the first predictions, and have their hour looked at as soon as the clock is moved."""
        truth = 1 - drawn.guess if wrong else drawn.guess
        told = [
            ReportedOutcome(OutcomeKey(uuid.UUID(one), 0, "label"), Outcome(self.clock.now(), NAMES[label]))
            for one, label in zip(drawn.ids[:rows], truth[:rows], strict=True)
        ]
        await self.outcomes.record("m", told, "test", self.clock.now())
        hour = drawn.times[0].replace(minute=0, second=0, microsecond=0)
        async with self.log.database.transaction() as connection:
            touch = "insert into touched_hours (model, hour, next_try) values ('m', $1, $2)"
            await connection.execute(f"{touch} on conflict (model, hour) do nothing", hour, self.clock.now())

    async def told(self, signal: str) -> list[tuple[datetime, int, float]]:
        """Return what alert rules were told: beginning of the hour, rows, value."""
        query = "select window_start, rows, value from observations where signal = $1 order by window_start"
        return [tuple(row) for row in await self._fetch(query, signal)]

    async def kept(self) -> dict[datetime, float]:
        """Return the predictions of the hours that are kept."""
        return {row["hour"]: row["predictions"] for row in await self._fetch("select * from performance_hours")}

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self.log.database.repeatable(lambda connection: connection.fetch(query, *arguments))


@pytest.fixture
async def looked(postgres_url, s3, tmp_path) -> AsyncIterator[Looked]:
    async with feature_log(postgres_url, s3, tmp_path) as log:
        (tmp_path / "s3.credentials").write_bytes((tmp_path / "log.credentials").read_bytes())
        yield Looked(log, Logged(postgres_url, s3, tmp_path), FakeClock(NOON + timedelta(minutes=10)))


async def test_an_hour_that_is_not_over_is_told_of_when_it_is_and_as_a_whole(looked):
    early, rest = Drawn(1, 100, NOON), Drawn(2, 300, NOON + timedelta(minutes=30))
    await looked.files.put(early.table("v1"))
    await looked.label(early, 100, wrong=True)
    await looked.evaluator.step()
    assert (await looked.kept())[NOON] == 100
    assert await looked.told("accuracy") == await looked.told("prediction_mean") == []

    await looked.files.put(rest.table("v1"))
    await looked.label(rest, 300)
    await looked.clock.advance((NOON + HOUR + SETTLE - looked.clock.now()).total_seconds())
    await looked.evaluator.step()
    assert await looked.told("accuracy") == [(NOON, 400, 0.75)]
    mean = np.concatenate([early.score, rest.score]).mean()
    assert await looked.told("prediction_mean") == [(NOON, 400, pytest.approx(mean))]


async def test_hours_that_nobody_looked_at_while_all_monitors_were_away_are_looked_at_later(looked):
    for hour in range(3):
        await looked.files.put(Drawn(hour, 50 + hour, NOON + hour * HOUR).table("v1"))
    await looked.clock.advance(5 * 3600)
    await looked.evaluator.step()
    assert [(start, rows) for start, rows, _ in await looked.told("prediction_mean")] == [
        (NOON + hour * HOUR, 50 + hour) for hour in range(3)
    ]


async def test_labels_that_come_late_for_an_old_hour_leave_the_calibration_by_a_later_one(looked):
    async def calibrated_on() -> int:
        found = await looked.performance.calibration("m", "v1")
        assert found is not None
        return found.rows

    old, new = Drawn(1, 400, NOON - 2 * HOUR), Drawn(2, 500, NOON - HOUR)
    for drawn in (old, new):
        await looked.files.put(drawn.table("v1"))
    await looked.label(new, 500)
    await looked.evaluator.step()
    assert await calibrated_on() == 500
    await looked.label(old, 400, wrong=True)
    await looked.evaluator.step()
    assert await calibrated_on() == 500

    newest = Drawn(3, 300, NOON)
    await looked.files.put(newest.table("v1"))
    await looked.label(newest, 300)
    await looked.evaluator.step()
    # Of all hours together, the older ones a little less.
    assert 1_190 <= await calibrated_on() < 1_200


async def test_measures_of_a_sampled_log_are_told_when_the_labels_of_what_was_sampled_are_there(looked):
    drawn = Drawn(4, 100, NOON)
    await looked.files.put(drawn.table("v1", probability=[0.25] * 100))
    await looked.label(drawn, 60)
    await looked.clock.advance(3600)
    await looked.evaluator.step()
    assert (await looked.kept()) == {NOON: 400}
    assert await looked.told("accuracy") == []
    await looked.label(drawn, 95)
    await looked.evaluator.step()
    assert await looked.told("accuracy") == [(NOON, 95, 1.0)]


async def test_a_category_that_no_text_of_the_database_can_hold_does_not_keep_its_hour_from_being_looked_at(looked):
    drawn = Drawn(3, 60, NOON)
    country = ["D\0E" if number % 2 else "AT" for number in range(60)]
    await looked.files.put(drawn.table("v1", **{"feature.features.country": country}))
    await looked.label(drawn, 60, wrong=True)
    await looked.clock.advance(2 * 3600)
    await looked.evaluator.step()
    assert (await looked.kept()) == {NOON: 60}

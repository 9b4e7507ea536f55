"""Estimates before labels come, on real stores: frozen, kept and read again, they follow features that have shifted."""

from uuid import UUID

import numpy as np
import pytest
from headrace_monitor.judge.performance.calculator import OutcomeJoiner, PerformanceCalculator, PerformanceQuery
from headrace_monitor.judge.performance.decisions.measures import measures
from headrace_monitor.judge.references.freezing_process import FreezingProcess
from headrace_monitor.record.outcomes.postgres import PostgresOutcomes

from tests.kit.monitor.drift import HOUR, START, Replica, features, parquet, plain_name

ROWS = 5_000


def drawn(rng, german):
    """Return rows of which a share is German, and which of them are fraud: of the Germans four times as many."""
    rows = features(rng, ROWS)
    is_german = rng.random(ROWS) < german
    rows["feature.country"] = np.where(is_german, "de", rng.choice(["fr", "it", "at"], ROWS)).astype(object)
    chance = rows["output.scores.fraud"] * np.where(is_german, 2.0, 0.5)
    return rows, (rng.random(ROWS) < chance).astype(int)


def logged(rows):
    return rows | {
        "prediction_id": [str(UUID(int=number)) for number in range(ROWS)],
        "row": [0] * ROWS,
        "version": ["v1"] * ROWS,
        "probability": [1.0] * ROWS,
        "prediction_score": rows["output.scores.fraud"].astype(float),
    }


async def test_accuracy_is_estimated_for_the_countries_that_there_are_now(log, registered, clock):
    rng = np.random.default_rng(11)
    reference, label = drawn(rng, 0.4)
    told = {plain_name(name): values for name, values in reference.items()} | {"outcome.label": label}
    registered.add("fraud", "v1", parquet(told))
    rows, truth = drawn(rng, 0.9)
    await log.add("fraud", "v1", START, logged(rows))
    replica = Replica(log, registered, clock, freeze=FreezingProcess(timeout_s=60))
    await replica.freezer.freeze_missing()

    joins = OutcomeJoiner(log.reader, PostgresOutcomes(log.database))
    calculator = PerformanceCalculator(joins, replica.performance, registered, replica.references)

    async def estimated(slice_by=""):
        found = await calculator.answer(PerformanceQuery("fraud", START, START + HOUR, slice_by=slice_by))
        by = next(group for group in found.groups if group.slice in ("", "de"))
        calibration = found.about["v1"].calibration
        said = measures(found.groups[by], threshold=None, calibration=calibration)
        return next(one for one in said if one.name == "estimated_accuracy")

    accuracy = float(np.mean((rows["prediction_label"] == "fraud") == (truth == 1)))
    whole, slice_of_it = await estimated(), await estimated("country")
    assert whole.value == pytest.approx(accuracy, abs=0.015)
    assert "as country are distributed now" in whole.note
    # Slices are not weighted.
    assert slice_of_it.note == ""
    assert (slice_of_it.value or 0) - accuracy > 0.02

"""Outcomes of dozens of models are all taken in one step, however few each of them has."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_monitor.judge.performance.arrivals import ArrivalProcessor
from headrace_monitor.record.log.contracts import VersionContract, version_contract
from headrace_monitor.record.outcomes.decisions.entities import Delays
from headrace_monitor.record.outcomes.decisions.merge import EntityKey, Outcome, OutcomeKey, ReportedOutcome
from headrace_monitor.record.outcomes.entity_joins import EntityJoins
from headrace_monitor.record.outcomes.metrics import OutcomeMetrics
from headrace_monitor.record.outcomes.postgres import PostgresOutcomes
from headrace_servicekit.clock import SystemClock
from prometheus_client import CollectorRegistry

from tests.kit.monitor.feature_log import FeatureLog, feature_log
from tests.kit.monitor.labelled import CONTRACT, NAMES, hours_ago
from tests.kit.monitor.log_files import Logged, prediction_ids, records

MODELS = [f"m{number}" for number in range(40)]
DELAYS = Delays(timedelta(0), timedelta(minutes=1))


class Contracts:
    """Every version predicts the same classes."""

    async def get(self, model: str, version: str) -> VersionContract:
        return version_contract(model, version, registry_pb2.ModelVersion(contract=CONTRACT))


@pytest.fixture
async def log(postgres_url, s3, tmp_path) -> AsyncIterator[FeatureLog]:
    """A log with two predictions of each model, and an outcome of each: of the prediction, and of its entity."""
    async with feature_log(postgres_url, s3, tmp_path) as opened:
        (tmp_path / "s3.credentials").write_bytes((tmp_path / "log.credentials").read_bytes())
        logged, outcomes = Logged(postgres_url, s3, tmp_path), PostgresOutcomes(opened.database)
        times = [hours_ago(2), hours_ago(2) + timedelta(seconds=1)]
        after = times[-1] + timedelta(minutes=1)
        ids = {model: prediction_ids(times, random.Random(model)) for model in MODELS}
        columns: dict[str, Any] = {"prediction_label": [*NAMES], "entity_id": ["ada", "grace"]}
        await logged.put(*(records(model, "v1", ids[model], times, **columns) for model in MODELS))
        for model in MODELS:
            reported = [
                ReportedOutcome(OutcomeKey(uuid.UUID(ids[model][0]), 0, "label"), Outcome(after, "cat")),
                ReportedOutcome(EntityKey("grace", 0, "label", after), Outcome(after, "cat"), timedelta(hours=1)),
            ]
            await outcomes.record(model, reported, "test", after)
        yield opened


async def count(log: FeatureLog, query: str) -> int:
    return await log.database.repeatable(lambda connection: connection.fetchval(f"select count(*) from {query}"))


async def test_one_step_joins_the_outcomes_of_entities_of_every_model(log: FeatureLog):
    joins = EntityJoins(log.database, log.reader, DELAYS, OutcomeMetrics(CollectorRegistry()), SystemClock())
    await joins.step()
    assert await count(log, "entity_outcomes where state = 'joined'") == len(MODELS)


async def test_one_step_counts_the_labels_of_every_model(log: FeatureLog):
    arrivals = ArrivalProcessor(
        *(log.database, log.reader, Contracts(), DELAYS, OutcomeMetrics(CollectorRegistry()), SystemClock()),
        evaluate_after=timedelta(0),
        run_length=1e5,
    )
    await arrivals.step()
    assert await count(log, "observations where signal = 'error_rate_change'") == len(MODELS)
    assert await count(log, "outcome_arrivals") == 0

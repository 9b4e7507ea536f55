"""A step that fails after it has claimed its work gives it back: it is done seconds later, not after the lease."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_monitor.judge.performance.arrivals import ArrivalProcessor
from headrace_monitor.judge.performance.calculator import OutcomeJoiner, PerformanceCalculator
from headrace_monitor.judge.performance.evaluator import HourEvaluator
from headrace_monitor.judge.performance.store import PerformanceStore
from headrace_monitor.judge.references.store import References
from headrace_monitor.record.log.contracts import VersionContract, version_contract
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.record.outcomes.decisions.entities import Delays
from headrace_monitor.record.outcomes.decisions.merge import EntityKey, Outcome, OutcomeKey, ReportedOutcome
from headrace_monitor.record.outcomes.entity_joins import EntityJoins
from headrace_monitor.record.outcomes.metrics import OutcomeMetrics
from headrace_monitor.record.outcomes.postgres import PostgresOutcomes
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.testing import FakeClock, eventually
from prometheus_client import CollectorRegistry

from tests.kit.monitor.drift import START, Replica, features, parquet, plain_name
from tests.kit.monitor.drift import Registered as Drifting
from tests.kit.monitor.feature_log import FeatureLog, feature_log
from tests.kit.monitor.labelled import CONTRACT, NAMES, Drawn, hours_ago
from tests.kit.monitor.log_files import Logged

DELAYS = Delays(timedelta(0), timedelta(minutes=1))
SOON_S = 20.0


class SlowRegistry:
    """A registry that does not answer in time while it is `slow`."""

    def __init__(self) -> None:
        self.slow = True

    async def get(self, model: str, version: str) -> VersionContract:
        if self.slow:
            raise Unavailable("the registry cannot be asked (DEADLINE_EXCEEDED)")
        return version_contract(model, version, registry_pb2.ModelVersion(contract=CONTRACT))


class AwayReader(Reader):
    """A log whose object store is `away`."""

    def __init__(self, log: FeatureLog) -> None:
        super().__init__(log.database, log.objects)
        self.away = True

    async def content(self, *args: Any, **kwargs: Any) -> bytes:
        if self.away:
            raise Unavailable("the object store cannot be reached")
        return await super().content(*args, **kwargs)


@pytest.fixture
async def log(postgres_url, s3, tmp_path) -> AsyncIterator[FeatureLog]:
    async with feature_log(postgres_url, s3, tmp_path) as opened:
        (tmp_path / "s3.credentials").write_bytes((tmp_path / "log.credentials").read_bytes())
        yield opened


async def count(log: FeatureLog, query: str) -> int:
    return await log.database.repeatable(lambda connection: connection.fetchval(f"select count(*) from {query}"))


async def fails(step: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(Unavailable):
        await step()


async def test_labels_that_failed_on_a_slow_registry_are_counted_seconds_after_it_answers(
    log, postgres_url, s3, tmp_path
):
    drawn, clock, registry = Drawn(1, 50, hours_ago(2)), SystemClock(), SlowRegistry()
    await Logged(postgres_url, s3, tmp_path).put(drawn.table("v1"))
    told = [
        ReportedOutcome(OutcomeKey(uuid.UUID(one), 0, "label"), Outcome(clock.now(), NAMES[label]))
        for one, label in zip(drawn.ids, drawn.truth, strict=True)
    ]
    await PostgresOutcomes(log.database).record("m", told, "test", clock.now())
    arrivals = ArrivalProcessor(
        *(log.database, log.reader, registry, DELAYS, OutcomeMetrics(CollectorRegistry()), clock),
        evaluate_after=timedelta(0),
        run_length=1e5,
    )
    await fails(arrivals.step)
    registry.slow = False

    async def counted() -> bool:
        await arrivals.step()
        return await count(log, "observations where signal = 'error_rate_change' and rows = 50") == 1

    await eventually(counted, within=SOON_S)
    assert await count(log, "outcome_arrivals") == 0


async def test_outcomes_of_entities_that_failed_on_the_object_store_are_joined_seconds_after_it_is_back(
    log, postgres_url, s3, tmp_path
):
    drawn, clock, reader = Drawn(2, 10, hours_ago(2)), SystemClock(), AwayReader(log)
    await Logged(postgres_url, s3, tmp_path).put(drawn.table("v1", entity_id=[f"e{n}" for n in range(10)]))
    seen = drawn.times[-1] + timedelta(minutes=1)
    told = [
        ReportedOutcome(EntityKey(f"e{n}", 0, "label", seen), Outcome(seen, "cat"), timedelta(hours=1))
        for n in range(10)
    ]
    await PostgresOutcomes(log.database).record("m", told, "test", clock.now())
    joins = EntityJoins(log.database, reader, DELAYS, OutcomeMetrics(CollectorRegistry()), clock)
    await fails(joins.step)
    reader.away = False

    async def joined() -> bool:
        await joins.step()
        return await count(log, "entity_outcomes where state = 'joined'") == 10

    await eventually(joined, within=SOON_S)


async def test_an_hour_that_failed_on_a_slow_registry_is_evaluated_seconds_after_it_answers(
    log, postgres_url, s3, tmp_path
):
    clock, registry = SystemClock(), SlowRegistry()
    await Logged(postgres_url, s3, tmp_path).put(Drawn(3, 50, hours_ago(3)).table("v1"))
    kept, joiner = PerformanceStore(log.database), OutcomeJoiner(log.reader, PostgresOutcomes(log.database))
    calculator = PerformanceCalculator(joiner, kept, registry, References(log.database))
    evaluator = HourEvaluator(log.database, joiner, calculator, kept, registry, clock)
    await fails(evaluator.step)
    registry.slow = False

    async def evaluated() -> bool:
        await evaluator.step()
        return await count(log, "performance_hours") == 1

    await eventually(evaluated, within=SOON_S)


async def test_files_that_failed_on_the_object_store_are_in_windows_seconds_after_it_is_back(log):
    reader, registered, rng = AwayReader(log), Drifting(), np.random.default_rng(4)
    log.reader = reader
    columns = features(rng, 500)
    registered.add("fraud", "v1", parquet({plain_name(name): values for name, values in columns.items()}))
    replica = Replica(log, registered, FakeClock(START))
    await log.add("fraud", "v1", START, features(rng, 500))
    await replica.freezer.freeze_missing()
    await fails(replica.deriver.catch_up)
    reader.away = False

    async def derived() -> bool:
        await replica.deriver.catch_up()
        return await count(log, "windows") > 0

    await eventually(derived, within=SOON_S)

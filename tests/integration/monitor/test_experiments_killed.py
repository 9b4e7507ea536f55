"""The monitor and PostgreSQL killed while an experiment runs: exact counts, clear states, evidence that goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from headrace.monitor.v1 import experiment_pb2, experiment_pb2_grpc, outcome_pb2, outcome_pb2_grpc
from headrace_servicekit.testing import eventually, free_port
from headrace_stack.components import postgres
from headrace_stack.settings import StackSettings

from tests.integration.monitor.test_experiments import NAME, experiment
from tests.kit.monitor.log_files import Logged, prediction_ids, records
from tests.kit.monitor.process import monitor_environment, monitor_process
from tests.kit.registry.service import memory_registry
from tests.kit.stores.servers import S3Store, kill_component

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(400)]

Request = experiment_pb2.AnalyseExperimentRequest
AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
METRICS = [{"name": "conversion"}, {"name": "reward", "kind": 2, "role": 3}]
ROUNDS = 4
# Of each arm in each round. With fewer than 200 nothing is said of effects.
UNITS = 250
WITHIN_S = 90.0


class World:
    """Two arms, and what became of their units: all of it is known here. acknowledged: outcomes by what they are of."""

    def __init__(self, log: Logged, start: datetime) -> None:
        self._log, self._start, self._draw = log, start, random.Random(23)
        self.units = {"control": set[str](), "new": set[str]()}
        self.converted: dict[str, set[str]] = {"control": set(), "new": set()}
        self.told: list[outcome_pb2.Outcome] = []

    async def answer(self, at: int) -> None:
        """Put a round of units into the log, the last hour's before the first's, some of them again."""
        for version, variant in (("v1", "control"), ("v2", "new")):
            units = [f"{variant}-{at}-{unit}" for unit in range(UNITS)]
            again = self._draw.sample(sorted(self.units[variant]), min(20, len(self.units[variant])))
            named = [*units, *again]
            self._draw.shuffle(named)
            times = [
                self._start + timedelta(milliseconds=10 * (ROUNDS - at), microseconds=n) for n, _ in enumerate(named)
            ]
            ids = prediction_ids(times, self._draw)
            await self._log.put(records("shop", version, ids, times, variant=variant, unit=named))
            self.units[variant] |= set(units)
            for prediction, unit in zip(ids, named, strict=True):
                if self._draw.random() < 0.3:
                    self.converted[variant].add(unit)
                    self.told.append(outcome_pb2.Outcome(prediction_id=prediction, kind="conversion", number=1))
                    self.told.append(outcome_pb2.Outcome(prediction_id=prediction, kind="reward", number=0.1))

    def delivered(self) -> list[outcome_pb2.Outcome]:
        """Return everything that was told so far, in another order: it is delivered again."""
        return self._draw.sample(self.told, len(self.told))

    def pause_s(self) -> float:
        return self._draw.uniform(0.0, 0.8)


async def insisted(call: Callable[[], Awaitable[Any]]) -> Any:
    """Return what a call answers at last; while a part is away it says so, and nothing else."""
    answers: list[Any] = []

    async def answered() -> bool:
        try:
            answers.append(await call())
        except grpc.aio.AioRpcError as error:
            if error.code() not in AWAY:
                raise
            return False
        return True

    await eventually(answered, within=WITHIN_S, every=0.2)
    return answers[-1]


class Monitored:
    """A monitor that is killed and started anew."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Any, Any, Any]]:
        """Run it; yields the process and stubs for experiments and outcomes."""
        async with monitor_process(self._environment, free_port()) as (process, channel):
            outcomes: Any = outcome_pb2_grpc.OutcomeServiceStub(channel)
            yield process, experiment_pb2_grpc.ExperimentServiceStub(channel), outcomes


async def tell(stub: Any, outcomes: list[outcome_pb2.Outcome]) -> None:
    for first in range(0, len(outcomes), 400):
        request = outcome_pb2.RecordOutcomesRequest(parent="models/shop", outcomes=outcomes[first : first + 400])
        answer = await insisted(lambda told=request: stub.RecordOutcomes(told, timeout=20))
        assert not answer.rejections


def counts(found: experiment_pb2.AnalyseExperimentResponse) -> dict[str, int]:
    return {one.variant: one.units for one in found.assigned}


def without_time(found: experiment_pb2.AnalyseExperimentResponse) -> experiment_pb2.AnalyseExperimentResponse:
    found.ClearField("time")
    for one in found.results:
        one.ClearField("summary")
        one.ClearField("days_to_go")
    return found


def forget(folder: Path) -> None:
    """Remove what is kept from one analysis to the next."""
    for path in folder.glob("headrace-experiments-*/*.duckdb"):
        path.unlink()


async def test_what_is_killed_between_and_during_analyses_costs_no_unit_and_no_evidence(
    own_postgres: StackSettings, own_url: str, s3: S3Store, tmp_path: Path
):
    async with memory_registry() as registry:
        settings = {"query_dir": tmp_path, "experiments_every_s": 1}
        monitored = Monitored(monitor_environment(own_url, s3, tmp_path, registry=registry.target, **settings))
        async with monitored.running() as (process, stub, _):
            made = experiment_pb2.CreateExperimentRequest(parent="models/shop", experiment=experiment(metrics=METRICS))
            await stub.CreateExperiment(made, timeout=20)
            # Whether the start was written before the kill, nobody knows: it is asked for again.
            starting = asyncio.ensure_future(
                stub.StartExperiment(experiment_pb2.StartExperimentRequest(name=NAME), timeout=20)
            )
            await asyncio.sleep(0)
            process.kill()
            await asyncio.gather(starting, return_exceptions=True)
        async with monitored.running() as (_, stub, _):
            again = experiment_pb2.StartExperimentRequest(name=NAME)
            started = (await insisted(lambda: stub.StartExperiment(again, timeout=20))).experiment
        world = World(Logged(own_url, s3, tmp_path), started.start_time.ToDatetime(UTC))
        for at in range(ROUNDS):
            async with monitored.running() as (process, stub, outcomes):
                await world.answer(at)
                analysing = asyncio.ensure_future(stub.AnalyseExperiment(Request(name=NAME), timeout=60))
                telling = asyncio.ensure_future(tell(outcomes, world.delivered()))
                await asyncio.wait([analysing], timeout=world.pause_s())
                if at % 2:
                    kill_component(own_postgres, postgres.NAME)
                    await telling
                else:
                    process.kill()
                    telling.cancel()
                await asyncio.gather(analysing, telling, return_exceptions=True)
            async with monitored.running() as (_, stub, outcomes):
                await tell(outcomes, world.delivered())
                found = await insisted(lambda s=stub: s.AnalyseExperiment(Request(name=NAME), timeout=60))
                assert counts(found) == {variant: len(units) for variant, units in world.units.items()}
                assert found.crossed_units == 0
                (click,) = [one for one in found.results if one.metric == "conversion"]
                rates = {variant: len(world.converted[variant]) / len(units) for variant, units in world.units.items()}
                assert (click.control_value, click.variant_value) == (
                    pytest.approx(rates["control"], rel=1e-12),
                    pytest.approx(rates["new"], rel=1e-12),
                )
        async with monitored.running() as (process, stub, _):
            asked = experiment_pb2.GetExperimentRequest(name=NAME)
            present = (await insisted(lambda: stub.GetExperiment(asked, timeout=20))).experiment
            assert (present.start_time, len(present.phases)) == (started.start_time, 1), "evidence goes on"
            ending = experiment_pb2.EndExperimentRequest(name=NAME, reason="enough")
            ended = asyncio.ensure_future(stub.EndExperiment(ending, timeout=20))
            kill_component(own_postgres, postgres.NAME)
            await asyncio.gather(ended, return_exceptions=True)
            process.kill()
        async with monitored.running() as (_, stub, _):
            one = (await insisted(lambda: stub.EndExperiment(ending, timeout=20))).experiment
            assert (one.state, one.end_reason) == (experiment_pb2.Experiment.STATE_ENDED, "enough")
            assert (await insisted(lambda: stub.EndExperiment(ending, timeout=20))).experiment == one
            kept = without_time(await insisted(lambda: stub.AnalyseExperiment(Request(name=NAME), timeout=60)))
            forget(tmp_path)
            whole = without_time(await insisted(lambda: stub.AnalyseExperiment(Request(name=NAME), timeout=60)))
            assert kept == whole, "what was kept through all of it is what the whole log says"

"""Experiments over a real log: clicks of units whose answers and outcomes lie in S3 and PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pytest
from headrace.monitor.v1 import experiment_pb2, experiment_pb2_grpc, outcome_pb2, outcome_pb2_grpc
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import AlreadyExists, InvalidArgument, NotFound, PreconditionFailed, ServiceError

from tests.kit.logged import Logged, prediction_ids, records
from tests.kit.monitor import Monitor, real_monitor
from tests.kit.registry import memory_registry

NAME = "models/shop/experiments/ranking"
UNITS = 2_000
Analysis = experiment_pb2.AnalyseExperimentResponse


def experiment(name: str = NAME, **changes: Any) -> experiment_pb2.Experiment:
    variants = [{"name": "control", "weight": 1}, {"name": "new", "weight": 1}]
    metrics = [{"name": "conversion", "relative_effect": 0.5}]
    return experiment_pb2.Experiment(**{"name": name, "variants": variants, "metrics": metrics, **changes})


@asynccontextmanager
async def asked(postgres_url: str, s3: Any, folder: Any) -> AsyncIterator[tuple[Monitor, Any]]:
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, folder, registry=registry.target, query_dir=folder) as monitor,
    ):
        yield monitor, experiment_pb2_grpc.ExperimentServiceStub(monitor.channel)


async def call(method: Any, request: Any) -> Any:
    try:
        return await method(request, timeout=30)
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from None


async def create(stub: Any, wanted: experiment_pb2.Experiment) -> experiment_pb2.Experiment:
    request = experiment_pb2.CreateExperimentRequest(parent="models/shop", experiment=wanted)
    return (await call(stub.CreateExperiment, request)).experiment


async def act(stub: Any, what: str, name: str = NAME, **fields: Any) -> Any:
    return await call(getattr(stub, what), getattr(experiment_pb2, f"{what}Request")(name=name, **fields))


async def answered(monitor: Monitor, log: Logged, start: datetime, rates: dict[str, float]) -> None:
    """Log one answer to each unit, right after the start, and tell the conversions of some."""
    draw, stub = random.Random(5), outcome_pb2_grpc.OutcomeServiceStub(monitor.channel)
    for at, (variant, rate) in enumerate(rates.items()):
        units = [f"{variant}-{unit}" for unit in range(UNITS)]
        times = [start + timedelta(microseconds=1 + at * UNITS + unit) for unit in range(UNITS)]
        ids = prediction_ids(times, draw)
        attributes = [[("country", ("AT", "DE")[unit % 2])] for unit in range(UNITS)]
        await log.put(records("shop", f"v{at + 1}", ids, times, variant=variant, unit=units, attributes=attributes))
        told = [
            outcome_pb2.Outcome(prediction_id=each, kind="conversion", number=1) for each in ids if draw.random() < rate
        ]
        request = outcome_pb2.RecordOutcomesRequest(parent="models/shop", outcomes=told)
        answer = await call(stub.RecordOutcomes, request)  # pyright: ignore[reportAttributeAccessIssue]
        assert not answer.rejections


async def test_the_better_variant_is_found_in_the_log(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        assert (await create(stub, experiment())).state == experiment_pb2.Experiment.STATE_DRAFT
        started = (await act(stub, "StartExperiment")).experiment
        start = started.start_time.ToDatetime(UTC)
        await answered(monitor, Logged(postgres_url, s3, tmp_path), start, {"control": 0.05, "new": 0.12})
        found = await act(stub, "AnalyseExperiment")
        assert (found.verdict, found.variant) == (Analysis.VERDICT_BETTER, "new")
        assert {one.variant: (one.units, one.expected) for one in found.assigned} == {
            "control": (UNITS, UNITS),
            "new": (UNITS, UNITS),
        }
        (result,) = found.results
        assert (result.finding, result.exact) == (Analysis.FINDING_BETTER, True)
        assert result.control_value == pytest.approx(0.05, abs=0.02)
        assert result.relative_low < 1.4 < result.relative_high
        assert "better than the control" in result.summary
        sliced = (await act(stub, "AnalyseExperiment", slice_by="country")).slices
        assert [(one.value, one.units) for one in sliced] == [("AT", UNITS), ("DE", UNITS)]
        assert {one.finding for part in sliced for one in part.results} == {Analysis.FINDING_BETTER}
        with pytest.raises(InvalidArgument, match="attribute") as refused:
            await act(stub, "AnalyseExperiment", slice_by="country'] or 1=1")
        assert [one.field for one in refused.value.violations] == ["slice_by"]
        ended = (await act(stub, "EndExperiment", reason="new is better")).experiment
        assert (ended.state, ended.end_reason) == (experiment_pb2.Experiment.STATE_ENDED, "new is better")
        assert (await act(stub, "AnalyseExperiment")).verdict == Analysis.VERDICT_BETTER


async def test_units_that_are_lost_are_found_before_any_effect_is_believed(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        variants = [{"name": "control", "weight": 45}, {"name": "new", "weight": 55}]
        await create(stub, experiment(variants=variants))
        start = (await act(stub, "StartExperiment")).experiment.start_time.ToDatetime(UTC)
        await answered(monitor, Logged(postgres_url, s3, tmp_path), start, {"control": 0.05, "new": 0.12})
        found = await act(stub, "AnalyseExperiment")
        assert found.verdict == Analysis.VERDICT_SHARES_WRONG
        assert found.sample_ratio_p < 1e-3
        assert "shares" in found.summary


async def test_an_experiment_without_traffic_says_that_nothing_is_known(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (_, stub):
        await create(stub, experiment())
        await act(stub, "StartExperiment")
        found = await act(stub, "AnalyseExperiment")
        assert found.verdict == Analysis.VERDICT_UNDECIDED
        assert [one.units for one in found.assigned] == [0, 0]
        (result,) = found.results
        assert (result.HasField("relative"), result.p) == (False, 1.0)
        assert "nothing to say yet" in result.summary


async def test_an_experiment_is_written_once_runs_alone_and_ends_once(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (_, stub):
        other = NAME.replace("ranking", "other")
        made = await create(stub, experiment())
        assert await create(stub, experiment()) == made
        await create(stub, experiment(other))
        assert (await act(stub, "StartExperiment")) == (await act(stub, "StartExperiment"))
        refusals: list[tuple[Any, type[ServiceError], str]] = [
            (create(stub, experiment(hypothesis="another")), AlreadyExists, "EXPERIMENT_EXISTS"),
            (act(stub, "StartExperiment", other), PreconditionFailed, "EXPERIMENT_RUNNING"),
            (act(stub, "AnalyseExperiment", other), PreconditionFailed, "EXPERIMENT_NOT_RUNNING"),
            (act(stub, "GetExperiment", other + "s"), NotFound, "EXPERIMENT_NOT_FOUND"),
        ]
        for attempt, kind, reason in refusals:
            with pytest.raises(kind) as refused:
                await attempt
            assert refused.value.reason == reason
        ramp = [{"name": "new", "weight": 3}, {"name": "control", "weight": 1}]
        ramped = (await act(stub, "ChangeShares", variants=ramp)).experiment
        assert [one.weight for one in ramped.phases[-1].variants] == [1, 3]
        listed = await call(stub.ListExperiments, experiment_pb2.ListExperimentsRequest(parent="models/shop"))
        assert [one.name for one in listed.experiments] == [other, NAME]
        await act(stub, "EndExperiment")
        await act(stub, "StartExperiment", other)
        with pytest.raises(PreconditionFailed) as ended:
            await act(stub, "StartExperiment")
        assert ended.value.reason == "EXPERIMENT_ENDED"

"""Experiments over a real log: clicks of units whose answers and outcomes lie in S3 and PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pyarrow
import pytest
from headrace.monitor.v1 import (
    alert_pb2,
    alert_pb2_grpc,
    experiment_pb2,
    experiment_pb2_grpc,
    outcome_pb2,
    outcome_pb2_grpc,
)
from headrace_monitor.alert.decisions.values import Webhook
from headrace_monitor.judge.experiments.decisions import definitions, events
from headrace_monitor.judge.experiments.store import ExperimentStore
from headrace_monitor.storage.schema import Database
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import AlreadyExists, InvalidArgument, NotFound, PreconditionFailed, ServiceError
from headrace_servicekit.outbox.webhooks import write_webhook
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import eventually
from headrace_statistics.experiments.design import Kind, Role

from tests.kit.monitor.alerting import ALLOWED, SECRET, Receiver
from tests.kit.monitor.log_files import Logged, prediction_ids, records
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import memory_registry

NAME = "models/shop/experiments/ranking"
UNITS = 2_000
Analysis = experiment_pb2.AnalyseExperimentResponse


def experiment(name: str = NAME, **changes: Any) -> experiment_pb2.Experiment:
    variants = [{"name": "control", "weight": 1}, {"name": "new", "weight": 1}]
    metrics = [{"name": "conversion", "relative_effect": 0.5}]
    return experiment_pb2.Experiment(**{"name": name, "variants": variants, "metrics": metrics, **changes})


@asynccontextmanager
async def asked(postgres_url: str, s3: Any, folder: Any, **settings: Any) -> AsyncIterator[tuple[Monitor, Any]]:
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, folder, registry=registry.target, query_dir=folder, **settings) as monitor,
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


async def test_what_came_of_it_is_had_over_time_as_a_page_and_as_units(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        often = {"name": "often_p95", "kind": 4, "quantile": 0.95, "outcome": "conversion", "role": 3}
        await create(stub, experiment(metrics=[{"name": "conversion"}, often], stratify_by="country"))
        start = (await act(stub, "StartExperiment")).experiment.start_time.ToDatetime(UTC)
        await answered(monitor, Logged(postgres_url, s3, tmp_path), start, {"control": 0.05, "new": 0.12})
        found = await act(stub, "AnalyseExperiment")
        assert [(one.metric, one.exact) for one in found.results] == [("conversion", True), ("often_p95", True)]
        points = (await act(stub, "GetExperimentHistory")).points
        for ours, theirs in zip(points[-1].results, found.results, strict=True):
            for each in (ours, theirs):  # what depends on the time of the look
                each.ClearField("summary")
                each.ClearField("days_to_go")
            assert ours == theirs
        assert [sum(one.units for one in point.assigned) for point in points] == [2 * UNITS] * len(points)
        units = await exported(stub)
        assert units.num_rows == len(set(units["unit"].to_pylist())) == 2 * UNITS
        assert set(units["stratum"].to_pylist()) == {"AT", "DE"}
        parts = [await exported(stub, parts=2, part=part) for part in (0, 1)]
        assert sum(part.num_rows for part in parts) == 2 * UNITS
        converted = [value for part in parts for value in part["metric.conversion"].to_pylist()]
        assert sum(converted) == sum(units["metric.conversion"].to_pylist()) > 0
        with pytest.raises(InvalidArgument) as refused:
            await exported(stub, parts=2, part=2)
        assert [one.field for one in refused.value.violations] == ["part"]


async def looked_at(postgres_url: str, time: datetime | None) -> None:
    """Say when experiments were last analysed without being asked."""
    async with Database(Address(postgres_url), size=1) as database:
        await database.migrate()
        async with database.transaction() as connection:
            await connection.execute("update experiments set look_time = $1", time)


async def test_webhooks_are_told_of_start_harm_and_stop_once_each_while_nobody_looks(postgres_url, s3, tmp_path):
    settings = {"experiments_every_s": 1, "webhook_allow": ALLOWED}
    async with asked(postgres_url, s3, tmp_path, **settings) as (monitor, stub), Receiver.started() as receiver:
        alerts = alert_pb2_grpc.AlertServiceStub(monitor.channel)
        webhook = alert_pb2.Webhook(name="webhooks/hook", url=receiver.url(), secret=SECRET)
        await call(alerts.PutWebhook, alert_pb2.PutWebhookRequest(webhook=webhook))  # pyright: ignore[reportAttributeAccessIssue]
        harm = {"name": "refunds", "outcome": "conversion", "role": 2, "lower_is_better": True, "margin": 0.1}
        await create(stub, experiment(metrics=[{"name": "clicks"}, harm]))
        # Whoever looks while only the control's units are in the log finds wrong shares.
        await looked_at(postgres_url, datetime.now(UTC) + timedelta(hours=1))
        start = (await act(stub, "StartExperiment")).experiment.start_time.ToDatetime(UTC)
        await answered(monitor, Logged(postgres_url, s3, tmp_path), start, {"control": 0.05, "new": 0.15})
        await looked_at(postgres_url, None)
        told = [f"headrace.experiment.{what}" for what in ("started", "guardrail_harmed", "stopped")]
        await eventually(lambda: receiver.types == told[:2], within=30)
        assert (await act(stub, "AnalyseExperiment")).verdict == Analysis.VERDICT_GUARDRAIL_HARMED
        ended = (await act(stub, "EndExperiment", reason="it harms", stopped=True)).experiment
        assert ended.stopped
        assert (await act(stub, "EndExperiment", reason="again")).experiment == ended
        await eventually(lambda: receiver.types == told, within=30)
        started, harmed, stopped = [one.json for one in receiver.received]
        assert {one["subject"] for one in (started, harmed, stopped)} == {NAME}
        assert (harmed["data"]["variant"], stopped["data"]["reason"]) == ("new", "it harms")


async def test_an_alarm_found_while_somebody_ends_the_experiment_is_told_to_nobody(postgres_url):
    """PagerDuty would keep its incident for ever: nothing comes after the end."""
    clicks = definitions.Metric("clicks", Kind.BINARY, Role.SUCCESS, "click")
    definition = definitions.Definition("", {"control": 1.0, "new": 1.0}, (clicks,))
    now = datetime.now(UTC)
    async with Database(Address(postgres_url), size=2) as database:
        await database.migrate()
        async with database.transaction() as connection:
            await write_webhook(connection, Webhook(name="hook", url="https://ops.test/", secret=SECRET), "ada")
        store = ExperimentStore(database)
        await store.create(definitions.Experiment("shop", "ranking", definition, "ada", now))
        analysed = await store.change("shop", "ranking", lambda one: definitions.started(one, now))
        await store.change("shop", "ranking", lambda one: definitions.ended(one, "enough", now))
        for _ in range(2):
            await store.report(analysed, events.Kind.GUARDRAIL_HARMED, "new harms", "new")
        async with database.transaction() as connection:
            told = await connection.fetch("select once from deliveries order by number")
    assert [row["once"] for row in told] == ["started", "ended"]


async def exported(stub: Any, **fields: int) -> pyarrow.Table:
    request = experiment_pb2.ExportExperimentUnitsRequest(name=NAME, **fields)
    try:
        pieces = [piece.arrow async for piece in stub.ExportExperimentUnits(request, timeout=30)]
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from None
    return pyarrow.ipc.open_stream(b"".join(pieces)).read_all()


async def test_an_experiment_goes_on_where_it_was_when_the_monitor_was_away(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (_, stub):
        await create(stub, experiment())
        started = (await act(stub, "StartExperiment")).experiment
    start, log = started.start_time.ToDatetime(UTC), Logged(postgres_url, s3, tmp_path)
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        assert (await act(stub, "StartExperiment")).experiment == started
        await answered(monitor, log, start, {"control": 0.05, "new": 0.12})
        before = await act(stub, "AnalyseExperiment")
    async with asked(postgres_url, s3, tmp_path) as (_, stub):
        after = await act(stub, "AnalyseExperiment")
        assert (after.assigned, after.sample_ratio_p) == (before.assigned, before.sample_ratio_p)
        (ours,), (theirs,) = after.results, before.results
        assert (ours.p, ours.relative) == (theirs.p, theirs.relative)


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

"""References and drift as callers see them: the whole service, a registry, real stores."""

from __future__ import annotations

import math
import uuid
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.registry.v1 import registry_pb2
from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc
from headrace_registry.artifacts.s3 import S3Blobs
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.s3 import Place
from headrace_servicekit.testing import eventually

from tests.kit.models.onnx_models import classifier
from tests.kit.monitor.drift import parquet
from tests.kit.monitor.predictions import batch, joined, report
from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry

NAME = "models/fraud/versions/v1"
BARE = "models/fraud/versions/v2"
Reference = monitor_pb2.Reference


def predictions(version: registry_pb2.ModelVersion, rows: int) -> telemetry_pb2.PredictionBatch:
    """Return predictions as a data plane reports them, all of this moment."""
    rng = np.random.default_rng(2)
    model, name = version.name.split("/")[1::2]
    scores = rng.dirichlet(np.ones(3), rows).astype(np.float32)
    return batch(
        {"features": rng.normal(size=(rows, 4)).astype(np.float32)},
        {"label": scores.argmax(axis=1), "probabilities": scores},
        model=model,
        version=name,
        every_us=1,
        group={"digest": version.digest},
    )


@asynccontextmanager
async def running(postgres_url, s3, folder):
    """Run everything with a version that has a reference and one that has none; yield the monitor and them."""
    credentials = folder / "registry.credentials"
    credentials.touch(0o600)
    credentials.write_text(
        f"[default]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n", encoding="utf-8"
    )
    values = np.random.default_rng(1).normal(size=(5_000, 4)).astype(np.float32)
    async with (
        S3Blobs(Place(s3.endpoint, s3.bucket, s3.region, credentials)) as blobs,
        memory_registry(blobs=blobs) as registry,
        real_monitor(
            *(postgres_url, s3, folder),
            registry=registry.target,
            registry_bucket=s3.bucket,
            window_s=10,
            derive_every_s=0.2,
            drift_settle_s=0,
            log_compact_every_s=0.2,
        ) as monitor,
    ):
        kind = registry_pb2.Artifact.TYPE_PARQUET
        sha256 = await registry.upload(parquet({"features": values}), kind)
        reference = registry_pb2.Artifact(name="reference.parquet", type=kind, sha256=sha256)
        with_reference = await registry.register("fraud", "v1", classifier(), files=[reference])
        without = await registry.register("fraud", "v2", classifier(seed=1))
        yield monitor, with_reference, without


@pytest.mark.long
async def test_a_reference_freezes_by_itself_and_its_windows_are_looked_at(postgres_url, s3, tmp_path):
    async with running(postgres_url, s3, tmp_path) as (running_monitor, with_reference, without):
        now = datetime.now(UTC)
        ingest: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(running_monitor.channel)
        process = uuid.uuid4()
        both = joined(predictions(with_reference, 800), predictions(without, 800))
        await ingest.ReportPredictions(report(both, process, 1), timeout=10)
        monitor: Any = monitor_pb2_grpc.MonitorServiceStub(running_monitor.channel)

        async def reference() -> Reference | None:
            with suppress(grpc.aio.AioRpcError):
                return (await monitor.GetReference(monitor_pb2.GetReferenceRequest(name=NAME), timeout=5)).reference
            return None

        frozen = await eventually(reference, within=30, every=0.2)
        assert frozen is not None
        assert frozen.source == Reference.SOURCE_ARTIFACT
        assert [(column.name, column.kind, column.rows) for column in frozen.columns] == [
            (f"features.{index}", "numeric", 5_000) for index in range(4)
        ]
        assert frozen.unfit[0].reason == "no such column in the file"

        # Windows are looked at from then on.
        later = report(predictions(with_reference, 800), process, 2)
        await ingest.ReportPredictions(later, timeout=10)

        async def looked_at() -> list[monitor_pb2.Drift]:
            asked = monitor_pb2.ListDriftRequest(parent=NAME)
            return list((await monitor.ListDrift(asked, timeout=5)).drifts)

        evaluations = await eventually(looked_at, within=60, every=0.2)
        assert evaluations[-1].name == f"{NAME}/drifts/1"
        assert evaluations[-1].rows in (800, 1600)
        assert evaluations[-1].severity == monitor_pb2.SEVERITY_NONE

        request = monitor_pb2.GetDriftRequest(name=NAME, range=around(now), level=0.01)
        answer = await monitor.GetDrift(request, timeout=5)
        assert answer.drift.rows in (800, 1600)
        asked_of = {each.column for each in answer.drift.reports if not each.inconclusive}
        assert asked_of == {f"features.{index}" for index in range(4)}

        # What is tolerated can be set, and what can be found is said.
        tolerated = monitor_pb2.SetDriftToleranceRequest(
            parent=NAME.partition("/versions")[0], column="features.0", test="ks", tolerance=0.02
        )
        await monitor.SetDriftTolerance(tolerated, timeout=5)
        listed = await monitor.ListDriftTolerances(monitor_pb2.ListDriftTolerancesRequest(parent=NAME), timeout=5)
        of = {(each.column, each.test): each for each in listed.tolerances}
        assert (of["features.0", "ks"].tolerance, of["features.0", "ks"].set) == (0.02, True)
        assert (of["features.1", "ks"].tolerance, of["features.1", "ks"].set) == (0.05, False)
        assert 0.02 < of["features.0", "ks"].detectable < of["features.1", "ks"].detectable
        answer = await monitor.GetDrift(request, timeout=5)
        used = {each.column: each.tolerance for each in answer.drift.reports if each.test == "ks"}
        assert (used["features.0"], used["features.1"]) == (0.02, 0.05)
        tolerated.ClearField("tolerance")
        await monitor.SetDriftTolerance(tolerated, timeout=5)

        # Bins of what was looked at.
        seen = answer.drift.range
        wanted = monitor_pb2.GetDistributionsRequest(name=NAME, range=seen)
        (*every,) = (await monitor.GetDistributions(wanted, timeout=5)).distributions
        assert {one.column for one in every} >= {f"features.{index}" for index in range(4)}
        one = next(one for one in every if one.column == "features.0")
        assert len(one.bins) == 10
        assert sum(each.window_share for each in one.bins) == pytest.approx(1, rel=1e-5)

        wanted.columns.append("features.9")
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await monitor.GetDistributions(wanted, timeout=5)
        assert unknown.value.code().name == "INVALID_ARGUMENT"
        assert "columns[0]: is 'features.9', and the reference has features.0, " in str(unknown.value.details())

        # A version without an artifact is held against a time of its own.
        asked = monitor_pb2.FreezeReferenceRequest(name=BARE, range=around(now))
        frozen = (await monitor.FreezeReference(asked, timeout=30)).reference
        assert (frozen.source, frozen.columns[0].rows) == (Reference.SOURCE_WINDOW, 800)


async def test_bad_questions_are_told_what_is_wrong(postgres_url, s3, tmp_path):
    async with running(postgres_url, s3, tmp_path) as (running_monitor, *_):
        monitor: Any = monitor_pb2_grpc.MonitorServiceStub(running_monitor.channel)

        async def answered(call: Any, request: Any) -> tuple[str, str]:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(request, timeout=20)
            return failed.value.code().name, from_rpc_error(failed.value).reason

        backwards = monitor_pb2.TimeRange(start_time=Timestamp(seconds=20), end_time=Timestamp(seconds=10))
        endless = monitor_pb2.TimeRange(start_time=Timestamp(seconds=0), end_time=Timestamp(seconds=10**10))
        past = monitor_pb2.TimeRange(end_time=Timestamp(seconds=-(10**18)))
        drift, freeze = monitor_pb2.GetDriftRequest, monitor_pb2.FreezeReferenceRequest
        listed, told = monitor_pb2.ListDriftRequest, monitor_pb2.GetDistributionsRequest
        refused, beyond = ("INVALID_ARGUMENT", "INVALID_ARGUMENT"), ("INVALID_ARGUMENT", "VALUE_OUT_OF_RANGE")
        for call, request, expected in (
            (monitor.GetDrift, drift(name=NAME), ("FAILED_PRECONDITION", "REFERENCE_NOT_FOUND")),
            (monitor.GetDrift, drift(name="models/nope/versions/v1"), ("NOT_FOUND", "VERSION_NOT_FOUND")),
            (monitor.GetDrift, drift(name="models/fraud"), refused),
            (monitor.GetDrift, drift(name=NAME, range=backwards), refused),
            (monitor.GetDrift, drift(name=NAME, range=endless), refused),
            (monitor.GetDrift, drift(name=NAME, range=past), beyond),
            (monitor.GetDrift, drift(name=NAME, level=math.nan), beyond),
            (monitor.GetDrift, drift(name=NAME, level=1.5), beyond),
            (monitor.GetReference, monitor_pb2.GetReferenceRequest(name=BARE), ("NOT_FOUND", "REFERENCE_NOT_FOUND")),
            (
                monitor.GetReference,
                monitor_pb2.GetReferenceRequest(name="models/nope/versions/v1"),
                ("NOT_FOUND", "VERSION_NOT_FOUND"),
            ),
            (monitor.FreezeReference, freeze(name=BARE), ("FAILED_PRECONDITION", "NO_REFERENCE_ARTIFACT")),
            (monitor.FreezeReference, freeze(name=f"{NAME}0"), ("NOT_FOUND", "VERSION_NOT_FOUND")),
            (
                monitor.FreezeReference,
                freeze(name=BARE, range=around(datetime.now(UTC))),
                ("FAILED_PRECONDITION", "TOO_FEW_PREDICTIONS"),
            ),
            (monitor.GetDistributions, told(name="models/fraud"), refused),
            (monitor.GetDistributions, told(name=NAME, columns=["x"] * 21), refused),
            (monitor.GetDistributions, told(name=NAME, columns=["x" * 257]), refused),
            (monitor.GetDistributions, told(name=NAME, range=backwards), refused),
            (monitor.GetDistributions, told(name=NAME), ("NOT_FOUND", "REFERENCE_NOT_FOUND")),
            (monitor.ListDrift, listed(parent=NAME, page_size=-1), beyond),
            (monitor.ListDrift, listed(parent=NAME, page_token="¤"), refused),
            (monitor.ListDrift, listed(parent=NAME, page_token="LTE="), refused),
        ):
            assert await answered(call, request) == expected, request


def around(now: datetime) -> monitor_pb2.TimeRange:
    begin, end = Timestamp(), Timestamp()
    begin.FromDatetime(now - timedelta(seconds=10))
    end.FromDatetime(now + timedelta(seconds=10))
    return monitor_pb2.TimeRange(start_time=begin, end_time=end)

"""KEDA's own contract, spoken by stubs that protoc makes of it: names and numbers are KEDA's, not ours."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc.aio import AioRpcError
from headrace.autoscaler.v1 import autoscaler_pb2, autoscaler_pb2_grpc
from headrace_servicekit.testing import eventually, free_port

from tests.integration.autoscaler.test_life import PARTS, environment
from tests.kit.autoscaler.fake_fleet import fake_fleet
from tests.kit.autoscaler.pools import message
from tests.kit.clients.commands import run
from tests.kit.stack.service_process import service_process

# kedacore/keda, pkg/scalers/externalscaler/externalscaler.proto
CONTRACT = """
syntax = "proto3";
package externalscaler;
service ExternalScaler {
  rpc IsActive(ScaledObjectRef) returns (IsActiveResponse);
  rpc StreamIsActive(ScaledObjectRef) returns (stream IsActiveResponse);
  rpc GetMetricSpec(ScaledObjectRef) returns (GetMetricSpecResponse);
  rpc GetMetrics(GetMetricsRequest) returns (GetMetricsResponse);
  rpc StreamMetricSpec(ScaledObjectRef) returns (stream GetMetricSpecResponse);
}
message ScaledObjectRef { string name = 1; string namespace = 2; map<string, string> scalerMetadata = 3; }
message IsActiveResponse { bool result = 1; }
message GetMetricSpecResponse { repeated MetricSpec metricSpecs = 1; }
message MetricSpec { string metricName = 1; int64 targetSize = 2; double targetSizeFloat = 3; }
message GetMetricsRequest { ScaledObjectRef scaledObjectRef = 1; string metricName = 2; }
message GetMetricsResponse { repeated MetricValue metricValues = 1; }
message MetricValue { string metricName = 1; int64 metricValue = 2; double metricValueFloat = 3; }
"""


@pytest.fixture
async def keda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """The stubs of KEDA's contract: messages, and services."""
    (tmp_path / "externalscaler.proto").write_text(CONTRACT)
    made = await run(
        *(sys.executable, "-m", "grpc_tools.protoc", f"-I{tmp_path}", f"--python_out={tmp_path}"),
        *(f"--grpc_python_out={tmp_path}", "externalscaler.proto"),
    )
    assert made.exit_code == 0, made.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("externalscaler_pb2"), importlib.import_module("externalscaler_pb2_grpc")


async def test_a_client_of_kedas_contract_gets_every_method_right_also_while_metrics_are_missing(
    keda: tuple[Any, Any], postgres_url: str
):
    pb, services = keda
    port = free_port()
    async with fake_fleet() as (fleet, control):
        fleet.ready["default"], fleet.per_s["default"] = 1, 280.0
        settings = environment(postgres_url, port, control)
        async with service_process("headrace_autoscaler", settings, port, parts=PARTS) as (_, channel):
            ours: Any = autoscaler_pb2_grpc.AutoscalerServiceStub(channel)
            stub = services.ExternalScalerStub(channel)
            here = pb.ScaledObjectRef(name="batcher", namespace="headrace", scalerMetadata={"pool": "default"})
            with pytest.raises(AioRpcError) as unknown:
                await stub.GetMetricSpec(here, timeout=10)
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
            policy = message(interval=Duration(seconds=1))
            await ours.PutPolicy(autoscaler_pb2.PutPolicyRequest(policy=policy), timeout=10)

            (spec,) = (await stub.GetMetricSpec(here, timeout=10)).metricSpecs
            assert (spec.targetSize, spec.targetSizeFloat) == (1, 1.0)
            assert await anext(aiter(stub.StreamMetricSpec(here, timeout=10))) == pb.GetMetricSpecResponse(
                metricSpecs=[spec]
            )

            async def value() -> tuple[int, float]:
                request = pb.GetMetricsRequest(scaledObjectRef=here, metricName=spec.metricName)
                try:
                    (found,) = (await stub.GetMetrics(request, timeout=10)).metricValues
                except AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    return 0, 0.0
                assert found.metricName == spec.metricName
                return found.metricValue, found.metricValueFloat

            async def wants_three() -> bool:
                return await value() == (3, 3.0)

            await eventually(wants_three, within=30, every=0.2)
            assert (await stub.IsActive(here, timeout=10)).result
            assert (await anext(aiter(stub.StreamIsActive(here, timeout=10)))).result
            fleet.away = True
            for _ in range(3):
                assert (await stub.IsActive(here, timeout=10)).result
                assert await value() == (3, 3.0), "what nobody measures takes nothing away"
            with pytest.raises(AioRpcError) as wrong:
                await stub.IsActive(pb.ScaledObjectRef(name="batcher"), timeout=10)
            assert wrong.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "pool: default" in (wrong.value.details() or "")


@pytest.mark.faults
async def test_while_the_database_is_away_a_pool_is_active_and_its_metric_unavailable(keda: tuple[Any, Any]):
    pb, services = keda
    port, away = free_port(), f"127.0.0.1:{free_port()}"
    settings = environment(f"postgresql://nobody@{away}/autoscaler", port, away)
    async with service_process("headrace_autoscaler", settings, port, parts=()) as (_, channel):
        stub = services.ExternalScalerStub(channel)
        here = pb.ScaledObjectRef(name="batcher", namespace="headrace", scalerMetadata={"pool": "default"})
        assert (await stub.IsActive(here, timeout=30, wait_for_ready=True)).result
        with pytest.raises(AioRpcError) as refused:
            await stub.GetMetrics(pb.GetMetricsRequest(scaledObjectRef=here), timeout=30)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

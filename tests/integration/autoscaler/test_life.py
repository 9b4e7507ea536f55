"""`python -m headrace_autoscaler` over a real PostgreSQL, with a control plane that tests hold in their hand."""

from __future__ import annotations

import os
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc.aio import AioRpcError
from headrace.autoscaler.v1 import autoscaler_pb2, autoscaler_pb2_grpc, policy_pb2
from headrace.router.v1 import pool_demand_pb2, pool_demand_pb2_grpc
from headrace_servicekit.testing import eventually, free_port

from tests.kit.autoscaler.fake_fleet import fake_fleet
from tests.kit.autoscaler.pools import message
from tests.kit.stack.service_process import is_serving, service_process

PARTS = ("", "postgres", "headrace.autoscaler.v1.AutoscalerService")
Outcome = autoscaler_pb2.Outcome


def environment(url: str, port: int, control: str) -> dict[str, str]:
    told = {
        "DATABASE_URL": url,
        "PORT": str(port),
        "METRICS_PORT": "0",
        "DRAIN_NOTICE_S": "0.1",
        "CONTROL_TARGET": control,
    }
    return {"PATH": os.environ["PATH"], **{f"AUTOSCALER_{name}": value for name, value in told.items()}}


def stub_of(channel: grpc.aio.Channel) -> Any:
    return autoscaler_pb2_grpc.AutoscalerServiceStub(channel)


async def test_a_pool_is_scaled_from_its_policy_to_an_explained_decision(postgres_url: str):
    port = free_port()
    async with fake_fleet() as (fleet, control):
        fleet.ready["default"], fleet.per_s["default"] = 1, 280.0
        settings = environment(postgres_url, port, control)
        async with service_process("headrace_autoscaler", settings, port, parts=PARTS) as (_, channel):
            stub = stub_of(channel)
            policy = message(interval=Duration(seconds=1), max_replicas=5)
            put = (await stub.PutPolicy(autoscaler_pb2.PutPolicyRequest(policy=policy), timeout=10)).policy
            assert (put.min_replicas, put.max_replicas, put.preset, bool(put.etag)) == (1, 5, "headrace", True)

            async def decided() -> Any:
                pool = (await stub.ListPools(autoscaler_pb2.ListPoolsRequest(), timeout=10)).pools[0]
                return pool if pool.desired_replicas == 3 else None

            pool = await eventually(decided, within=30, every=0.2)
            assert (pool.name, pool.actuator, pool.replicas.ready) == ("pools/default", "recommend", 1)
            assert pool.decision.outcome.state == Outcome.STATE_NOT_ACTED
            explained = await stub.ExplainDecision(
                autoscaler_pb2.ExplainDecisionRequest(name="pools/default/decisions/latest"), timeout=10
            )
            signals = {signal.name: signal for signal in explained.decision.signals}
            assert signals["requests_per_s"].value == pytest.approx(280, rel=0.1)
            assert signals["gpu_utilisation"].HasField("value") is False
            assert [share.model for share in explained.decision.models] == ["digits"]
            assert explained.policy.revision == explained.decision.policy_revision == put.revision
            assert "digits" in " ".join(explained.decision.sentences)
            dry = await stub.DryRunPolicy(
                autoscaler_pb2.DryRunPolicyRequest(policy=message(max_replicas=2)), timeout=10
            )
            assert (dry.decision.desired_replicas, dry.policy.max_replicas, dry.decision.name) == (2, 2, "")
            replayed = [
                one.same async for one in stub.Replay(autoscaler_pb2.ReplayRequest(name="pools/default"), timeout=30)
            ]
            assert replayed
            assert all(replayed)
            paused = await stub.PausePool(
                autoscaler_pb2.PausePoolRequest(name="pools/default", reason="a test"), timeout=10
            )
            assert (paused.pool.paused, "a test" in paused.pool.pause_reason) == (True, True)


async def test_a_watch_sends_the_pool_then_again_after_each_decision(postgres_url: str):
    port = free_port()
    async with fake_fleet() as (fleet, control):
        fleet.ready["default"] = 1
        settings = environment(postgres_url, port, control)
        async with service_process("headrace_autoscaler", settings, port, parts=PARTS) as (_, channel):
            stub = stub_of(channel)
            with pytest.raises(AioRpcError) as unknown:
                await anext(aiter(stub.WatchPool(autoscaler_pb2.WatchPoolRequest(name="pools/default"), timeout=10)))
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
            policy = message(interval=Duration(seconds=1))
            await stub.PutPolicy(autoscaler_pb2.PutPolicyRequest(policy=policy), timeout=10)
            numbers = set()
            async for one in stub.WatchPool(autoscaler_pb2.WatchPoolRequest(name="pools/default"), timeout=60):
                numbers.add(one.pool.decision.name)
                if len(numbers) == 3:
                    break


async def test_of_two_writers_the_one_who_has_not_read_is_refused(postgres_url: str):
    port = free_port()
    async with fake_fleet() as (_, control):
        settings = environment(postgres_url, port, control)
        async with service_process("headrace_autoscaler", settings, port, parts=PARTS) as (_, channel):
            stub = stub_of(channel)

            async def put(*, validate_only: bool = False, **fields: Any) -> policy_pb2.ScalingPolicy:
                request = autoscaler_pb2.PutPolicyRequest(policy=message(**fields), validate_only=validate_only)
                return (await stub.PutPolicy(request, timeout=10)).policy

            assert (await put(validate_only=True)).revision
            assert not (await stub.ListPools(autoscaler_pb2.ListPoolsRequest(), timeout=10)).pools
            first = await put()
            assert (await put(etag=first.etag)).revision == first.revision, "the same again changes nothing"
            second = await put(etag=first.etag, max_replicas=9)
            for validate_only in (True, False):
                with pytest.raises(AioRpcError) as stale:
                    await put(etag=first.etag, max_replicas=10, validate_only=validate_only)
                assert stale.value.code() is grpc.StatusCode.ABORTED
            request = autoscaler_pb2.DeletePolicyRequest(name="pools/default/policy", etag=second.etag)
            await stub.DeletePolicy(request, timeout=10)
            await stub.DeletePolicy(autoscaler_pb2.DeletePolicyRequest(name="pools/default/policy"), timeout=10)
            with pytest.raises(AioRpcError) as gone:
                await stub.GetPolicy(autoscaler_pb2.GetPolicyRequest(name="pools/default/policy"), timeout=10)
            assert gone.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.faults
async def test_without_its_database_predictions_go_on_and_its_calls_are_unavailable():
    # Nothing listens where the database and the control plane should be.
    port = free_port()
    away = f"127.0.0.1:{free_port()}"
    settings = environment(f"postgresql://nobody@127.0.0.1:{free_port()}/autoscaler", port, away)
    async with service_process("headrace_autoscaler", settings, port, parts=()) as (_, channel):
        with pytest.raises(AioRpcError) as refused:
            await stub_of(channel).ListPools(autoscaler_pb2.ListPoolsRequest(), timeout=30, wait_for_ready=True)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not await is_serving(channel, "")


async def test_a_pool_that_requests_wait_for_is_started_only_where_its_policy_goes_to_zero(postgres_url: str):
    port = free_port()
    async with fake_fleet() as (_, control):
        settings = environment(postgres_url, port, control)
        async with service_process("headrace_autoscaler", settings, port, parts=PARTS) as (_, channel):
            stub = stub_of(channel)

            demand: Any = pool_demand_pb2_grpc.PoolDemandServiceStub(channel)

            async def awaited(pool: str = "default") -> pool_demand_pb2.AwaitPoolResponse:
                return await demand.AwaitPool(pool_demand_pb2.AwaitPoolRequest(pool=pool), timeout=10)

            assert not (await awaited()).starts, "nobody scales it"
            policy = message(interval=Duration(seconds=1), max_replicas=2)
            await stub.PutPolicy(autoscaler_pb2.PutPolicyRequest(policy=policy), timeout=10)
            assert not (await awaited()).starts
            zero = policy_pb2.ScaleToZero(after=Duration(seconds=5))
            policy = message(interval=Duration(seconds=1), min_replicas=0, max_replicas=2, scale_to_zero=zero)
            await stub.PutPolicy(autoscaler_pb2.PutPolicyRequest(policy=policy), timeout=10)
            told = await awaited()
            assert (told.starts, told.HasField("start_duration")) == (True, False), "no start was measured yet"
            former = channel.unary_unary("/headrace.autoscaler.v1.AutoscalerService/AwaitPool")
            assert await former(b"\n\x07default", timeout=10) == b"\x08\x01", "as a data plane of 0.1.0 asks"

            async def wanted() -> bool:
                pool = (await stub.ListPools(autoscaler_pb2.ListPoolsRequest(), timeout=10)).pools[0]
                return pool.desired_replicas == 1

            await eventually(wanted, within=30, every=0.2)
            held = autoscaler_pb2.PausePoolRequest(name="pools/default", reason="a test")
            await stub.PausePool(held, timeout=10)
            assert not (await awaited()).starts, "somebody holds it"
            with pytest.raises(AioRpcError) as refused:
                await awaited("No Pool")
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

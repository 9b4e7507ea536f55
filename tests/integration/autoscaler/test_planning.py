"""PlanningService of a real autoscaler: simulations and advice in processes of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from click.testing import CliRunner
from google.protobuf.duration_pb2 import Duration
from grpc.aio import AioRpcError
from headrace.autoscaler.v1 import planning_pb2, planning_pb2_grpc
from headrace_client.cli import main
from headrace_servicekit.testing import eventually, free_port

from tests.integration.autoscaler.test_life import environment
from tests.kit.autoscaler.fake_fleet import fake_fleet
from tests.kit.autoscaler.pools import message
from tests.kit.stack.service_process import service_process

Request = planning_pb2.SimulateRequest
SHAPES = planning_pb2.SimulateRequest.GeneratedRequests
SERVICE = planning_pb2.ServiceModel(replica_rps=500.0, starts=[Duration(seconds=45)], price_per_replica_hour=3.0)
STEP = SHAPES(shape=SHAPES.SHAPE_STEP, base=500.0, peak=6000.0, duration=Duration(seconds=1200))


@asynccontextmanager
async def planning(postgres_url: str, **settings: str) -> AsyncIterator[tuple[Any, asyncio.subprocess.Process, str]]:
    port = free_port()
    async with fake_fleet() as (_, control):
        told = environment(postgres_url, port, control) | {f"AUTOSCALER_{k}": v for k, v in settings.items()}
        async with service_process("headrace_autoscaler", told, port, parts=("", "postgres")) as (process, channel):
            yield planning_pb2_grpc.PlanningServiceStub(channel), process, f"127.0.0.1:{port}"


async def test_policies_are_simulated_side_by_side_with_their_course(postgres_url: str):
    policies = [
        planning_pb2.NamedPolicy(name="mine", own=message(max_replicas=20)),
        planning_pb2.NamedPolicy(name="theirs", known="knative"),
    ]
    request = Request(generated=STEP, policies=policies, service=SERVICE, series_interval=Duration(seconds=60))
    async with planning(postgres_url) as (stub, _, _):
        said = [one async for one in stub.Simulate(request, timeout=120)]
    results = [one.result for one in said if one.HasField("result")]
    done = [one.progress.done for one in said if one.HasField("progress")]
    assert [one.policy for one in results] == ["mine", "theirs"]
    assert done == sorted(done)
    assert 0.02 < results[1].violating_share < 0.2
    assert results[0].replica_hours > results[1].replica_hours
    assert results[0].cost == pytest.approx(3 * results[0].replica_hours)
    assert len(results[0].series) == 20
    assert results[0].series[-1].ready == 20.0
    assert results[0].series[-1].requests_per_second == pytest.approx(6000.0, rel=0.02)


async def test_advice_is_made_from_the_history_of_a_pool(postgres_url: str):
    async with planning(postgres_url) as (stub, _, address):
        with pytest.raises(AioRpcError) as unknown:
            await anext(aiter(stub.Advise(planning_pb2.AdviseRequest(name="pools/gpu", service=SERVICE), timeout=30)))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        await remembered(postgres_url)
        request = planning_pb2.AdviseRequest(name="pools/gpu", service=SERVICE, allowed_share=0.02)
        said = [one async for one in stub.Advise(request, timeout=240)]
        advice = said[-1].advice
        assert advice.proposals[0].result.violating_share <= 0.02
        assert advice.proposals[0].policy.name == "pools/gpu/policy"
        # Eight replicas for six hours, of which a third was busy with four.
        assert advice.idle.replica_hours == pytest.approx(48, rel=0.01)
        assert 30 < advice.idle.idle_replica_hours < 43
        assert advice.idle.suggested_replicas == 4
        assert any("without work" in sentence for sentence in advice.sentences)
        known = ("--capacity", "500", "--load-time", "45s")
        shown = await asyncio.to_thread(
            CliRunner().invoke,
            main,
            ["autoscale", "advise", "--pool", "gpu", "--allowed", "0.02", *known, "--address", address],
            env={"HEADRACE_TOKEN": "of-nobody"},
        )
        assert shown.exit_code == 0, shown.output
        assert advice.sentences[0] in " ".join(shown.stdout.split())
        simulated = Request(history=Request.PoolHistory(name="pools/gpu"), service=SERVICE)
        named = [one.result.policy async for one in stub.Simulate(simulated, timeout=240) if one.HasField("result")]
        assert named == ["headrace", "kubernetes", "knative", "threshold"]


async def test_no_more_run_than_may_and_one_that_nobody_hears_is_ended(postgres_url: str):
    long = SHAPES(shape=SHAPES.SHAPE_SURGES, base=500.0, peak=6000.0, duration=Duration(seconds=1_200_000))
    async with planning(postgres_url, MAX_SIMULATIONS="1") as (stub, process, _):
        first = stub.Simulate(Request(generated=long, service=SERVICE), timeout=120)
        await anext(aiter(first))
        with pytest.raises(AioRpcError) as refused:
            await anext(aiter(stub.Simulate(Request(generated=STEP, service=SERVICE), timeout=30)))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert workers(process.pid)
        first.cancel()
        await eventually(lambda: not workers(process.pid), within=20)

        async def another() -> bool:
            try:
                return bool([one async for one in stub.Simulate(Request(generated=STEP, service=SERVICE), timeout=60)])
            except AioRpcError:
                return False

        await eventually(another, within=20)


def workers(parent: int) -> list[int]:
    """Return the planning processes of a service."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if b"planning.worker" in _read(Path("/proc") / child / "cmdline")]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def remembered(postgres_url: str) -> None:
    """Write half a day of demand: 200 requests/s, in two hours of every six 2,000, for eight replicas."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(
            "insert into demand_minutes (pool, minute, metric, peak, mean, ready, samples) select 'gpu',"
            " date_trunc('minute', now()) - interval '1 minute' * (720 - minute), 'requests_per_s', mean, mean, 8, 12"
            " from (select minute, case when minute % 360 between 120 and 239 then 2000 else 200 end as mean"
            " from generate_series(0, 719) as minute) as course"
        )
    finally:
        await connection.close()

"""Monitors and PostgreSQL killed while reports flow: every answer is counted, and none twice."""

import asyncio
import random
from collections import Counter

import grpc
import pytest
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2_grpc
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually, free_port
from headrace_stack.components import postgres
from headrace_stack.testing import held_stack

from tests.kit.monitor.counting_plane import SendingPlane, key
from tests.kit.monitor.process import monitor_environment, monitor_process
from tests.kit.router.answer_sources import CACHE
from tests.kit.stores.servers import home_for_tests, kill_component, worker_name

pytestmark = pytest.mark.faults

KEYS = [key(), key(served_from=CACHE), key(version="v2"), key(code=14)]


async def test_what_was_answered_is_counted_once_whoever_is_killed(s3, tmp_path):
    rng, ports = random.Random(11), [free_port(), free_port()]
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    with held_stack(home_for_tests(f"postgres-{worker_name()}"), only=[postgres.NAME]) as server:
        url = postgres.url(server, "postgres")
        environment = monitor_environment(url, s3, tmp_path, registry="127.0.0.1:1")
        async with (
            monitor_process(environment, ports[0]) as (_, channel),
            grpc.aio.insecure_channel(f"127.0.0.1:{ports[1]}", options) as to_the_killed,
        ):
            stubs = [telemetry_pb2_grpc.TelemetrySinkServiceStub(one) for one in (channel, to_the_killed)]
            planes = [SendingPlane(name, lambda r: rng.choice(stubs).ReportCounters(r, timeout=5)) for name in "abc"]
            stopping = asyncio.Event()

            async def go_on(plane: SendingPlane) -> None:
                while not stopping.is_set():
                    await plane.step(rng, KEYS)

            flowing = [asyncio.create_task(go_on(plane)) for plane in planes]
            for _ in range(2):
                async with monitor_process(environment, ports[1]) as (killed, _):
                    await taken(planes)
                    killed.kill()
                await taken(planes)
            async with monitor_process(environment, ports[1]):
                kill_component(server, postgres.NAME)
                await eventually(lambda: any("STORE_UNAVAILABLE" in reasons(plane) for plane in planes), within=30)
                await taken(planes)
                stopping.set()
                await asyncio.gather(*flowing)
                for plane in planes:
                    await eventually(plane.report, within=30)
            assert set().union(*map(reasons, planes)) >= {"STORE_UNAVAILABLE", "UNAVAILABLE"}
            stub = monitor_pb2_grpc.TrafficServiceStub(channel)
            told = await stub.GetTraffic(monitor_pb2.GetTrafficRequest(parent="models/fraud"), timeout=10)
    counted = {(one.version, one.served_from, one.code): one.count for one in told.traffic}
    answered = sum((plane.answered for plane in planes), Counter())
    assert counted == {(one.version, one.served_from, one.code): n for one, n in answered.items()}
    assert told.dropped_predictions == sum(plane.dropped for plane in planes)


def reasons(plane: SendingPlane) -> set[str]:
    """Return why reports of a data plane were not acknowledged; of a monitor that is not there, the code."""
    found = [from_rpc_error(error) for error in plane.errors if isinstance(error, grpc.aio.AioRpcError)]
    assert len(found) == len(plane.errors), plane.errors
    assert {error.code for error in found} <= {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}
    return {error.reason for error in found}


async def taken(planes: list[SendingPlane]) -> None:
    """Return when each data plane was acknowledged something since now, several times."""
    before = [plane.acknowledged for plane in planes]
    await eventually(
        lambda: all(plane.acknowledged >= seen + 5 for plane, seen in zip(planes, before, strict=True)), within=30
    )

"""Head-room as the monitor and the control plane tell it, by gRPC."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.router.v1 import precomputed_pb2, precomputed_pb2_grpc, predict_pb2, route_pb2, route_pb2_grpc
from headrace_rollout.decisions.headroom import Room
from headrace_rollout.decisions.rollouts import State
from headrace_rollout.peers import Routes
from headrace_rollout.pool_costs import HeadRoom
from headrace_rollout.traffic import TrafficReader
from headrace_servicekit import client
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.testing import free_port

from tests.kit.rollout.rollouts import NOW, rollout

_From = predict_pb2.PredictResponse
MINUTES_S = 300.0


@dataclass
class Surroundings(
    route_pb2_grpc.RouteServiceServicer,
    precomputed_pb2_grpc.PrecomputedServiceServicer,
    monitor_pb2_grpc.TrafficServiceServicer,
):
    """A pool of one batcher that executes for half of the time, and what is counted and precomputed.

    traffic: answers by variant, version and source. entities: precomputed, by version.
    """

    traffic: dict[tuple[str, str, int], int] = field(default_factory=dict)
    entities: dict[str, int] = field(default_factory=dict)
    looks: Any = field(default_factory=itertools.count)

    async def ListBatchers(self, request: route_pb2.ListBatchersRequest, context: Any) -> Any:
        at = next(self.looks)
        found = route_pb2.Batcher(process="one", pool=request.pool)
        found.report_time.FromDatetime(NOW + timedelta(seconds=2 * at))
        held = found.versions.add(model="digits", version="v1", digest="d1")
        held.load.answered_requests = 1000 + 500 * at
        held.load.compute.FromTimedelta(timedelta(seconds=2 + at))
        leaving = route_pb2.Batcher(process="two", pool=request.pool, draining=True)
        return route_pb2.ListBatchersResponse(batchers=[found, leaving])

    async def ListPrecomputed(self, request: precomputed_pb2.ListPrecomputedRequest, context: Any) -> Any:
        found = precomputed_pb2.ListPrecomputedResponse()
        for version, count in self.entities.items():
            one = found.answers.add(version=version, condition=precomputed_pb2.PrecomputedAnswers.CONDITION_PRESENT)
            one.active.entity_count = count
        return found

    async def GetTraffic(self, request: monitor_pb2.GetTrafficRequest, context: Any) -> Any:
        found = monitor_pb2.GetTrafficResponse()
        for (variant, version, source), count in self.traffic.items():
            found.traffic.add(variant=variant, version=version, served_from=source, count=count)
        return found


@pytest.fixture
async def around() -> AsyncIterator[tuple[Surroundings, Any]]:
    """What is asked, and a channel to it."""
    asked, server = Surroundings(), grpc.aio.server()
    route_pb2_grpc.add_RouteServiceServicer_to_server(asked, server)
    precomputed_pb2_grpc.add_PrecomputedServiceServicer_to_server(asked, server)
    monitor_pb2_grpc.add_TrafficServiceServicer_to_server(asked, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with client.channel(f"127.0.0.1:{port}") as channel:
        yield asked, channel
    await server.stop(0)


def headroom(control: Any, monitor: Any) -> HeadRoom:
    return HeadRoom(Routes(control), TrafficReader(monitor, SystemClock()), SystemClock())


async def test_a_cold_version_is_measured_by_what_its_pool_did_between_two_reports(around):
    asked, channel = around
    asked.traffic = {
        ("production", "v1", _From.SERVED_FROM_ONLINE): 60_000,
        ("production", "v1", _From.SERVED_FROM_CACHE): 120_000,
        ("production", "v1", _From.SERVED_FROM_PRECOMPUTED): 120_000,
    }
    asked.entities = {"v1": 1000, "v2": 500}
    rooms = headroom(channel, channel)
    assert await rooms.of(rollout()) is None, "one look measures nothing"
    room = await rooms.measured(rollout())
    # Of 1,000 requests/s 200 are computed; half of what is precomputed for v1 is for v2 too.
    assert (room.rps, room.kept_share, room.extra_share) == (1000.0, pytest.approx(0.2), pytest.approx(0.6))
    assert room.pool is not None
    assert (room.pool.batchers, room.pool.busy) == (1, pytest.approx(0.5))
    assert room.pool.room_rps(0.8) == pytest.approx(0.3 / room.pool.request_s)


async def test_a_version_whose_cache_is_warm_asks_nothing_of_the_pool(around):
    asked, channel = around
    asked.traffic = {
        ("production", "v1", _From.SERVED_FROM_ONLINE): 60_000,
        ("production", "v1", _From.SERVED_FROM_CACHE): 120_000,
        ("rollout", "v2", _From.SERVED_FROM_ONLINE): 1_000,
        ("rollout", "v2", _From.SERVED_FROM_CACHE): 3_000,
        # Another rollout's, of which nothing is in the cache of this version.
        ("rollout", "v0", _From.SERVED_FROM_ONLINE): 9_000,
    }
    room = await headroom(channel, channel).of(rollout(state=State.RUNNING, step=0, share=0.05))
    assert room is not None
    assert (room.rps, room.kept_share, room.extra_share, room.pool) == (184_000 / MINUTES_S, 0.75, 0.0, None)
    assert next(asked.looks) == 0


async def test_what_nobody_says_limits_nothing(around):
    asked, channel = around
    asked.traffic = {("production", "v1", _From.SERVED_FROM_CACHE): 1000}
    async with client.channel(f"127.0.0.1:{free_port()}") as nowhere:
        assert await headroom(channel, nowhere).of(rollout()) == Room()
        assert await headroom(nowhere, channel).of(rollout()) == Room()
    unknown = rollout(baseline="v7")
    asked.traffic = {("production", "v7", _From.SERVED_FROM_CACHE): 1000}
    assert (await headroom(channel, channel).measured(unknown)).pool is None

"""Children that are started while calls are made: each becomes what it was started as."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.kit.deployment import topology

# Without its first line, one child in a hundred dies of gRPC's threads before it has begun.
PROGRAM = """
import headrace_servicekit
import asyncio, os
from collections import Counter

import grpc.aio
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 50),
           ("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]

async def ask(target):
    stub = health_pb2_grpc.HealthStub(grpc.aio.insecure_channel(target, OPTIONS))
    while True:
        try:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=0.5, wait_for_ready=True)
        except grpc.aio.AioRpcError:
            pass

async def main():
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    asking = [asyncio.create_task(ask(one)) for one in (target, target, target, "127.0.0.1:1")]
    codes = Counter()
    for _ in range(300):
        child = await asyncio.create_subprocess_exec("/bin/true", stdin=asyncio.subprocess.PIPE)
        codes[await child.wait()] += 1
    print(dict(codes), flush=True)
    os._exit(0)  # the calls that are open are nobody's

asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())
"""

# The data plane is a package that runs inside another service.
SERVICES = sorted({"headrace_router.data", *(one.package for one in topology.services().values() if one.package)})
# Prints how gRPC is told when it is first looked for; what comes after that is another test's.
WATCHED = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_ENABLE_FORK_SUPPORT"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Watch())
import {service}.__main__
"""


@pytest.mark.long
@pytest.mark.timeout(150)
def test_children_that_are_started_during_calls_do_not_die_of_grpc():
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "{0: 300}\n", done.stderr[-2000:]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_tells_grpc_so_before_it_is_imported(service: str):
    program = WATCHED.format(service=service)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "0\n", done.stderr

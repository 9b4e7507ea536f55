"""What counting costs: a monitor that two data planes report 500 changed series to, every second.

    .venv/bin/python -m benchmarks.counters [--planes 2] [--series 500] [--seconds 65]

Monitor and PostgreSQL run in processes of their own; CPU is of both. A series has a histogram of some 490 buckets, as a
log-normal duration makes one. One line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2_grpc
from headrace_servicekit.testing import free_port
from headrace_stack import snapshot
from headrace_stack.components import postgres
from headrace_stack.testing import held_stack

from benchmarks.measures.processes import families, usage
from tests.kit.monitor.counting_plane import CountingPlane, SeriesKey, key
from tests.kit.monitor.process import monitor_environment, monitor_process
from tests.kit.stores.servers import S3Store, home_for_tests

# It is not there: counting does not need it.
NO_S3 = S3Store("http://127.0.0.1:1", "none", "none", "none")
WARM_UP_S = 3


async def send(plane: CountingPlane, keys: list[SeriesKey], stub: Any, seconds: int, rng: random.Random) -> list[float]:
    """Report every second; return how long calls took."""
    loop, took = asyncio.get_running_loop(), []
    due = loop.time()
    for _ in range(seconds):
        for one in keys:
            plane.answer(one, rng.lognormvariate(-4, 1), 3)
        report, begun = plane.report(), time.perf_counter()
        await stub.ReportCounters(report, timeout=5)
        took.append(time.perf_counter() - begun)
        due += 1
        await asyncio.sleep(max(0.0, due - loop.time()))
    return took


async def measure(planes: int, series: int, seconds: int) -> dict[str, Any]:
    """Return what the monitor and PostgreSQL used."""
    rng = random.Random(1)
    keys = [key(f"model-{number // 10}", f"v{number % 10}") for number in range(series)]
    reporting = [CountingPlane(f"plane-{number}") for number in range(planes)]
    for plane in reporting:
        for one in keys:
            for _ in range(150):
                plane.answer(one, rng.lognormvariate(-4, 1), rng.randint(1, 500))
    with (
        tempfile.TemporaryDirectory() as folder,
        held_stack(home_for_tests("postgres-benchmark"), only=[postgres.NAME]) as server,
    ):
        environment = monitor_environment(postgres.url(server, "postgres"), NO_S3, Path(folder), registry="127.0.0.1:1")
        async with monitor_process(environment, free_port()) as (monitor, channel):
            stub = telemetry_pb2_grpc.TelemetrySinkServiceStub(channel)
            await asyncio.gather(*(send(plane, keys, stub, WARM_UP_S, rng) for plane in reporting))
            seen = snapshot.read(server.snapshot)
            assert seen is not None
            heads = {one.name: one.process.pid for one in seen.components if one.process is not None}
            processes = families({"monitor": monitor.pid, **heads})
            before, begun = usage(processes), time.monotonic()
            took = await asyncio.gather(*(send(plane, keys, stub, seconds, rng) for plane in reporting))
            lasted, after = time.monotonic() - begun, usage(processes)
            asked = time.perf_counter()
            traffic = monitor_pb2_grpc.TrafficServiceStub(channel)
            await traffic.GetTraffic(monitor_pb2.GetTrafficRequest(parent="models/model-0"), timeout=10)
            asked = time.perf_counter() - asked
    calls = sorted(one for calls in took for one in calls)
    return {
        "report_kb": round(reporting[0].report().ByteSize() / 1000),
        "call_ms_p50": round(calls[len(calls) // 2] * 1000),
        "traffic_ms": round(asked * 1000),
        "cpu_share_of_a_core": {name: round((after[name].cpu_s - before[name].cpu_s) / lasted, 3) for name in before},
        "memory_mb": {name: round(one.memory_bytes / 1e6) for name, one in after.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--planes", type=int, default=2)
    parser.add_argument("--series", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=65, help="of reports; more than a minute has the turn of one")
    told = parser.parse_args()
    print(json.dumps(uvloop.run(measure(told.planes, told.series, told.seconds))))


if __name__ == "__main__":
    main()

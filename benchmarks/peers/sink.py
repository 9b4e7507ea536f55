"""A monitor that takes every report and keeps none, in a process of its own, for `benchmarks.hit --recording`.

Prints its address as one line; ends with its reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

import grpc.aio
from headrace.telemetry.v1 import telemetry_pb2


async def serve() -> None:
    """Serve until standard input ends. Messages are not decoded."""

    async def take(_message: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        return telemetry_pb2.ReportPredictionsResponse().SerializeToString()

    methods = {name: grpc.unary_unary_rpc_method_handler(take) for name in ("ReportPredictions", "ReportCounters")}
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.http2.max_ping_strikes", 0)])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("headrace.telemetry.v1.TelemetrySinkService", methods),)
    )
    print(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(grace=None)


@contextlib.contextmanager
def sink() -> Iterator[str]:
    """Run one; give its address."""
    command = [sys.executable, "-m", "benchmarks.peers.sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(serve())

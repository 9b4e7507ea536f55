"""What one gRPC message costs between two processes: on grpc.aio, and on the event loop itself.

    .venv/bin/python -m benchmarks.wire [--messages 3000]

A caller and an echo, one message of 300 bytes in flight. Prints a line for each pair of ends: half of a round trip on
a stream and the whole of a unary call, the median in microseconds, and what the caller's process spent on it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import numpy as np
import uvloop
from headrace_servicekit.http2.channel import Channel
from headrace_servicekit.http2.server import Http2Server

MESSAGE = bytes(300)
WARM_UP = 300
AIO, LOOP = "grpc.aio", "on-the-loop"


async def serve(kind: str) -> None:
    """Be the echo until killed; the port is the first line of output."""

    async def echo(messages: Any, context: Any) -> None:
        async for message in messages:
            await context.write(message)

    async def answer(message: bytes, _context: Any) -> bytes:
        return message

    methods = {
        "Converse": grpc.stream_stream_rpc_method_handler(echo),
        "Answer": grpc.unary_unary_rpc_method_handler(answer),
    }
    handler = grpc.method_handlers_generic_handler("echo.v1.Echo", methods)
    server: Any
    if kind == LOOP:
        server = Http2Server(max_message_bytes=1 << 20)
        port = server.bind("127.0.0.1", 0, None)
    else:
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
    server.add_generic_rpc_handlers((handler,))
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


async def timed(ask: Callable[[], Awaitable[object]], messages: int) -> tuple[float, float]:
    """Return the median latency of `ask` and the CPU of this process for each, in microseconds."""
    for _ in range(WARM_UP):
        await ask()
    took, cpu = [], time.process_time()
    for _ in range(messages):
        began = time.perf_counter()
        await ask()
        took.append(time.perf_counter() - began)
    return float(np.median(took)) * 1e6, (time.process_time() - cpu) / messages * 1e6


async def measure(caller: str, server: str, messages: int) -> str:
    """Return the line of one pair of ends."""
    command = (sys.executable, "-m", "benchmarks.wire", "--serve", server)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        address = f"127.0.0.1:{int(await process.stdout.readline())}"
        async with AsyncExitStack() as opened:
            channel: Any = Channel(address) if caller == LOOP else grpc.aio.insecure_channel(address)
            await opened.enter_async_context(channel)
            call = channel.stream_stream(
                "/echo.v1.Echo/Converse", request_serializer=bytes, response_deserializer=bytes
            )()
            answer = channel.unary_unary("/echo.v1.Echo/Answer", request_serializer=bytes, response_deserializer=bytes)

            async def round_trip() -> None:
                await call.write(MESSAGE)
                await call.read()

            stream_us, stream_cpu = await timed(round_trip, messages)
            unary_us, unary_cpu = await timed(lambda: answer(MESSAGE, timeout=10), messages)
            call.cancel()
    finally:
        process.kill()
        await process.wait()
    return (
        f"{caller:12} {server:12} message {stream_us / 2:5.0f} µs ({stream_cpu / 2:4.0f} µs of CPU)   "
        f"call {unary_us:5.0f} µs ({unary_cpu:4.0f} µs of CPU)"
    )


async def run(messages: int) -> None:
    print("caller       server")
    for caller, server in ((AIO, AIO), (LOOP, AIO), (AIO, LOOP), (LOOP, LOOP)):
        print(await measure(caller, server, messages), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--serve", choices=[AIO, LOOP], help=argparse.SUPPRESS)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(given.serve) if given.serve else run(given.messages))


if __name__ == "__main__":
    main()

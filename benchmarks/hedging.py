"""`python -m benchmarks.hedging`: latency with one slow replica of two, without and with hedging, and the extra load.

The two batchers are fakes: both answer in about 3 ms, but for one request in `--slow-one-in` of the second, which takes
`--slow-ms` longer. Requests come at random, `--rate` a second on average, the same ones in both runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc.aio
import uvloop
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.batchers.frames import Limits
from headrace_router.data.batchers.members import Target
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.batchers.work import Work
from headrace_router.data.tables.decisions.fallback_steps import Hedge
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import Behaviour, FakeBatcher
from tests.kit.router.fake_control import resolved_version

VERSION = resolved_version("digits", "v1")
OUTPUTS = bytes(40)
SERVICE_S = 0.003


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run came to. sent: requests that batchers got, by batcher."""

    latencies_s: list[float]
    sent: tuple[int, int]
    hedges: int

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the latencies."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def taking(rng: random.Random, slow_one_in: int, slow_s: float) -> Behaviour:
    """Return the behaviour of a batcher that is slow for one request in so many; 0 for none."""

    async def answer(_batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
        slow = slow_one_in and rng.randrange(slow_one_in) == 0
        await asyncio.sleep(SERVICE_S * rng.uniform(0.7, 1.3) + (slow_s if slow else 0.0))
        return batcher_pb2.InferResponse(id=request.id, outputs=OUTPUTS, queue_us=0, compute_us=3000)

    return answer


@contextlib.asynccontextmanager
async def pool_of(*batchers: FakeBatcher) -> AsyncIterator[Pools]:
    """Run a pool of these batchers, connected to all."""
    loop = asyncio.get_running_loop()

    async def resolve(_target: Target) -> list[str]:
        return [batcher.target for batcher in batchers]

    pools = Pools(
        {"default": (Target("batchers", 1),)},
        connect=lambda address, _target: grpc.aio.insecure_channel(address),
        limits=Limits(),
        retry_share=0.2,
        resolve_every_s=5.0,
        rng=random.Random(1),
        loop=loop,
        resolve=resolve,
    )
    running = asyncio.create_task(pools.run())
    try:
        await eventually(lambda: len(pools.endpoints.of("default", VERSION.digest).usable) == len(batchers))
        yield pools
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def run(options: argparse.Namespace, hedge: Hedge | None) -> RunResult:
    """Send the requests of one run and wait for all answers."""
    rng, loop, latencies = random.Random(7), asyncio.get_running_loop(), []
    async with FakeBatcher.serving([VERSION]) as good, FakeBatcher.serving([VERSION], process="fake-2") as slow:
        good.behave = taking(random.Random(2), 0, 0.0)
        slow.behave = taking(random.Random(3), options.slow_one_in, options.slow_ms / 1000)

        async def ask(pools: Pools) -> None:
            began = time.perf_counter()
            work = Work(
                loop.create_future(),
                pool="default",
                digest=VERSION.digest,
                rows=1,
                inputs=(bytes(16),),
                deadline=loop.time() + 10.0,
            )
            work.hedged = hedge
            pools.submit((work,))
            await work.answer
            latencies.append(time.perf_counter() - began)

        async with pool_of(good, slow) as pools, asyncio.TaskGroup() as asking:
            due = loop.time()
            for _ in range(options.requests):
                due += rng.expovariate(options.rate)
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                asking.create_task(ask(pools))
        return RunResult(latencies, (len(good.requests), len(slow.requests)), pools.hedges.sent)


def main() -> None:
    """Run both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=6000, help="of each run")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--slow-one-in", type=int, default=50, help="requests of the slow replica")
    parser.add_argument("--slow-ms", type=float, default=400.0, help="what those take longer")
    parser.add_argument("--delay-ms", type=float, help="when to hedge; the measured 95th percentile unless told")
    options = parser.parse_args()
    delay_s = options.delay_ms / 1000 if options.delay_ms is not None else None
    print(f"{'':>12} {'p50 ms':>8} {'p99 ms':>8} {'p99.9 ms':>9} {'hedges':>7} {'extra load':>11}  sent to good, slow")
    for name, hedge in (("no hedging", None), ("hedging", Hedge(delay_s))):
        seen = uvloop.run(run(options, hedge))
        extra = sum(seen.sent) / options.requests - 1
        print(
            f"{name:>12} {seen.quantile_ms(0.5):>8.1f} {seen.quantile_ms(0.99):>8.1f} {seen.quantile_ms(0.999):>9.1f} "
            f"{seen.hedges:>7} {extra:>11.1%}  {seen.sent[0]}, {seen.sent[1]}"
        )


if __name__ == "__main__":
    main()

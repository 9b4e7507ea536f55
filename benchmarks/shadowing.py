"""`python -m benchmarks.shadowing`: what a shadow that is quick, slow or dead does to the answers that callers get.

A whole data plane with a fake batcher that answers in about 3 ms. Copies of all requests go to a shadow that answers as
quickly, one second later, or never. Requests come at random, `--rate` a second on average; rounds with each shadow and
without one alternate, so that what else the machine does meets all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path

import uvloop
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import Behaviour, FakeBatcher, echoing
from tests.kit.monitor.fake_ingest import FakeIngest
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import V1, V2, digits_request, row
from tests.kit.router.fake_control import FakeControl, table

SHADOW = batcher_pb2.InferRequest.PRIORITY_SHADOW
SERVICE_S, SLOW_S = 0.003, 1.0
CASES = ("none", "quick", "slow", "dead")


class Copies:
    """How many copies there were. most: at most that a data plane waited for at a time."""

    def __init__(self) -> None:
        self.most = self.all = 0

    def of(self, case: str, rng: random.Random) -> Behaviour:
        """Return the behaviour of a batcher with a shadow of a kind."""

        async def answer(fake: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse | None:
            copy = request.priority == SHADOW
            self.all += copy
            if copy and case == "dead":
                return None
            await asyncio.sleep(SERVICE_S * rng.uniform(0.7, 1.3) + (SLOW_S if copy and case == "slow" else 0.0))
            return await echoing(fake, request)

        return answer


async def measured(plane: DataPlane, options: argparse.Namespace, seed: int, copies: Copies) -> list[float]:
    """Send the requests of one round and return how long each took."""
    rng, loop, took = random.Random(seed), asyncio.get_running_loop(), []

    async def ask(number: int) -> None:
        began = time.perf_counter()
        await plane.stub.Predict(digits_request(row(number, 0, 0, 0)), timeout=10)
        took.append(time.perf_counter() - began)

    due = loop.time()
    async with asyncio.TaskGroup() as asking:
        for number in range(round(options.rate * options.seconds)):
            due += rng.expovariate(options.rate)
            await asyncio.sleep(max(0.0, due - loop.time()))
            asking.create_task(ask(number))
            copies.most = max(copies.most, int(await plane.metric("headrace_router_shadow_in_flight")))
    return took


async def run(options: argparse.Namespace) -> dict[str, tuple[list[list[float]], Copies]]:
    """Run the rounds in turn; return by case what each round took, and what the shadow was sent."""
    found: dict[str, tuple[list[list[float]], Copies]] = {case: ([], Copies()) for case in CASES}
    generation = 0
    with tempfile.TemporaryDirectory() as folder:
        async with (
            FakeControl.serving() as control,
            FakeIngest.serving() as monitor,
            FakeBatcher.serving([V1, V2]) as batcher,
        ):
            control.put_table(table("digits", [V1, V2]))
            how = {"monitor_target": monitor.target, "grace_s": 0.3, "shadow_max_in_flight": options.in_flight}
            async with data_plane(control.target, {"default": [batcher.target]}, Path(folder), **how) as plane:
                for round_ in range(options.rounds + 1):
                    for case in CASES:
                        generation += 1
                        made = table("digits", [V1, V2], generation=generation)
                        if case != "none":
                            made.shadowing.variant, made.shadowing.share = 1, 1.0
                        control.put_table(made)
                        rounds, copies = found[case]
                        batcher.behave = copies.of(case, random.Random(round_))
                        await eventually(lambda wanted=generation: in_force(plane, wanted), within=20)
                        took = await measured(plane, options, round_, copies)
                        if round_:  # the first one warms up
                            rounds.append(took)
                        await eventually(lambda: idle(plane), within=30)
    return found


async def in_force(plane: DataPlane, generation: int) -> bool:
    """Return whether a data plane answers by a table."""
    return (await plane.stub.Predict(digits_request(row(0, 0, 0, 0)), timeout=10)).generation == generation


async def idle(plane: DataPlane) -> bool:
    """Return whether no copy is on its way any more."""
    return not await plane.metric("headrace_router_shadow_in_flight")


def quantile_ms(took: list[float], share: float) -> float:
    """Return a quantile of durations."""
    return 1000 * sorted(took)[min(len(took) - 1, int(share * len(took)))]


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of each shadow, after one that warms up")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--in-flight", type=int, default=64, help="the data plane's bound on copies")
    options = parser.parse_args()
    found = uvloop.run(run(options))
    without = [quantile_ms(took, 0.99) for took in found["none"][0]]
    print(f"{'shadow':>8} {'p50 ms':>8} {'p99 ms':>8} {'p99 / none':>24} {'copies':>8} {'at most at a time':>18}")
    for case, (rounds, copies) in found.items():
        p50, p99 = (statistics.median(quantile_ms(took, share) for took in rounds) for share in (0.5, 0.99))
        ratios = sorted(quantile_ms(took, 0.99) / other for took, other in zip(rounds, without, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{case:>8} {p50:>8.1f} {p99:>8.1f} {spread:>24} {copies.all:>8} {copies.most:>18}")


if __name__ == "__main__":
    main()

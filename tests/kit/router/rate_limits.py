"""Rate limits over several data planes, on a clock that only waiting moves.

seconds = admitted([90.0, 10.0], limit(per_s=100.0), seconds=20, seed=1)
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from headrace_router.data.rate_limits.decisions import bucket
from headrace_router.data.rate_limits.decisions.bucket import Rate
from headrace_router.data.rate_limits.decisions.limits import EVERY_MODEL, LEAST_BURST, RateLimit, RateLimits
from headrace_router.data.rate_limits.limiter import RateLimiter
from headrace_router.data.rate_limits.token_requests import TAKE
from headrace_router.outage import Outage
from headrace_servicekit.errors import ResourceExhausted

from tests.kit.router.virtual_time import virtual_loop


def limit(
    per_s: float = 10.0,
    *,
    burst: float | None = None,
    name: str = "l",
    client: str = "ada",
    model: str = EVERY_MODEL,
    shadow_mode: bool = False,
    outage: Outage = Outage.LOCAL,
) -> RateLimit:
    """Return a rate limit."""
    rate = Rate(per_s, max(LEAST_BURST, per_s) if burst is None else burst)
    return RateLimit(name, client, model, rate, shadow_mode, outage)


class SharedBuckets:
    """What Valkey is to data planes. takes_s: of a command, there and back. up: whether there is a connection.

    held: where it hangs, the commands that it does not answer. reply: in the place of every answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, takes_s: float = 0.0005) -> None:
        self._loop, self.takes_s, self.up, self.hangs = loop, takes_s, True, False
        self.full_at: dict[bytes, float] = {}
        self.commands = 0
        self.held: list[tuple[tuple[Any, ...], Callable[[list[Any] | None], object]]] = []
        self.reply: Any = None

    def ask(self, command: tuple[Any, ...], on_replies: Callable[[list[Any] | None], object]) -> bool:
        if not self.up:
            return False
        self.commands += 1
        if self.hangs:
            self.held.append((command, on_replies))
        else:
            self._loop.call_later(self.takes_s / 2, self._take, command, on_replies)
        return True

    def answer(self) -> None:
        """Answer what hangs."""
        held, self.held, self.hangs = self.held, [], False
        for command, on_replies in held:
            self._take(command, on_replies)

    def lose(self) -> None:
        """Lose the connection, with what it was to answer."""
        held, self.held, self.hangs, self.up = self.held, [], False, False
        for _, told in held:
            told(None)

    def _take(self, command: tuple[Any, ...], told: Callable[[list[Any] | None], object]) -> None:
        name, script, count, *rest = command
        assert (name, script) == ("EVAL", TAKE)
        keys, numbers = rest[:count], [float(number) for number in rest[count:]]
        reply: list[int] = []
        for at, key in enumerate(keys):
            per_s, burst, wanted = numbers[3 * at : 3 * at + 3]
            taken = bucket.take(Rate(per_s, burst), self.full_at.get(key, 0.0), int(wanted), self._loop.time())
            self.full_at[key] = taken.full_at
            reply += [taken.tokens, round(taken.next_s * 1e6)]
        self._loop.call_later(self.takes_s / 2, told, [self.reply or reply])


def admitted(
    demands: Sequence[float], held_to: RateLimit, *, seconds: int, seed: int, takes_s: float = 0.0005
) -> tuple[list[int], list[Counter[int]], int]:
    """Return how many requests came through in each second over all data planes, of each the same, and the commands.

    demands: requests a second of each data plane, at random times.
    """
    with asyncio.Runner(loop_factory=virtual_loop) as runner:
        return runner.run(_admitted(demands, held_to, seconds, seed, takes_s))


async def _admitted(
    demands: Sequence[float], held_to: RateLimit, seconds: int, seed: int, takes_s: float
) -> tuple[list[int], list[Counter[int]], int]:
    loop = asyncio.get_running_loop()
    buckets, begun, rng = SharedBuckets(loop, takes_s), loop.time(), random.Random(seed)
    by_plane = [Counter[int]() for _ in demands]

    async def ask(limiter: RateLimiter, counted: Counter[int]) -> None:
        try:
            waits = limiter.take("ada", "m")
            if waits is not None:
                await waits
        except ResourceExhausted:
            return
        counted[int(loop.time() - begun)] += 1

    async def plane(demand: float, counted: Counter[int]) -> None:
        limiter = RateLimiter(buckets, lambda: "i", processes=1, loop=loop)
        limiter.enforce(RateLimits([held_to]))
        async with asyncio.TaskGroup() as asking:
            while True:
                await asyncio.sleep(rng.expovariate(demand))
                if loop.time() - begun >= seconds:
                    return
                asking.create_task(ask(limiter, counted))

    async with asyncio.TaskGroup() as planes:
        for demand, counted in zip(demands, by_plane, strict=True):
            planes.create_task(plane(demand, counted))
    whole = [sum(counted[second] for counted in by_plane) for second in range(seconds)]
    return whole, by_plane, buckets.commands

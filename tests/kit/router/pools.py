"""Pools of batchers that the test holds in its hand, and works for them.

async with pools_of(batcher) as pools:
    (one,) = submitted(pools)
    answer = await one.answer
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
from headrace_router.data.batchers.admission import QueueLimits
from headrace_router.data.batchers.frames import Limits, Replica
from headrace_router.data.batchers.members import Target
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.batchers.work import Work
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.router.digits import ROW, V1


@contextlib.asynccontextmanager
async def pools_of(
    *batchers: FakeBatcher,
    limits: Limits | None = None,
    share: float = 0.2,
    wait: bool = True,
    more: list[str] | None = None,
    queue_limits: QueueLimits | None = None,
    resolve: Callable[[Target], Awaitable[list[str]]] | None = None,
    connect: Callable[[str, Target], Any] | None = None,
) -> AsyncIterator[Pools]:
    """Run a pool `default` of these batchers; `more` is a list of addresses that the test may change.

    resolve: in place of what gives all of these. connect: in place of grpc.aio's channels.
    """
    fixed = [batcher.target for batcher in batchers]

    async def both(_target: Target) -> list[str]:
        return [*fixed, *(more or ())]

    pools = Pools(
        {"default": (Target("batchers", 1),)},
        connect=connect or _by_grpc_aio,
        limits=limits or Limits(),
        retry_share=share,
        resolve_every_s=0.05,
        rng=random.Random(1),
        loop=asyncio.get_running_loop(),
        resolve=resolve or both,
        queue_limits=queue_limits,
    )
    running = asyncio.create_task(pools.run())
    try:
        if wait:
            await eventually(lambda: connected(pools) == len(batchers))
        yield pools
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _by_grpc_aio(address: str, _target: Target) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(
        address, options=[("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    )


def connected(pools: Pools) -> int:
    """Return how many batchers have announced digits v1."""
    return sum(replica.serves(V1.digest) for replica in pools.replicas["default"])


def replica_of(pools: Pools, batcher: FakeBatcher) -> Replica:
    """Return what pools know of a batcher."""
    return next(replica for replica in pools.replicas["default"] if replica.address == batcher.target)


def work(
    *, seconds: float = 5.0, digest: str = V1.digest, pool: str = "default", content: bytes = ROW, **more: Any
) -> Work:
    """Return a request to digits v1 that has so long; more: fields of Work."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    made = Work(loop.create_future(), pool=pool, digest=digest, rows=1, inputs=(content,), deadline=deadline)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def submitted(pools: Pools, count: int = 1, **fields: Any) -> list[Work]:
    """Give pools so many works at once."""
    works = [work(**fields) for _ in range(count)]
    pools.submit(works)
    return works


def where(one: Work) -> str:
    """Return the address of the replica that a work was sent to last."""
    assert one.current is not None
    return one.current.endpoint.replica.address


def number_of(one: Work) -> int:
    """Return the id of a work's latest attempt in frames."""
    assert one.current is not None
    return one.current.id


async def one_by_one(pools: Pools, count: int, **fields: Any) -> list[int]:
    """Return the codes of the answers to works that are sent one after the other."""
    codes = []
    for _ in range(count):
        (one,) = submitted(pools, **fields)
        codes.append((await one.answer).code)
    return codes

"""Pools that come and go while requests are answered, as a file says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from headrace_router.data.batchers.admission import QueueLimits
from headrace_router.data.batchers.members import PoolsFile, Target, Targets
from headrace_router.data.settings import parse_pools_file
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.router.pools import connected, pools_of, submitted


def target_of(batcher: FakeBatcher) -> Target:
    host, _, port = batcher.target.rpartition(":")
    return Target(host, int(port))


async def by_number(target: Target) -> list[str]:
    return [f"{target.host}:{target.port}"]


async def test_a_pool_that_is_added_gets_requests_and_one_that_is_removed_finishes_what_it_has(batcher, other):
    async with pools_of(batcher, resolve=by_number, wait=False) as pools:
        default, edge = (target_of(batcher),), (target_of(other),)
        pools.retarget({"default": default, "edge": edge})
        await eventually(lambda: any(replica.connected for replica in pools.replicas["edge"]))
        (one,) = submitted(pools, pool="edge")
        assert (await one.answer).code == 0
        assert other.requests
        pools.retarget({"default": default})
        await eventually(lambda: "edge" not in pools.replicas)
        (none,) = submitted(pools, pool="edge")
        assert isinstance(none.answer.exception(), Unavailable)
        await eventually(lambda: connected(pools) == 1)
        pools.retarget({"default": default, "edge": edge})
        await eventually(lambda: any(replica.connected for replica in pools.replicas["edge"]))
        (again,) = submitted(pools, pool="edge")
        assert (await again.answer).code == 0


async def test_other_names_count_at_once_and_not_with_the_next_resolution(batcher, other):
    async with pools_of(resolve=by_number, wait=False) as pools:
        pools.members._resolve_every_s = 3600
        pools.retarget({"default": (target_of(batcher),)})
        await eventually(lambda: connected(pools) == 1)
        pools.retarget({"default": (target_of(other),)})
        await eventually(lambda: [one.address for one in pools.replicas["default"]] == [other.target])


async def test_requests_to_an_empty_pool_wait_for_a_batcher_to_come(batcher):
    async with pools_of(resolve=by_number, wait=False, queue_limits=QueueLimits(timeout_s=10.0)) as pools:
        pools.retarget({"default": ()})
        await eventually(lambda: not pools.replicas["default"])
        (one,) = submitted(pools)
        pools.retarget({"default": (target_of(batcher),)})
        assert (await one.answer).code == 0


def replace(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(text)
    os.replace(partial, file)


async def test_a_file_counts_once_it_can_be_read_and_one_that_cannot_changes_nothing(tmp_path: Path):
    file, told = tmp_path / "pools", list[Targets]()
    followed = PoolsFile(file, parse_pools_file, told.append)
    await followed.follow()
    assert told == []
    replace(file, "default=127.0.0.1:1,127.0.0.1:2;edge=\n")
    await followed.follow()
    await followed.follow()
    first: Targets = {"default": (Target("127.0.0.1", 1), Target("127.0.0.1", 2)), "edge": ()}
    assert told == [first]
    for bad in ("", "default", "default=a", "default=a:1;default=a:2", "\x00", "x" * 2_000_000):
        replace(file, bad)
        await followed.follow()
    file.unlink()
    await followed.follow()
    assert told == [first]
    replace(file, "edge=127.0.0.1:3")
    await followed.follow()
    assert told[1:] == [{"edge": (Target("127.0.0.1", 3),)}]


def test_only_in_a_file_may_a_pool_be_empty():
    assert parse_pools_file("default=") == {"default": ()}
    with pytest.raises(ValueError, match="no pool"):
        parse_pools_file("")

"""Copies of log files: fetched once, bounded, and never taken from a query that reads them."""

import asyncio
import gc
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from headrace_monitor.record.log.files import LogFile
from headrace_monitor.record.query.cache import FileCache, query_folder, scratch_folder
from headrace_servicekit.errors import ResourceExhausted

NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)


def file(key: str, size_bytes: int = 40) -> LogFile:
    return LogFile(1, "digits", "v1", NOON, key, size_bytes, 1, 1, NOON, NOON, merged=False)


class Store:
    """Objects of 40 bytes; those called `gone` are gone."""

    def __init__(self) -> None:
        self.fetched: list[str] = []

    async def fetch(self, wanted: LogFile) -> bytes:
        self.fetched.append(wanted.object_key)
        await asyncio.sleep(0)
        if wanted.object_key == "gone":
            raise LookupError(wanted.object_key)
        return wanted.object_key.encode() * 40


async def test_two_queries_fetch_a_file_once_and_read_it_after_it_made_room_for_others(tmp_path: Path):
    store = Store()
    cache = FileCache(tmp_path, 100, store.fetch)
    async with query_folder(tmp_path) as one, query_folder(tmp_path) as two:
        await asyncio.gather(cache.link([file("a")], one), cache.link([file("a")], two))
        assert store.fetched == ["a"]
    async with query_folder(tmp_path) as three:
        (kept,) = await cache.link([file("a")], three)
        for key in ("b", "c"):
            async with query_folder(tmp_path) as other:
                await cache.link([file(key)], other)
        assert store.fetched == ["a", "b", "c"]
        assert kept.read_bytes() == b"a" * 40
    assert len(os.listdir(tmp_path)) == 2


async def test_the_least_recently_used_files_make_room(tmp_path: Path):
    store = Store()
    cache = FileCache(tmp_path, 100, store.fetch)
    for keys in ("a", "b", "a", "c", "a", "b"):
        async with query_folder(tmp_path) as folder:
            await cache.link([file(key) for key in keys], folder)
    assert store.fetched == ["a", "b", "c", "b"]


async def test_nothing_is_kept_of_files_beside_their_copies(tmp_path: Path):
    def locks() -> int:
        gc.collect()
        return sum(isinstance(one, asyncio.Lock) for one in gc.get_objects())

    cache, before = FileCache(tmp_path, 100, Store().fetch), locks()
    for keys in ("a", "a", "b", "b", "c", "c", "d", "d"):
        async with query_folder(tmp_path) as folder:
            await cache.link([file(keys)], folder)
    assert locks() == before


async def test_a_file_that_is_gone_is_told_and_more_than_one_query_may_read_is_refused(tmp_path: Path):
    store = Store()
    cache = FileCache(tmp_path, 100, store.fetch)
    async with query_folder(tmp_path) as folder:
        with pytest.raises(LookupError):
            await cache.link([file("a"), file("gone")], folder)
    async with query_folder(tmp_path) as folder:
        with pytest.raises(ResourceExhausted):
            await cache.link([file("a"), file("b"), file("c")], folder)


def test_what_a_killed_service_left_is_removed_and_what_a_running_one_has_is_not(tmp_path: Path):
    left = tmp_path / "headrace-monitor-left"
    left.mkdir()
    (left / "lock").touch()
    with scratch_folder(tmp_path) as first:
        assert not left.exists()
        with scratch_folder(tmp_path) as second:
            assert first.exists()
            assert second.exists()
    assert not list(tmp_path.iterdir())

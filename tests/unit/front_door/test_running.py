"""What becomes of an Envoy that ends, and of one that stays without being of use."""

import asyncio
import signal
from collections.abc import Iterable

import pytest
from front_door.running import End, ReadinessPolling, comes_back, run_envoy


@pytest.mark.parametrize(
    ("end", "again"),
    [
        pytest.param(End(-signal.SIGSEGV, True), True, id="a crash of one that worked"),
        pytest.param(End(-signal.SIGKILL, True), True, id="killed by somebody"),
        pytest.param(End(-signal.SIGSEGV, False), False, id="it never worked: the supervisor waits longer and longer"),
        pytest.param(End(1, True), False, id="it gave up by itself"),
        pytest.param(End(0, True), False, id="it was told to leave"),
        pytest.param(End(0, True, replaced=True), True, id="we ended it, for it was of no use any more"),
    ],
)
def test_an_envoy_that_crashed_comes_back(end: End, again: bool):
    assert comes_back(end) is again


class Scripted:
    """In Envoy's place: ready at once, and then as the script says; when that ends, somebody asks for a stop.

    starts: False for one that never gets ready.
    """

    def __init__(self, answers: Iterable[bool], stopping: asyncio.Event, *, starts: bool = True) -> None:
        self._answers, self._stopping, self._ended = iter(answers), stopping, asyncio.Event()
        self._starts, self.drained = starts, False

    async def wait(self) -> int:
        await self._ended.wait()
        return 0

    async def wait_until_ready(self) -> None:
        if not self._starts:
            await asyncio.Event().wait()

    async def watch_files(self) -> None:
        return

    async def is_ready(self) -> bool:
        answer = next(self._answers, None)
        if answer is None:
            self._stopping.set()
        return answer is not False

    async def drain_and_stop(self) -> None:
        self.drained = True
        self._ended.set()

    def kill(self) -> None:
        self._ended.set()


@pytest.mark.parametrize(
    ("answers", "starts"),
    [
        pytest.param([True] * 20, 1, id="always ready"),
        pytest.param([False, False, True] * 7, 1, id="never for long enough"),
        pytest.param([True, False, False, False], 2, id="once it is ready no more"),
    ],
)
async def test_an_envoy_that_stays_unready_is_drained_and_replaced(answers: list[bool], starts: int):
    stopping, scripts = asyncio.Event(), [answers]
    started: list[Scripted] = []

    async def start() -> Scripted:
        started.append(Scripted(scripts.pop() if scripts else [], stopping))
        return started[-1]

    async with asyncio.timeout(10):
        code = await run_envoy(start, stopping, ReadinessPolling(every_s=0.001, failed=3))  # pyright: ignore[reportArgumentType]
    assert (code, len(started)) == (0, starts)
    assert all(one.drained for one in started)


async def test_an_envoy_that_never_gets_ready_is_left_to_the_supervisor():
    stopping = asyncio.Event()
    scripted = Scripted([False] * 6, stopping, starts=False)

    async def start() -> Scripted:
        return scripted

    async with asyncio.timeout(10):
        looks = ReadinessPolling(every_s=0.001, failed=3, at_start=5)
        assert await run_envoy(start, stopping, looks) == 1  # pyright: ignore[reportArgumentType]
    assert scripted.drained
    assert not stopping.is_set()

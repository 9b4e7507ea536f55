"""What was read a moment ago is not read again, and nothing else is kept."""

from collections.abc import Awaitable, Callable

import pytest
from headrace_console.recent import KEPT_S, Recent
from headrace_servicekit.testing import FakeClock


def reading(value: int) -> Callable[[], Awaitable[int]]:
    async def read() -> int:
        return value

    return read


async def test_a_value_is_given_for_a_moment_to_whoever_may_see_it_and_to_nobody_else():
    clock = FakeClock()
    recent = Recent[int](clock.monotonic)
    assert await recent.get(("all", "digits"), reading(1)) == 1
    assert await recent.get(("all", "digits"), reading(2)) == 1
    assert await recent.get(("some", "digits"), reading(3)) == 3
    await clock.advance(KEPT_S)
    assert await recent.get(("all", "digits"), reading(4)) == 4


async def test_an_error_is_not_kept():
    async def fail() -> int:
        raise RuntimeError("away")

    recent = Recent[int](FakeClock().monotonic)
    with pytest.raises(RuntimeError):
        await recent.get("digits", fail)
    assert await recent.get("digits", reading(1)) == 1


async def test_what_is_older_than_a_moment_takes_no_room():
    clock = FakeClock()
    recent = Recent[int](clock.monotonic)
    for number in range(100):
        await recent.get(number, reading(number))
    await clock.advance(KEPT_S)
    await recent.get("another", reading(0))
    assert len(recent) == 1

"""Loops pause, back off, and end only when told to; the fake clock that tests them."""

import asyncio

import pytest
from headrace_servicekit.loops import delay_s, periodic, until
from headrace_servicekit.testing import FakeClock, eventually
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        pytest.param(0, 1.0, id="success waits the period"),
        pytest.param(1, 2.0, id="each failure doubles"),
        pytest.param(3, 8.0, id="and doubles"),
        pytest.param(50, 10.0, id="up to the limit"),
    ],
)
def test_the_pause_grows_with_failures(failures, expected):
    assert delay_s(failures, every_s=1.0, max_backoff_s=10.0, jitter=0.0, draw=0.5) == expected


def test_a_period_above_the_limit_is_kept_on_failure():
    assert delay_s(5, every_s=60.0, max_backoff_s=10.0, jitter=0.0, draw=0.5) == 60.0


@given(failures=st.integers(0, 1000), every_s=st.floats(0.0, 100), draw=st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_share(failures, every_s, draw):
    plain = delay_s(failures, every_s=every_s, max_backoff_s=30, jitter=0.0, draw=draw)
    drawn = delay_s(failures, every_s=every_s, max_backoff_s=30, jitter=0.1, draw=draw)
    assert plain * 0.9 <= drawn <= plain * 1.1 + 1e-12


class _Steps:
    """A step that is told when to fail, and remembers when it ran."""

    def __init__(self, clock: FakeClock, failures: set[int]) -> None:
        self.times: list[float] = []
        self._clock, self._failures = clock, failures

    async def __call__(self) -> None:
        self.times.append(self._clock.monotonic())
        if len(self.times) in self._failures:
            raise ConnectionError("store is down")


async def _run(failures: set[int], seconds: float) -> list[float]:
    clock = FakeClock()
    steps = _Steps(clock, failures)
    task = asyncio.create_task(periodic("toy", steps, every_s=1.0, clock=clock, jitter=0.0, max_backoff_s=4.0))
    await clock.advance(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return steps.times


async def test_a_loop_steps_at_once_and_then_every_period():
    assert await _run(set(), 3.5) == [0.0, 1.0, 2.0, 3.0]


async def test_a_failing_step_backs_off_and_recovers_to_the_period():
    assert await _run({1, 2, 3}, 12.0) == [0.0, 2.0, 6.0, 10.0, 11.0, 12.0]


async def test_until_yields_everything_of_a_source_that_ends():
    async def source():
        for number in range(3):
            yield number

    assert [item async for item in until(asyncio.Event(), source())] == [0, 1, 2]


async def test_until_ends_a_source_that_waits_for_ever_and_closes_it():
    stop, closed = asyncio.Event(), asyncio.Event()

    async def source():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    got: list[int] = []

    async def follow() -> None:
        async for item in until(stop, source()):
            got.append(item)  # noqa: PERF401 - each as it comes

    task = asyncio.create_task(follow())
    await eventually(lambda: got == [1])
    stop.set()
    await asyncio.wait_for(task, 2)
    assert closed.is_set()


async def test_until_raises_what_its_source_raises():
    async def source():
        yield 1
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        _ = [item async for item in until(asyncio.Event(), source())]


async def test_sleepers_wake_in_the_order_of_their_times():
    clock, woken = FakeClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3.0, 1.0, 2.0)]
    await clock.advance(2.5)
    assert woken == [(1.0, 1.0), (2.0, 2.0)]
    assert clock.sleepers == 1
    await clock.advance(0.5)
    await asyncio.gather(*tasks)
    assert (clock.monotonic(), (clock.now() - FakeClock().now()).total_seconds()) == (3.0, 3.0)


async def test_eventually_gives_up_with_the_last_failure_as_cause():
    def never() -> None:
        raise AssertionError("still zero")

    with pytest.raises(AssertionError, match=r"not so within 0\.05 s") as caught:
        await eventually(never, within=0.05)
    assert "still zero" in str(caught.value.__cause__)


async def test_eventually_lets_other_errors_through_at_once():
    def broken() -> None:
        raise KeyError("typo")

    with pytest.raises(KeyError, match="typo"):
        await eventually(broken, within=60)

"""Health of named components, and readiness as their conjunction."""

import asyncio

import pytest
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.health import NOT_SERVING, SERVICE_UNKNOWN, SERVING, Health, poll
from headrace_servicekit.testing import FakeClock, eventually

from tests.kit.rows import each


def test_a_process_is_not_serving_until_it_is_opened():
    health = Health()
    assert health.status("") == NOT_SERVING
    health.open()
    assert health.status("") == SERVING


def test_readiness_needs_every_required_component():
    health = Health()
    health.add("postgres")
    health.add("s3")
    health.open()
    health.set("postgres", True)
    assert (health.status(""), health.status("postgres"), health.status("s3")) == (NOT_SERVING, SERVING, NOT_SERVING)
    health.set("s3", True)
    assert health.status("") == SERVING
    health.set("postgres", False, "refused")
    assert health.status("") == NOT_SERVING
    assert health.components()["postgres"] == (False, "refused")


def test_a_component_that_is_not_required_does_not_cost_readiness():
    health = Health()
    health.add("valkey", required=False)
    health.open()
    assert (health.status(""), health.status("valkey")) == (SERVING, NOT_SERVING)


def test_a_registered_service_has_the_readiness_of_the_process():
    health = Health()
    health.add_service("headrace.toy.v1.ToyService")
    health.open()
    assert health.status("headrace.toy.v1.ToyService") == SERVING


def test_an_unknown_name_has_no_status():
    assert Health().status("nobody") is None


def test_drained_is_for_good():
    health = Health()
    health.add("postgres")
    health.open()
    health.drain()
    health.set("postgres", True)
    assert (health.status(""), health.status("postgres")) == (NOT_SERVING, NOT_SERVING)


def test_a_component_has_one_name_that_is_not_empty():
    health = Health()
    health.add("a")
    for name in ("a", ""):
        with pytest.raises(ValueError, match="health component"):
            health.add(name)


async def _follow(health: Health, name: str, seen: list) -> None:
    async for status in health.watch(name):
        seen.append(status)  # noqa: PERF401 - each as it comes


async def test_every_watcher_sees_each_change_also_after_another_has_left():
    health = Health()
    one, two = [], []
    leaving, staying = (asyncio.create_task(_follow(health, "", seen)) for seen in (one, two))
    await eventually(lambda: (one, two) == ([NOT_SERVING], [NOT_SERVING]))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    health.open()
    await eventually(lambda: two == [NOT_SERVING, SERVING])
    health.close()
    await asyncio.wait_for(staying, 2)
    assert one == [NOT_SERVING]


async def test_a_watched_name_that_appears_later_is_unknown_first():
    health, seen = Health(), []
    task = asyncio.create_task(_follow(health, "postgres", seen))
    await eventually(lambda: seen == [SERVICE_UNKNOWN])
    health.add("postgres")
    health.set("postgres", True)
    await eventually(lambda: seen[-1] == SERVING)
    health.close()
    await task


async def test_polling_follows_answers_and_errors_and_keeps_the_reason():
    health, clock = Health(), FakeClock()
    health.add("postgres")
    answers = iter([None, False, ConnectionError("refused"), True])

    async def probe():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    task = asyncio.create_task(poll(health, "postgres", probe, clock))
    seen = []
    for _ in range(4):
        await clock.advance(0.9)
        seen.append(health.components()["postgres"])
        await clock.advance(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert seen == [(True, ""), (False, "check answered no"), (False, "ConnectionError: refused"), (True, "")]


async def test_what_was_never_well_is_asked_sooner_and_what_was_once_each_second():
    health, clock, asked = Health(), FakeClock(), []
    health.add("postgres")

    async def probe() -> bool:
        asked.append(round(clock.monotonic(), 2))
        return len(asked) == 3

    task = asyncio.create_task(poll(health, "postgres", probe, clock))
    await clock.advance(4)
    await ended(task)
    assert asked == [0, 0.05, 0.15, 1.15, 2.15, 3.15]


async def test_what_stays_away_is_asked_each_second_in_the_end():
    health, clock, asked = Health(), FakeClock(), []
    health.add("postgres")

    async def probe() -> bool:
        asked.append(round(clock.monotonic(), 2))
        return False

    task = asyncio.create_task(poll(health, "postgres", probe, clock))
    await clock.advance(4)
    await ended(task)
    assert asked == [0, 0.05, 0.15, 0.35, 0.75, 1.55, 2.55, 3.55]


async def test_a_probe_that_never_answered_is_unhealthy_and_says_so():
    health = Health()
    health.add("postgres")
    task = asyncio.create_task(poll(health, "postgres", asyncio.Event().wait, FakeClock()))
    await eventually(lambda: health.components()["postgres"] == (False, "no answer within 1 s"), within=5)
    await ended(task)


SILENCE, REFUSAL = TimeoutError(), ConnectionError("refused")


def silent_pool() -> Exception:
    """An error of ours that stands for silence, as the pool of connections raises it."""
    error = Unavailable("did not answer in time")
    error.__cause__ = TimeoutError()
    return error


@each(
    "answers,healthy",
    [
        pytest.param([None, SILENCE], True, id="one silence after a good answer is slowness"),
        pytest.param([None, SILENCE, SILENCE], True, id="so are two"),
        pytest.param([None, SILENCE, SILENCE, SILENCE], False, id="three in a row are an outage"),
        pytest.param([None, *[silent_pool()] * 2], True, id="an error that stands for silence is silence"),
        pytest.param([None, *[silent_pool()] * 3], False, id="three of those are an outage"),
        pytest.param([None, SILENCE, SILENCE, None, SILENCE, SILENCE], True, id="an answer between begins anew"),
        pytest.param([None, REFUSAL], False, id="a refusal counts at once"),
        pytest.param([None, SILENCE, REFUSAL], False, id="a refusal after a silence counts at once"),
        pytest.param([None, REFUSAL, SILENCE], False, id="a silence makes nobody well"),
        pytest.param([SILENCE], False, id="nobody is well before the first answer"),
        pytest.param([None, False], False, id="a no counts at once"),
    ],
)
async def test_what_is_refused_counts_at_once_and_what_is_silent_counts_when_it_goes_on(answers: list, healthy: bool):
    health, clock = Health(), FakeClock()
    health.add("postgres")
    left, asked = list(answers), asyncio.Event()

    async def probe() -> object:
        if not left:
            asked.set()
            await asyncio.Event().wait()
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    task = asyncio.create_task(poll(health, "postgres", probe, clock))
    while not asked.is_set():
        await clock.advance(1)
    assert health.components()["postgres"][0] is healthy
    await ended(task)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

"""Inputs in quarantine are refused for ten minutes, and nobody else's."""

import asyncio

import pytest
from headrace_router.data.batchers.admission import MAX_INPUTS, REFUSED_S, Quarantine
from headrace_router.data.batchers.work import Work
from headrace_servicekit.testing import FakeClock


def work(*inputs: bytes, digest: str = "v1", **fields) -> Work:
    answer: asyncio.Future = asyncio.Future(loop=asyncio.get_running_loop())
    made = Work(answer, pool="default", digest=digest, rows=1, inputs=inputs, deadline=0.0)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def quarantine(clock: FakeClock) -> Quarantine:
    return Quarantine(clock.monotonic)


async def test_an_input_is_refused_until_its_time_is_over(quarantine: Quarantine, clock: FakeClock):
    quarantine.add(work(b"bad"))
    assert quarantine.refuses(work(b"bad"))
    await clock.advance(REFUSED_S - 1)
    assert quarantine.refuses(work(b"bad"))
    await clock.advance(1)
    assert not quarantine.refuses(work(b"bad"))
    assert (quarantine.refused, len(quarantine)) == (2, 0)


@pytest.mark.parametrize(
    ("inputs", "fields"),
    [
        pytest.param((b"good",), {}, id="other values"),
        pytest.param((b"ba", b"d"), {}, id="other tensors with the same bytes"),
        pytest.param((b"bad",), {"dims": (3,)}, id="another shape"),
        pytest.param((b"bad",), {"absent": (1,)}, id="another input left out"),
        pytest.param((b"bad",), {"digest": "v2"}, id="another version"),
    ],
)
async def test_nothing_else_is_refused(quarantine: Quarantine, inputs, fields):
    quarantine.add(work(b"bad"))
    assert not quarantine.refuses(work(*inputs, **fields))


async def test_the_oldest_are_let_go_when_there_are_too_many(quarantine: Quarantine):
    for number in range(MAX_INPUTS + 10):
        quarantine.add(work(b"%d" % number))
        quarantine.add(work(b"%d" % number))
    assert len(quarantine) == MAX_INPUTS
    assert not quarantine.refuses(work(b"9"))
    assert quarantine.refuses(work(b"10"))

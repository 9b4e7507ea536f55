"""When answers are looked for and kept at all: by whether requests of a version come back."""

from __future__ import annotations

import asyncio
import random
from itertools import count

import pytest
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.tables.decisions.repetition import LOOKUP_US, RecentKeys, Repetition

from tests.kit.router.fake_control import lookup
from tests.kit.router.lookup_bench import ONE, TWO, WINDOWS, Bench

SAMPLED, OTHER = b"key\0\0", b"key\1\0"


def after(*returned: bool, key: bytes = SAMPLED) -> Repetition:
    """Return what is known when keys came for the first time or came back, in this order."""
    repetition = Repetition()
    for one in returned:
        repetition.observe_key(key, returned=one)
    return repetition


class TestRepetition:
    def test_of_a_new_version_everything_may_come_back(self):
        assert not Repetition().skips_lookup(OTHER)

    def test_it_takes_many_keys_that_do_not_come_back_to_skip_look_ups(self):
        assert not after(*[False] * 58).skips_lookup(OTHER)
        assert after(*[False] * 60).skips_lookup(OTHER)

    def test_two_that_come_back_end_it(self):
        assert not after(*[False] * 1000, True, True).skips_lookup(OTHER)

    def test_one_key_in_sixteen_is_always_looked_up_and_alone_is_evidence(self):
        assert not after(*[False] * 1000).skips_lookup(SAMPLED)
        assert after(*[False] * 1000, key=OTHER).returning == 1.0

    def test_where_a_second_execution_costs_more_than_look_ups_save_they_go_on(self):
        repetition = after(*[False] * 200)
        repetition.returning = 0.01
        for _ in range(1000):
            repetition.observe_execution(int(LOOKUP_US / 0.01) * 8 * 2, 8)
        assert not repetition.skips_lookup(OTHER)

    @pytest.mark.parametrize(("share", "skips"), [(0.0, True), (0.01, True), (0.2, False), (0.6, False)])
    def test_the_share_that_comes_back_is_estimated(self, share: float, skips: bool):
        rng, repetition, skipped = random.Random(7), Repetition(), 0
        for number in range(4000):
            repetition.observe_key(SAMPLED, returned=rng.random() < share)
            skipped += number >= 200 and repetition.skips_lookup(OTHER)
        assert (skipped > 3000) if skips else (skipped < 60)


class TestRecentKeys:
    def test_a_key_is_first_once(self):
        keys = RecentKeys(100)
        assert [keys.first(b"one"), keys.first(b"two"), keys.first(b"one")] == [True, True, False]

    def test_the_last_keys_are_remembered_and_memory_is_bounded(self):
        keys = RecentKeys(100)
        assert all(keys.first(str(number).encode()) for number in range(1000))
        assert not any(keys.first(str(number).encode()) for number in range(900, 1000))
        assert keys.first(b"0")


async def seldom(**how) -> Bench:
    """Return a bench with a version of which hardly anything came back."""
    bench = Bench(**how)
    for number in count():
        if bench.resolved().variant.served.repetition.returning < 0.01:
            break
        await bench.fill(inputs=number.to_bytes(16, "big"))
    bench.online.submitted = bench.store.reads = 0
    bench.store.values.clear()
    return bench


def unsampled(bench: Bench) -> bytes:
    """Return inputs whose key is no evidence."""
    for number in count():
        inputs = (number + (1 << 60)).to_bytes(16, "little")
        resolved = bench.resolved(inputs)
        key = bench.lookup._cache_lookup(resolved, resolved.variant).key
        if key is not None and resolved.variant.served.repetition.skips_lookup(key):
            return inputs
    raise AssertionError


async def test_where_hardly_anything_comes_back_a_key_is_looked_up_and_kept_from_its_second_request():
    bench = await seldom()
    inputs = unsampled(bench)
    first = await bench.fill(ONE, inputs=inputs)
    assert (first.lookup_outcome, bench.store.reads, bench.store.values) == ("FIRST_REQUEST", 0, {})
    second = await bench.fill(TWO, inputs=inputs)
    assert (second.lookup_outcome, bench.store.reads, len(bench.store.values)) == ("MISS", 1, 1)
    third = await bench.find(inputs=inputs)
    assert (third.served_from, third.outputs) == (ServedFrom.CACHE, second.outputs)


async def test_of_many_who_ask_the_same_at_once_all_but_the_first_share_an_execution():
    bench = await seldom()
    inputs = unsampled(bench)
    asked = [bench.ask(inputs=inputs) for _ in range(20)]
    await bench.asked(2)
    bench.answer(ONE)
    assert {one.outputs for one in await asyncio.gather(*asked)} == {(await bench.find(inputs=inputs)).outputs}


async def test_when_requests_come_back_again_first_ones_are_looked_up_after_some_hundred():
    bench = await seldom()
    requests = 0
    for number in count(1 << 40):
        inputs = number.to_bytes(16, "big")
        if (await bench.fill(inputs=inputs)).lookup_outcome != "FIRST_REQUEST":
            await bench.find(inputs=inputs)
        else:
            await bench.fill(inputs=inputs)
        requests += 2
        if not bench.resolved().variant.served.repetition.skips_lookup(b"key\1\0"):
            break
    assert requests < 400


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"lookup": WINDOWS}, id="stale answers may be given"),
        pytest.param({"generation": 3}, id="answers are precomputed"),
    ],
)
async def test_routes_that_give_other_stored_answers_look_every_request_up(how):
    bench = Bench(**how)
    bench.resolved().variant.served.repetition.returning = 0.0
    for number in range(40):
        assert (await bench.fill(inputs=number.to_bytes(16, "big"))).lookup_outcome == "MISS"


async def test_what_a_caller_wants_of_a_certain_age_is_looked_up():
    bench = Bench(lookup=lookup(ttl=60))
    bench.resolved().variant.served.repetition.returning = 0.0
    for number in range(40):
        found = await bench.fill(inputs=number.to_bytes(16, "big"), max_age_s=5.0)
        assert found.lookup_outcome == "MISS"

"""What happens to Valkey while a data plane uses it: predictions go on, and it is used again when it is back."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from headrace.router.v1 import predict_pb2
from headrace.router.v1.control_pb2 import StoredAnswers
from headrace_router import stored_answers
from headrace_servicekit.testing import eventually, patience

from tests.kit.router.answer_sources import CACHE, ONLINE
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import V1, digits_request, row
from tests.kit.router.fake_control import INCARNATION, lookup, table
from tests.kit.router.lookup_bench import outputs
from tests.kit.stores.valkey_process import ValkeyProcess

# Nothing in memory: what is found is found in Valkey.
STORE_ALONE: dict[str, Any] = {"cache_ttl_s": 60.0, "cache_memory_bytes": 0}


def request(number: float):
    return digits_request(row(number, 2, 3, 4))


@pytest.fixture
async def plane(control, batcher, valkey, tmp_path):
    async with data_plane(
        control.target, {"default": [batcher.target]}, tmp_path, valkey_url=valkey.url, **STORE_ALONE
    ) as plane:
        await caches(plane)
        yield plane


async def caches(plane: DataPlane) -> None:
    """Return once an answer comes from Valkey."""

    async def found() -> bool:
        answers = [await plane.stub.Predict(request(-1), timeout=5) for _ in range(2)]
        return answers[-1].served_from == CACHE

    await eventually(found, within=20)


async def computed(plane: DataPlane, numbers: range) -> list[float]:
    """Ask for answers that nobody asked for before; each must be computed and right. Return how long each took."""
    took = []
    for number in numbers:
        began = time.monotonic()
        answer = await plane.stub.Predict(request(number), timeout=5)
        took.append(time.monotonic() - began)
        assert answer.served_from == ONLINE
        assert answer.raw_output_contents[0] == struct.pack("<f", number)
    return sorted(took)


@pytest.mark.faults
async def test_a_frozen_valkey_costs_a_few_milliseconds_and_no_error(plane, valkey):
    valkey.freeze()
    took = await computed(plane, range(100))
    assert took[50] < patience(0.25)  # a time-out of Valkey would be a second
    # Each of these is one wait of the timeout; all others go on at once.
    assert 1 <= await plane.metric("headrace_router_lookup_store_late_total") <= 10
    assert await plane.metric("headrace_router_lookup_misses_total", reason="STORE_UNAVAILABLE") >= 90
    await eventually(lambda: not plane.runtime.health.components()["valkey"][0], within=10)
    valkey.thaw()
    await caches(plane)


@pytest.mark.faults
async def test_a_valkey_that_stumbles_is_used_again_at_once(plane, valkey):
    valkey.freeze()
    await computed(plane, range(3))
    valkey.thaw()
    await caches(plane)
    assert plane.runtime.health.components()["valkey"][0]


@pytest.mark.faults
async def test_where_nothing_is_computed_a_valkey_that_stumbles_is_waited_for(plane, control, valkey):
    answers = [StoredAnswers(digest=V1.digest, precomputed_generation=7)]
    generation = control.put_table(table("digits", [V1], lookup=lookup(mode="BATCH"), kept=answers))
    key = stored_answers.precomputed_prefix(INCARNATION, V1.digest, 7) + b"ada"
    async with valkey.client() as client:
        await client.set(
            key, stored_answers.encode(key, stored_answers.Entry(int(time.time() * 1000), outputs(b"1234")))
        )
    await eventually(lambda: control.acknowledged.get("data-0") == generation)
    valkey.freeze()
    asked = asyncio.ensure_future(
        plane.stub.Predict(predict_pb2.PredictRequest(model="digits", entity_id="ada"), timeout=10)
    )
    await eventually(lambda: plane.metric("headrace_router_lookup_store_late_total"))
    valkey.thaw()
    assert (await asked).raw_output_contents[0] == b"1234"


@pytest.mark.faults
async def test_a_killed_valkey_costs_no_error_and_is_used_again_when_it_is_back_empty(plane, valkey):
    await valkey.kill()
    await computed(plane, range(50))
    assert await plane.metric("headrace_router_lookup_dropped_writes_total") >= 49
    await valkey.start()
    await caches(plane)


@pytest.mark.faults
async def test_a_kill_under_load_costs_no_request(plane, valkey):
    async def ask(number: int) -> int:
        return (await plane.stub.Predict(request(number), timeout=10)).served_from

    asked = [asyncio.ensure_future(ask(number % 400)) for number in range(800)]
    await valkey.kill()
    assert set(await asyncio.gather(*asked)) <= {ONLINE, CACHE}


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(lambda value: b"poison", id="other bytes"),
        pytest.param(lambda value: value[:-3], id="cut"),
        pytest.param(lambda value: value[:-1] + bytes([value[-1] ^ 1]), id="one bit"),
    ],
)
async def test_poisoned_bytes_are_computed_over(plane, valkey, batcher, poison: Callable[[bytes], bytes]):
    executed = len(batcher.requests)
    async with valkey.client() as client:
        (key,) = await client.keys("c:*")
        await client.set(key, poison(await client.get(key)), keepttl=True)
        answer = await plane.stub.Predict(request(-1), timeout=5)
        assert (answer.served_from, answer.raw_output_contents[0]) == (ONLINE, struct.pack("<f", -1))
    assert await plane.metric("headrace_router_lookup_poisoned_total") == 1
    assert len(batcher.requests) == executed + 1
    await caches(plane)


async def test_every_cached_answer_has_an_end_in_valkey(plane, valkey):
    await computed(plane, range(10))
    async with valkey.client() as client:

        async def written() -> list[bytes]:
            keys = await client.keys("c:*")
            return keys if len(keys) == 11 else []  # the ten, and the one by which the plane was known to cache

        for key in await eventually(written):
            assert 0 < await client.pttl(key) <= 60_000


@pytest.mark.faults
async def test_a_valkey_without_room_costs_no_error(plane, valkey):
    async with valkey.client() as client:
        await client.config_set("maxmemory", 1)
    await computed(plane, range(20))
    await eventually(lambda: plane.metric("headrace_router_lookup_store_errors_total"))


async def test_something_else_on_valkeys_port_costs_no_error(control, batcher, tmp_path):
    url = f"redis://{control.target}"
    async with data_plane(
        control.target, {"default": [batcher.target]}, tmp_path, valkey_url=url, **STORE_ALONE
    ) as plane:
        await computed(plane, range(20))
        assert not plane.runtime.health.components()["valkey"][0]


async def test_a_password_is_read_from_its_file(control, batcher, tmp_path):
    (tmp_path / "password").write_text("secret\n")
    async with ValkeyProcess.running(requirepass="secret") as valkey, data_plane(
        control.target, {"default": [batcher.target]}, tmp_path / "state", valkey_url=valkey.url,
        valkey_password_file=tmp_path / "password", **STORE_ALONE,
    ) as plane:  # fmt: skip
        await caches(plane)

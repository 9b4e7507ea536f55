"""Transactions: one after the other for one model, whole or not at all, numbered, remembered and heard of."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from headrace_registry.decisions.models import (
    Model,
    Stage,
    VersionRef,
)
from headrace_registry.storage.store import Outcome

from tests.kit.registry.contents import NOW, add_version, event, full_version, make_model, touch


async def test_two_versions_are_never_in_production(store):
    await make_model(store)
    for number in (2, 3):
        await add_version(store, full_version(version=f"v{number}", epoch=number))

    async def move_both() -> None:
        async with store.transaction() as transaction:
            await transaction.move(VersionRef("digits", "v2"), Stage.PRODUCTION)
            await transaction.move(VersionRef("digits", "v3"), Stage.PRODUCTION)

    with pytest.raises(Exception, match="production"):
        await move_both()
    assert await store.versions("digits", before=None, limit=10, stage=Stage.PRODUCTION) == []


async def test_a_transaction_that_raises_leaves_nothing(store):
    before = await store.position()

    async def change_and_fail() -> None:
        async with store.transaction() as transaction:
            await transaction.claim("ann", "1", b"f", NOW)
            model = await transaction.open_model("digits", NOW)
            await transaction.insert_version(full_version())
            await transaction.save(replace(model, epoch=1), [event(1)])
            raise LookupError

    with pytest.raises(LookupError):
        await change_and_fail()
    assert await store.model("digits") is None
    assert await store.position() == before
    async with store.transaction() as transaction:
        assert await transaction.claim("ann", "1", b"f", NOW) is None


async def test_a_transaction_that_only_validates_leaves_nothing(store):
    before = await store.position()
    async with store.transaction(validate_only=True) as transaction:
        model = await transaction.open_model("digits", NOW)
        await transaction.save(replace(model, epoch=1), [event(1)])
        assert await transaction.lock_model("digits") is not None, "within it the write is there"
    assert await store.model("digits") is None
    assert await store.position() == before


async def test_a_remembered_answer_comes_back_with_its_fingerprint(store):
    model = await make_model(store)
    outcome = Outcome(model, full_version())
    async with store.transaction() as transaction:
        assert await transaction.claim("ann", "1", b"\x00f", NOW) is None
        await transaction.remember("ann", "1", outcome)
    async with store.transaction() as transaction:
        answered = await transaction.claim("ann", "1", b"other", NOW)
        assert answered is not None
        assert (answered.fingerprint, answered.outcome) == (b"\x00f", outcome)
        assert await transaction.claim("bob", "1", b"f", NOW) is None


async def test_of_two_writes_with_one_request_id_the_second_waits_for_the_first_answer(store):
    model = await make_model(store)
    began, release = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with store.transaction() as transaction:
            assert await transaction.claim("ann", "1", b"f", NOW) is None
            began.set()
            await release.wait()
            await transaction.remember("ann", "1", Outcome(model))

    async def second() -> Outcome | None:
        async with store.transaction() as transaction:
            answered = await transaction.claim("ann", "1", b"f", NOW)
            return None if answered is None else answered.outcome

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first())
        await began.wait()
        waiting = tasks.create_task(second())
        release.set()
    assert waiting.result() == Outcome(model)


async def test_old_answers_are_forgotten_in_steps(store):
    model = await make_model(store)
    for number in range(5):
        async with store.transaction() as transaction:
            await transaction.claim("ann", str(number), b"f", NOW + timedelta(hours=number))
            await transaction.remember("ann", str(number), Outcome(model))
    assert await store.expire_requests(NOW + timedelta(hours=3), limit=2) == 2
    assert await store.expire_requests(NOW + timedelta(hours=3), limit=2) == 1
    assert await store.expire_requests(NOW + timedelta(hours=3), limit=2) == 0
    async with store.transaction() as transaction:
        assert await transaction.claim("ann", "3", b"f", NOW) is not None


async def test_numbers_of_changes_rise_and_states_carry_them(store):
    await make_model(store, "a")
    await make_model(store, "b")
    start = await store.position()
    await touch(store, "a")
    states = await store.changed_since(start.sequence, limit=10)
    assert [(state.model.name, state.sequence) for state in states] == [("a", start.sequence + 1)]
    assert (await store.position()).sequence == start.sequence + 1
    assert await store.changed_since(start.sequence + 1, limit=10) == []
    assert [state.model.name for state in await store.changed_since(0, limit=10)] == ["b", "a"]
    assert [state.model.name for state in await store.changed_since(0, limit=1)] == ["b"]
    assert [state.model.name for state in await store.states(after="", limit=10)] == ["a", "b"]
    assert [state.model.name for state in await store.states(after="a", limit=10)] == ["b"]


async def test_a_state_has_every_version_of_its_model(store):
    await make_model(store)
    await make_model(store, "other")
    versions = [full_version(version=f"v{number}", epoch=number) for number in (2, 3)]
    for version in versions:
        await add_version(store, version)
    (state,) = await store.states(after="", limit=1)
    assert state.versions == (versions[1], versions[0])
    assert (await store.states(after="digits", limit=1))[0].versions == ()


async def test_changes_of_one_model_wait_for_each_other_and_none_is_lost(store):
    await make_model(store)
    await asyncio.gather(*(touch(store, "digits") for _ in range(20)))
    model = await store.model("digits")
    assert model is not None
    assert model.epoch == 21
    assert len(await store.events("digits", before=None, limit=100)) == 21


async def test_making_one_model_twice_at_once_makes_it_once(store):
    async def make() -> int:
        async with store.transaction() as transaction:
            model = await transaction.open_model("digits", NOW)
            await transaction.save(replace(model, epoch=model.epoch + 1), [event(model.epoch + 1)])
            return model.epoch

    assert sorted(await asyncio.gather(*(make() for _ in range(10)))) == list(range(10))


async def test_a_locked_model_shows_what_was_written_while_its_lock_was_waited_for(store):
    await make_model(store)
    await add_version(store, full_version(version="v2", epoch=2))
    locked, release = asyncio.Event(), asyncio.Event()

    async def promote() -> None:
        async with store.transaction() as transaction:
            model = await transaction.lock_model("digits")
            assert model is not None
            locked.set()
            await release.wait()
            await transaction.move(VersionRef("digits", "v2"), Stage.PRODUCTION)
            await transaction.save(replace(model, epoch=3), [event(3)])

    async def look() -> Model | None:
        async with store.transaction() as transaction:
            return await transaction.lock_model("digits")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(promote())
        await locked.wait()
        looking = tasks.create_task(look())
        await asyncio.sleep(0.05)  # until it waits for the lock; the assertion holds either way
        release.set()
    seen = looking.result()
    assert seen is not None
    assert (seen.production, seen.epoch) == ("v2", 3)


async def test_a_change_wakes_those_who_listen(store):
    await make_model(store)
    wakes = store.wakes()
    await anext(wakes)
    woken = asyncio.ensure_future(anext(wakes))
    await touch(store, "digits")
    async with asyncio.timeout(5):
        await woken
    await wakes.aclose()


async def test_a_transaction_that_changes_nothing_takes_no_number(store):
    await make_model(store)
    before = await store.position()
    async with store.transaction() as transaction:
        await transaction.lock_model("digits")
    assert await store.position() == before

"""What a store keeps of routes: states, changes, entries, versions and requests."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from headrace_router.control.decisions import stored_answers
from headrace_router.control.decisions.states import Announcement, Ended, Kind, Outcome, Previous, Step, Writer
from headrace_router.control.decisions.stored_answers import AnswerState
from headrace_router.control.storage import documents
from headrace_router.control.storage.store import Conflict, Request, RequestUsed, Store, StoredVersion
from headrace_servicekit.coordination.feeds import heed
from headrace_servicekit.testing import eventually

from tests.kit.router.stored_routes import MINUTE, NOW, WRITER, activated, begun, change, incarnation_of, state


async def test_an_empty_store_has_an_incarnation_and_no_news(store: Store):
    news = await store.news(0, 0)
    assert UUID(news.incarnation)
    assert (news.newest_generation, news.records, news.entries) == (0, (), ())


async def test_everything_of_a_state_comes_back(store: Store):
    before = stored_answers.Origin("", "m4")
    earlier = (stored_answers.Precomputed(4, NOW, origin=before), stored_answers.Precomputed(6, NOW, NOW))
    origin = stored_answers.Origin("jobs/nightly/runs/7", "m7")
    counts = stored_answers.Precomputed(7, NOW, NOW + MINUTE, origin)
    kept = {"d1": AnswerState(2, counts, earlier, True, 9, 9), "d0": AnswerState(1)}
    known = replace(state(), previous=Previous("v0", "d0", NOW), kept=kept)
    first = await store.commit(None, Step(known, announcement=Announcement.NOT_SERVING), NOW)
    waits = change()
    second = await store.commit(first.revision, begun(known, waits), NOW)
    third = await store.commit(second.revision, activated(second.state, waits), NOW)
    assert third.state.active is not None
    assert third.state.active.number == 2
    assert third.state.active.kept == {"d1": kept["d1"].answers}
    news = await store.news(0, 0)
    assert news.records == (third,)
    assert [(entry.number, entry.announcement) for entry in news.entries] == [
        (1, Announcement.NOT_SERVING),
        (2, Announcement.TABLE),
    ]
    assert news.entries[0].generation is None
    assert news.entries[1].generation == third.state.active
    assert news.entries[1].salt == known.salt
    assert news.newest_generation == 2


async def test_a_change_keeps_who_why_and_how_it_ended(store: Store):
    first = await store.commit(None, Step(state(), announcement=Announcement.NOT_SERVING), NOW)
    dropped, waits = change(), change(etag="e2")
    second = await store.commit(first.revision, begun(first.state, dropped), NOW)
    ended = Step(replace(second.state, pending=waits), (waits,), (Ended(dropped, Outcome.SUPERSEDED, "newer"),))
    third = await store.commit(second.revision, ended, NOW)
    open_change = await store.change(waits.id)
    assert open_change is not None
    assert (open_change.change, open_change.model, open_change.outcome) == (waits, "digits", None)
    await store.commit(third.revision, activated(third.state, waits), NOW)
    over = await store.change(dropped.id)
    assert over is not None
    assert (over.outcome, over.outcome_reason, over.generation) == (Outcome.SUPERSEDED, "newer", None)
    served = await store.change(waits.id)
    assert served is not None
    assert (served.outcome, served.generation) == (Outcome.ACTIVE, 2)
    assert served.change.writer == WRITER
    assert served.change.displaced == "rollouts/6"
    assert served.ended_at == NOW
    assert open_change.ended_at is None
    assert {record.change.id for record in await store.changes("digits", 10)} == {dropped.id, waits.id}
    assert await store.changes("other", 10) == ()
    assert await store.change(uuid4()) is None


async def test_changes_are_read_newest_first_in_pages(store: Store):
    record = await store.commit(None, Step(state(), announcement=Announcement.NOT_SERVING), NOW)
    begun_changes = []
    for number in range(5):
        waits = change(Kind.REGISTRY if number % 2 else Kind.WRITE)
        record = await store.commit(record.revision, begun(record.state, waits), NOW)
        begun_changes.insert(0, waits.id)
    await store.commit(None, begun(state("fraud"), change()), NOW)
    first = await store.changes("digits", 2)
    rest = await store.changes("digits", 10, first[-1].number)
    assert [one.change.id for one in (*first, *rest)] == begun_changes
    assert [one.change.writer for one in first] == [WRITER, None]
    numbers = [one.number for one in (*first, *rest)]
    assert numbers == sorted(set(numbers), reverse=True)
    assert await store.changes("digits", 10, numbers[-1]) == ()


async def test_a_renewed_incarnation_is_another_one_and_nothing_is_acknowledged_to_it(store: Store):
    incarnation = await incarnation_of(store)
    await store.commit(None, Step(state(), announcement=Announcement.NOT_SERVING), NOW)
    await store.acknowledge(incarnation, "host-0", 1)
    renewed = await store.renew_incarnation()
    news = await store.news(0, 0)
    assert UUID(renewed) != UUID(incarnation)
    assert (news.incarnation, news.newest_generation, len(news.records)) == (renewed, 1, 1)
    (plane,) = await store.data_planes(datetime.now(UTC))
    assert (plane.acknowledged, plane.first_seen) == (0, 1)
    with pytest.raises(Conflict):
        await store.acknowledge(incarnation, "host-0", 1)
    assert [one.acknowledged for one in await store.data_planes(datetime.now(UTC))] == [0]


async def test_news_begin_after_what_is_known(store: Store):
    first = await store.commit(None, Step(state(), announcement=Announcement.NOT_SERVING), NOW)
    await store.commit(None, Step(state("fraud"), announcement=Announcement.NOT_SERVING), NOW)
    news = await store.news(first.revision, 1)
    assert [record.state.model for record in news.records] == ["fraud"]
    assert [entry.number for entry in news.entries] == [2]


async def test_of_two_writers_the_second_finds_it_done(store: Store):
    first = await store.commit(None, Step(state(), announcement=Announcement.NOT_SERVING), NOW)
    with pytest.raises(Conflict):
        await store.commit(None, Step(state(), announcement=Announcement.NOT_SERVING), NOW)
    waits = change()
    await store.commit(first.revision, begun(first.state, waits), NOW)
    with pytest.raises(Conflict):
        await store.commit(first.revision, begun(first.state, change(etag="e2")), NOW)
    news = await store.news(0, 0)
    assert news.newest_generation == 1
    assert news.records[0].state.pending == waits


async def test_concurrent_writers_of_many_routes_get_every_number_once(store: Store):
    models = [f"model-{number}" for number in range(12)]
    await asyncio.gather(
        *(store.commit(None, Step(state(model), announcement=Announcement.NOT_SERVING), NOW) for model in models)
    )
    news = await store.news(0, 0)
    assert [entry.number for entry in news.entries] == list(range(1, 13))
    assert len({record.revision for record in news.records}) == 12


async def test_a_request_id_is_used_once(store: Store):
    first = await store.commit(None, Step(state(), announcement=Announcement.NOT_SERVING), NOW)
    waits, later = change(), change(etag="e2")
    request = Request("ana", "r1", b"f" * 32, waits.id)
    second = await store.commit(first.revision, begun(first.state, waits), NOW, request)
    with pytest.raises(RequestUsed):
        await store.commit(second.revision, begun(second.state, later), NOW, Request("ana", "r1", b"g" * 32, later.id))
    assert await store.request("ana", "r1") == request
    assert await store.request("bob", "r1") is None
    purge = Request("bob", "r1", b"p" * 32, version="v1")
    assert (await store.news(0, 0)).records == (second,)
    await store.commit(second.revision, Step(replace(second.state, kept={"d1": AnswerState(1)})), NOW, purge)
    assert await store.request("bob", "r1") == purge


async def test_entries_in_use_are_the_newest_of_each_model_and_all_later_ones(store: Store):
    records = {}
    for model in ("a", "b"):
        records[model] = await store.commit(
            None, Step(state(model), announcement=Announcement.NOT_SERVING), NOW
        )  # 1, 2
    for model in ("a", "b", "a"):
        known = records[model]
        records[model] = await store.commit(known.revision, activated(known.state, change()), NOW)  # 3, 4, 5
    assert [entry.number for entry in await store.entries_in_use(5)] == [4, 5]
    assert [entry.number for entry in await store.entries_in_use(3)] == [2, 3, 4, 5]
    assert [entry.number for entry in await store.entries_in_use(0)] == [1, 2, 3, 4, 5]


async def test_versions_are_kept_as_they_were_put_last(store: Store):
    """Under one digest only serving settings change."""
    first = StoredVersion("d1", "digits", "v1", b"one")
    await store.put_versions([first, StoredVersion("d2", "digits", "v2", b"two")])
    now = replace(first, resolved=b"other")
    await store.put_versions([now])
    assert set(await store.versions(["d1", "d9"])) == {now}


async def test_a_listener_hears_of_changes(store: Store):
    incarnation = await incarnation_of(store)
    woken = []
    listening = asyncio.create_task(heed(store.wakes, lambda: woken.append(True)))
    try:
        await eventually(lambda: woken)  # it begins with a hint
        woken.clear()

        async def heard():
            await store.acknowledge(incarnation, f"host-{len(woken)}-{uuid4()}", 0)
            return woken

        await eventually(heard, every=0.1)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def test_documents_of_earlier_releases_are_read():
    written = change()
    document = documents.change_to_document(written)
    for added in ("manager", "force", "displaced"):
        del document[added]
    for part, added in (("route", "rules"), ("route", "managed_by"), ("table", "rules")):
        del document[part][added]
    read = documents.change_from_document(document)
    assert (read.writer, read.displaced) == (Writer("ana", "more treatment"), "")
    assert (read.route.rules, read.route.managed_by, read.table.rules) == ((), "", ())
    assert read.route.variants == written.route.variants

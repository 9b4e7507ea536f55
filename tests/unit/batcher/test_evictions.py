"""Versions that memory is too short for are unloaded, and loaded again for whoever asks."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.decisions.answers import MODEL_CROWDED_OUT, Answer, Failure
from headrace_batcher.decisions.version_state import Memory, Phase, Wanted
from headrace_batcher.decisions.work import Work
from headrace_runtime.backends.backend import ModelCrashed
from headrace_servicekit.testing import eventually

from tests.kit.batcher.scripted_backend import Doubling, WorkMaker, serving, settled, submit
from tests.unit.batcher.test_versions import Backend, Room, Scene, running, wanted


@pytest.fixture
async def tight(tmp_path) -> AsyncIterator[Scene]:
    """A scene in which two of three versions fit into memory, and none is warm for longer than it is asked."""
    backend = Backend()
    scene = Scene(tmp_path, backend, Room(backend), warm_for_s=0.0)
    scene.versions.backend_up()
    async with running(scene.versions):
        yield scene


def batcher_of(scene: Scene, one: Wanted) -> Batcher:
    handle = next(state.handle for state in scene.roster.states() if state.digest == one.digest)
    batcher = scene.roster.find(handle)
    assert batcher is not None
    return batcher


def ask(scene: Scene, one: Wanted, work: WorkMaker, deadline_s: float = 30.0) -> Work:
    batcher = batcher_of(scene, one)
    now = time.monotonic()
    asked = work([2.0], batcher=batcher, arrived=now, deadline=now + deadline_s)
    batcher.submit(asked)
    return asked


async def test_all_are_announced_and_the_one_that_is_not_in_memory_is_loaded_for_who_asks(
    tight: Scene, work: WorkMaker
):
    three = [wanted("a"), wanted("b"), wanted("c")]
    tight.versions.want(three)
    await eventually(lambda: len(tight.ready()) == 3 and len(tight.backend.loaded) == 2)
    assert {tight.phase(one) for one in three} == {Phase.READY}, "as the control plane hears of it"
    await eventually(tight.settled)
    for _ in range(3):
        away = next(one for one in three if one.name not in tight.backend.loaded)
        assert "not in memory" in tight.reason(away)
        asked = ask(tight, away, work)
        await settled(work, asked)
        assert work.sink.rows(asked) == [4.0]
        await eventually(lambda: len(tight.backend.loaded) == 2)
        assert tight.ready() == {one.digest for one in three}
    counters = tight.versions.counters().values()
    assert sum(one.loaded_on_demand for one in counters) == 3
    assert sum(one.evicted for one in counters) == 4


async def test_what_is_pinned_stays_and_what_is_asked_for_takes_turns(tight: Scene, work: WorkMaker):
    pinned, others = wanted("a", pinned=True), [wanted("b"), wanted("c")]
    tight.versions.want([pinned, *others])
    await eventually(lambda: len(tight.ready()) == 3 and len(tight.backend.loaded) == 2)
    for one in [*others, *others]:
        asked = ask(tight, one, work)
        await settled(work, asked)
        assert isinstance(work.sink.outcomes[asked.id], Answer)
        assert pinned.name in tight.backend.loaded
    assert tight.backend.calls.count("load a--v1") == 1


async def test_where_all_is_warm_who_asks_is_told_when_to_come_back(tmp_path, work: WorkMaker):
    backend = Backend()
    scene = Scene(tmp_path, backend, Room(backend), warm_for_s=600.0)
    scene.versions.backend_up()
    three = [wanted("a"), wanted("b"), wanted("c")]
    async with running(scene.versions):
        scene.versions.want(three)
        await eventually(lambda: len(scene.ready()) == 3 and len(backend.loaded) == 2)
        loaded = [one for one in three if one.name in backend.loaded]
        await settled(work, *[ask(scene, one, work) for one in loaded])
        away = next(one for one in three if one not in loaded)
        asked = ask(scene, away, work)
        await settled(work, asked)
        told = work.sink.outcomes[asked.id]
        assert isinstance(told, Failure)
        assert told.reason == "MODEL_LOADING"
        assert 590.0 < told.retry_after_s <= 600.0
        assert {one.name for one in loaded} == backend.loaded
        assert away.digest in scene.ready()


async def test_one_that_cannot_be_loaded_again_is_announced_as_gone_and_its_callers_are_told(
    tight: Scene, work: WorkMaker
):
    three = [wanted("a"), wanted("b"), wanted("c")]
    tight.versions.want(three)
    await eventually(lambda: len(tight.ready()) == 3 and len(tight.backend.loaded) == 2)
    away = next(one for one in three if one.name not in tight.backend.loaded)
    tight.backend.refuses.add(away.name)
    asked = ask(tight, away, work)
    await settled(work, asked)
    assert work.sink.reason(asked) == "NOT_LOADED"
    await eventually(lambda: away.digest not in tight.ready())
    assert tight.phase(away) is Phase.FAILED


async def test_while_the_backend_is_away_so_is_what_was_not_in_memory(tight: Scene, work: WorkMaker):
    three = [wanted("a"), wanted("b"), wanted("c")]
    tight.versions.want(three)
    await eventually(lambda: len(tight.ready()) == 3 and len(tight.backend.loaded) == 2)
    away = next(one for one in three if one.name not in tight.backend.loaded)
    tight.backend.loaded.clear()
    tight.versions.backend_down("it is gone")
    assert tight.ready() == set()
    lost = ask(tight, away, work)
    assert work.sink.reason(lost) == "NO_BACKEND"
    tight.versions.backend_up()
    asked = ask(tight, away, work)
    await settled(work, asked)
    assert work.sink.rows(asked) == [4.0]
    await eventually(lambda: len(tight.ready()) == 3)


async def test_a_backend_that_restarts_during_an_eviction_leaves_no_version_behind(tight: Scene, work: WorkMaker):
    tight.backend.unloading.clear()
    three = [wanted("a"), wanted("b"), wanted("c")]
    tight.versions.want(three)
    await eventually(lambda: "load c--v1" in tight.backend.calls and "not in memory" in tight.reason(three[0]))
    tight.backend.loaded.clear()
    tight.versions.backend_down("it is gone")
    tight.versions.backend_up()
    tight.backend.unloading.set()
    await eventually(lambda: len(tight.ready()) == 3)
    for one in three:
        asked = ask(tight, one, work)
        await settled(work, asked)
        assert work.sink.rows(asked) == [4.0]


async def test_settings_that_change_while_a_version_is_not_in_memory_are_in_force_when_it_is_asked_for(
    tight: Scene, work: WorkMaker
):
    three = [wanted("a"), wanted("b"), wanted("c")]
    tight.versions.want(three)
    await eventually(lambda: len(tight.ready()) == 3 and len(tight.backend.loaded) == 2)
    away = next(one for one in three if one.name not in tight.backend.loaded)
    changed = replace(away, limits=replace(away.limits, max_rows=8), serving_revision=2)
    tight.versions.want([changed if one is away else one for one in three])

    def revision() -> int:
        return next(one.serving_revision for one in tight.versions.statuses() if one.digest == away.digest)

    await eventually(lambda: revision() == 2)
    asked = ask(tight, away, work)
    await settled(work, asked)
    await eventually(lambda: batcher_of(tight, away).limits.max_rows == 8 and revision() == 2)


async def test_one_that_nobody_wants_any_more_goes_though_it_is_not_in_memory(tight: Scene):
    three = [wanted("a"), wanted("b"), wanted("c")]
    tight.versions.want(three)
    await eventually(lambda: len(tight.ready()) == 3 and len(tight.backend.loaded) == 2)
    away = next(one for one in three if one.name not in tight.backend.loaded)
    tight.versions.want([one for one in three if one is not away])
    await eventually(lambda: len(tight.ready()) == 2 and tight.phase(away) is None)


async def test_a_sleeping_version_keeps_who_has_the_time_and_refuses_who_has_not(backend: Doubling, work: WorkMaker):
    calls: list[str] = []
    async with serving(backend) as batcher:
        batcher.sleep(2.0, lambda: calls.append("asked"))
        now = time.monotonic()
        hasty = work([1.0], batcher=batcher, arrived=now, deadline=now + 1.0)
        patient = work([2.0], batcher=batcher, arrived=now, deadline=now + 60.0)
        batcher.submit(hasty)
        batcher.submit(patient)
        told = work.sink.outcomes[hasty.id]
        assert isinstance(told, Failure)
        assert (told.reason, told.retry_after_s) == ("MODEL_LOADING", 2.0)
        assert calls == ["asked"]
        assert batcher.rows == 1
        assert backend.executed == []
        batcher.accept()
        await settled(work, patient)
        assert work.sink.rows(patient) == [4.0]


def shorten(scene: Scene) -> None:
    """Have the batcher find that memory is short, whatever it holds."""
    assert scene.memory is not None
    scene.memory.last = Memory(101, 100)
    scene.versions.reconsider()


def evicted(scene: Scene, *those: Wanted) -> list[Wanted]:
    return [one for one in those if "not in memory" in scene.reason(one)]


async def test_a_version_that_is_loaded_again_with_other_settings_is_not_evicted_meanwhile(
    tight: Scene, work: WorkMaker
):
    first, second = wanted("a"), wanted("b")
    await tight.bring_up(first, second)
    await eventually(tight.settled)
    changed = replace(first, limits=replace(first.limits, instances=2), serving_revision=2)
    tight.backend.loading.clear()
    tight.versions.want([changed, second])
    await eventually(lambda: tight.backend.calls.count("load a--v1") == 2)
    shorten(tight)
    await eventually(lambda: evicted(tight, first, second))
    tight.backend.loading.set()
    await eventually(lambda: next(iter(tight.versions.statuses())).serving_revision == 2)
    assert evicted(tight, first, second) == [second]
    asked = ask(tight, first, work)
    await settled(work, asked)
    assert work.sink.rows(asked) == [4.0]


async def test_a_version_is_not_evicted_while_a_batcher_of_before_answers_what_it_has(tight: Scene, work: WorkMaker):
    first, second = wanted("a"), wanted("b")
    await tight.bring_up(first, second)
    await eventually(tight.settled)
    tight.backend.gate.clear()
    asked = ask(tight, first, work)
    await eventually(lambda: len(tight.backend.executed) > 0 and batcher_of(tight, first).rows == 1)
    tight.versions.want([replace(first, limits=replace(first.limits, max_wait_s=0.001), serving_revision=2), second])
    shorten(tight)
    await eventually(lambda: evicted(tight, first, second))
    assert evicted(tight, first, second) == [second]
    tight.backend.gate.set()
    await settled(work, asked)
    assert work.sink.rows(asked) == [4.0]


async def test_a_version_that_did_not_answer_is_in_service_when_it_is_loaded_again(tight: Scene, work: WorkMaker):
    first, second = wanted("a"), wanted("b")
    await tight.bring_up(first, second)
    await eventually(tight.settled)
    tight.versions.stall(next(held for held in tight.versions.loaded() if held.name == first.name), "it is silent")
    shorten(tight)
    await eventually(lambda: evicted(tight, first))
    await settled(work, asked := ask(tight, first, work))
    assert work.sink.rows(asked) == [4.0]
    await eventually(lambda: first.name in tight.backend.loaded and not evicted(tight, first))
    assert first.digest in tight.ready()


async def test_who_is_sent_away_is_also_who_was_to_be_tried_alone(backend: Doubling, work: WorkMaker):
    async with serving(backend, crashed=lambda reason: batcher.sleep(1.0, lambda: None)) as batcher:
        backend.fail_once(ModelCrashed("its process died"))
        (suspected,) = submit(batcher, work, [1.0])
        await eventually(lambda: not batcher.accepting and batcher.rows == 1)
        batcher.send_away(MODEL_CROWDED_OUT)
        assert work.sink.reason(suspected) == "BACKEND_CRASHED"
        assert batcher.rows == 0, "or the loop of versions would ask again at once, for ever"

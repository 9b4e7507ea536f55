"""Versions become ready and go in the right order, whatever the backend and the demand do meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256

import pytest
from headrace_batcher.decisions import lifecycle
from headrace_batcher.decisions.lifecycle import MAX_COSTLY
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.turns import USUAL, LoadBounds
from headrace_batcher.decisions.version_state import Memory, Need, Phase, Wanted
from headrace_batcher.loading.versions import Versions
from headrace_batcher.roster import Roster
from headrace_runtime.artifacts.cache import BlobCache
from headrace_runtime.backends.backend import BackendLost, LoadError, ModelCrashed, ModelFiles
from headrace_runtime.formats import Format
from headrace_runtime.shapes import Layout, OutputTensor
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.testing import eventually

from tests.kit.batcher.scripted_backend import X_TO_Y, Doubling, WorkMaker

MODEL = b"a model"


class Backend(Doubling):
    """Keeps what is asked of it, and lets the test hold up loading and unloading."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.loading = asyncio.Event()
        self.loading.set()
        self.unloading = asyncio.Event()
        self.unloading.set()
        self.refuses: set[str] = set()
        self.kills: set[str] = set()
        self.dead: set[str] = set()
        self.loaded: set[str] = set()
        self.hangs: set[str] = set()
        self.ended: list[str] = []

    async def load(self, files: ModelFiles) -> None:
        self.calls.append(f"load {files.name}")
        await self.loading.wait()
        if files.name in self.hangs:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.ended.append(files.name)
        if files.name in self.refuses:
            raise LoadError("no such luck")
        if files.name in self.kills:
            raise BackendLost("it died")
        self.dead.discard(files.name)
        self.loaded.add(files.name)

    async def unload(self, name: str) -> None:
        await self.unloading.wait()
        self.calls.append(f"unload {name}")
        self.loaded.discard(name)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        if name in self.dead:
            raise ModelCrashed("its process died")
        return await super().infer(name, layout, rows, inputs)


class Blobs:
    async def read(self, sha: str) -> AsyncIterator[bytes]:
        yield MODEL


def wanted(model: str, version: str = "v1", **fields) -> Wanted:
    limits = Limits(max_rows=2, preferred_rows=(2,))
    return Wanted(model, version, f"digest of {model} {version}", sha256(MODEL).hexdigest(), X_TO_Y, limits, **fields)


class Room:
    """Memory in which each loaded version takes 40 of 100."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.last: Memory | None = Memory(0, 100)

    async def read(self) -> Memory | None:
        self.last = Memory(40 * len(self._backend.loaded), 100)
        return self.last


class Scene:
    def __init__(
        self,
        tmp_path,
        backend: Backend,
        memory: Room | None = None,
        bounds: LoadBounds = USUAL,
        warm_for_s: float = 60.0,
    ) -> None:
        self.backend, self.memory = backend, memory
        self.roster = Roster()
        cache = BlobCache(tmp_path / "blobs", Blobs(), max_bytes=0, fetch_timeout_s=5)
        self.versions = Versions(
            backend,
            self.roster,
            cache,
            unload_after_s=0.0,
            changed=lambda: None,
            drain_s=0.1,
            memory=memory,
            bounds=bounds,
            warm_for_s=warm_for_s,
        )

    def phase(self, one: Wanted) -> Phase | None:
        return {status.digest: status.phase for status in self.versions.statuses() if status.wanted}.get(one.digest)

    async def settled(self) -> bool:
        try:
            await self.versions.settled()
        except Unavailable:
            return False
        return True

    def reason(self, one: Wanted) -> str:
        return {status.digest: status.reason for status in self.versions.statuses()}[one.digest]

    def ready(self) -> set[str]:
        return {state.digest for state in self.roster.states() if state.ready}

    async def bring_up(self, *those: Wanted) -> None:
        """Want these on a backend that is there, and return when they are ready."""
        self.versions.backend_up()
        self.versions.want(those)
        await self.until_ready(*those)

    async def until_ready(self, *those: Wanted) -> None:
        await eventually(lambda: {one.digest for one in those} <= self.ready())


@pytest.fixture
async def scene(tmp_path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path, Backend())
    async with running(scene.versions):
        yield scene


@pytest.fixture
async def tight(tmp_path) -> AsyncIterator[Scene]:
    """A scene in which two versions fit into memory."""
    backend = Backend()
    scene = Scene(tmp_path, backend, Room(backend))
    scene.versions.backend_up()
    async with running(scene.versions):
        yield scene


@asynccontextmanager
async def running(versions: Versions) -> AsyncIterator[None]:
    loop = asyncio.create_task(versions.run())
    try:
        yield
        assert not loop.done(), loop
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def test_nothing_is_loaded_before_the_backend_is_up_and_then_the_most_needed_first(scene: Scene):
    first, second = wanted("b"), wanted("a")
    scene.versions.want([first, second])
    await eventually(lambda: scene.phase(second) is Phase.WAITING)
    assert scene.backend.calls == []
    scene.versions.backend_up()
    await scene.until_ready(first, second)
    assert scene.backend.calls == ["load b--v1", "load a--v1"]
    # Sizes that batches will have were run before anybody could call.
    assert [len(values) for values in scene.backend.executed] == [1, 1, 2, 2] * 2


async def test_a_process_is_settled_once_what_serves_was_tried_and_stays_so(scene: Scene):
    good, bad = wanted("good"), wanted("bad")
    scene.backend.refuses.add(bad.name)
    scene.versions.want([good, bad])
    with pytest.raises(Unavailable, match="2 versions"):
        await scene.versions.settled()
    scene.versions.backend_up()
    await eventually(lambda: scene.phase(bad) is Phase.FAILED)
    await eventually(lambda: scene.settled())
    scene.versions.want([wanted("another")])
    await scene.versions.settled()


async def test_a_version_that_fails_says_why_and_does_not_stop_the_next(scene: Scene):
    bad, good = wanted("bad"), wanted("good")
    scene.backend.refuses.add(bad.name)
    scene.versions.backend_up()
    scene.versions.want([bad, good])
    await scene.until_ready(good)
    assert (scene.phase(bad), scene.reason(bad)) == (Phase.FAILED, "no such luck")
    scene.backend.refuses.clear()
    await scene.until_ready(bad)


async def test_a_backend_that_went_takes_all_versions_with_it_and_brings_them_back_under_their_handles(scene: Scene):
    one = wanted("m")
    await scene.bring_up(one)
    (before,) = scene.roster.states()
    scene.versions.backend_down("killed")
    assert scene.ready() == set()
    assert (scene.phase(one), scene.reason(one)) == (Phase.WAITING, "killed")
    scene.versions.backend_up()
    await scene.until_ready(one)
    assert list(scene.roster.states()) == [before]
    assert scene.backend.calls == ["load m--v1"] * 2


async def test_a_version_loaded_into_a_backend_that_restarted_meanwhile_is_not_ready(scene: Scene):
    one = wanted("m")
    scene.backend.loading.clear()
    scene.versions.backend_up()
    scene.versions.want([one])
    await eventually(lambda: scene.backend.calls)
    scene.versions.backend_down("killed")
    scene.versions.backend_up()
    scene.backend.loading.set()
    await scene.until_ready(one)
    assert scene.backend.calls == ["load m--v1"] * 2


async def test_an_unwanted_version_is_drained_then_unloaded_and_its_handle_forgotten(scene: Scene):
    one = wanted("m")
    await scene.bring_up(one)
    (state,) = scene.roster.states()
    scene.versions.want([])
    await eventually(lambda: not scene.ready())
    assert scene.roster.find(state.handle) is not None
    await eventually(lambda: scene.backend.calls[-1] == "unload m--v1")
    assert scene.roster.find(state.handle) is None


async def test_a_version_wanted_again_while_it_drains_stays_loaded(scene: Scene):
    one = wanted("m")
    await scene.bring_up(one)
    scene.versions.want([])
    await eventually(lambda: not scene.ready())
    scene.versions.want([one])
    await scene.until_ready(one)
    assert scene.backend.calls == ["load m--v1"]


async def test_a_version_wanted_again_while_it_is_unloaded_is_loaded_after_that(scene: Scene):
    one = wanted("m")
    await scene.bring_up(one)
    (before,) = scene.roster.states()
    scene.backend.unloading.clear()
    scene.versions.want([])
    await eventually(lambda: scene.roster.find(before.handle) is None)
    scene.versions.want([one])
    scene.backend.unloading.set()
    await scene.until_ready(one)
    assert scene.backend.calls == ["load m--v1", "unload m--v1", "load m--v1"]
    (after,) = scene.roster.states()
    assert after.handle > before.handle


async def test_another_version_of_the_same_name_waits_until_the_old_one_is_gone(scene: Scene):
    old, new = wanted("m"), Wanted(**{**{f: getattr(wanted("m"), f) for f in Wanted.__slots__}, "digest": "other"})
    await scene.bring_up(old)
    scene.versions.want([new])
    await scene.until_ready(new)
    assert scene.backend.calls == ["load m--v1", "unload m--v1", "load m--v1"]


async def test_a_version_that_crashes_is_loaded_again_while_others_serve(scene: Scene, work: WorkMaker):
    mortal, other = wanted("mortal"), wanted("other")
    await scene.bring_up(mortal, other)
    handles = {state.digest: state.handle for state in scene.roster.states()}
    scene.backend.loading.clear()
    scene.backend.dead.add(mortal.name)
    batcher = scene.roster.find(handles[mortal.digest])
    assert batcher is not None
    batcher.submit(request := work([1.0], batcher=batcher, arrived=time.monotonic()))
    await eventually(lambda: scene.ready() == {other.digest})
    assert scene.phase(mortal) is Phase.LOADING
    scene.backend.loading.set()
    await scene.until_ready(mortal)
    assert {state.digest: state.handle for state in scene.roster.states()} == handles
    await eventually(lambda: work.sink.reason(request) == "OK")


async def test_who_executed_on_a_server_that_a_version_names_is_told_at_once_when_that_loses_it(
    scene: Scene, work: WorkMaker
):
    theirs = wanted("theirs", kept_as=Format.OIP)
    await scene.bring_up(theirs)
    (held,) = scene.versions.loaded()
    scene.backend.dead.add(theirs.name)
    scene.backend.refuses.add(theirs.name)
    held.batcher.submit(request := work([1.0], batcher=held.batcher, arrived=time.monotonic()))
    # Others use that server too: nobody here is suspected, or waits to be tried again.
    await eventually(lambda: work.sink.reason(request) == "BACKEND_CRASHED")
    assert held.batcher.rows == 0


@pytest.mark.parametrize("alone", [True, False], ids=["its process died", "the backend went"])
async def test_who_executed_when_a_version_went_while_it_drained_is_told_and_nobody_condemned(
    scene: Scene, work: WorkMaker, alone: bool
):
    one = wanted("m")
    await scene.bring_up(one)
    (held,) = scene.versions.loaded()
    scene.backend.gate.clear()
    held.batcher.submit(request := work([1.0], batcher=held.batcher, arrived=time.monotonic()))
    await eventually(lambda: scene.backend.executed[-1] == [1.0])
    scene.versions.want([])
    await eventually(lambda: not scene.ready())

    def die(_values: list[float]) -> None:
        raise ModelCrashed("its process died") if alone else BackendLost("it died")

    scene.backend.act = die
    scene.backend.gate.set()
    if not alone:
        scene.versions.backend_down("killed")
    await eventually(lambda: scene.backend.calls[-1] == "unload m--v1")
    assert work.sink.reason(request) == "BACKEND_CRASHED"


async def test_a_version_that_takes_the_backend_down_while_it_is_loaded_fails_from_the_second_time_on(scene: Scene):
    killer, other = wanted("killer"), wanted("other")
    scene.backend.kills.add(killer.name)
    scene.versions.backend_up()
    scene.versions.want([killer, other])
    await eventually(lambda: scene.phase(killer) is Phase.FAILED)
    assert "while this version was loaded: it died" in scene.reason(killer)
    assert scene.backend.calls.count("load killer--v1") == 2
    assert scene.ready() == {other.digest}


async def test_a_version_that_does_not_answer_is_out_of_service_until_it_does(scene: Scene, work: WorkMaker):
    one = wanted("m")
    await scene.bring_up(one)
    (held,) = scene.versions.loaded()
    scene.versions.stall(held, "silence")
    assert (scene.ready(), scene.phase(one), scene.reason(one)) == (set(), Phase.LOADING, "silence")
    assert scene.roster.load(0.0)[1] >= 10.0
    held.batcher.submit(refused := work([1.0], batcher=held.batcher))
    assert work.sink.reason(refused) == "NO_BACKEND"
    scene.versions.resume(held)
    assert (scene.ready(), scene.phase(one)) == ({one.digest}, Phase.READY)
    assert scene.roster.load(0.0) == (0, 0.0)
    assert scene.backend.calls == ["load m--v1"]


async def test_what_a_rollback_would_need_makes_room_for_what_a_change_waits_for(tight: Scene):
    active, revert = wanted("a"), wanted("r", need=Need.REVERT, size_bytes=10)
    tight.versions.want([active, revert])
    await tight.until_ready(active, revert)
    pending = wanted("p", need=Need.PENDING, size_bytes=40)
    tight.versions.want([active, pending, revert])
    await tight.until_ready(active, pending)
    await eventually(lambda: tight.phase(revert) is Phase.FAILED, within=10)
    assert "no memory" in tight.reason(revert)
    assert tight.backend.loaded == {active.name, pending.name}


async def test_what_took_too_much_is_kept_when_something_else_is_given_up_for_it_already(tight: Scene):
    active, revert = wanted("a"), wanted("r", need=Need.REVERT)
    tight.versions.want([active, revert])
    await tight.until_ready(active, revert)
    # Its file says little of what it takes, and while it is loaded the memory runs short.
    pending, memory = wanted("p", need=Need.PENDING, size_bytes=1), tight.memory
    tight.backend.loading.clear()
    tight.backend.unloading.clear()
    tight.versions.want([active, pending, revert])
    await eventually(lambda: tight.phase(pending) is Phase.LOADING)
    assert memory is not None
    memory.last = Memory(101, 100)
    tight.versions.reconsider()
    await eventually(lambda: tight.phase(revert) is Phase.DRAINING)
    tight.backend.loading.set()
    await tight.until_ready(active, pending)
    tight.backend.unloading.set()
    await eventually(lambda: tight.backend.loaded == {active.name, pending.name})


async def test_what_does_not_fit_fails_and_leaves_what_is_warm_alone(tight: Scene):
    active = [wanted("a", pinned=True), wanted("b", pinned=True)]
    tight.versions.want(active)
    await tight.until_ready(*active)
    # Its file says little of what it takes: found out by loading it.
    pending = wanted("p", need=Need.PENDING, size_bytes=1)
    tight.versions.want([*active, pending])
    await eventually(lambda: tight.phase(pending) is Phase.FAILED)
    assert "no memory" in tight.reason(pending)
    assert tight.ready() == {one.digest for one in active}
    assert tight.backend.loaded == {one.name for one in active}


async def test_a_version_that_is_being_loaded_when_nobody_wants_it_any_more_is_ended_and_goes(scene: Scene):
    stuck, good = wanted("a-stuck"), wanted("good")
    scene.backend.hangs.add(stuck.name)
    scene.versions.backend_up()
    scene.versions.want([stuck])
    await eventually(lambda: scene.backend.calls == ["load a-stuck--v1"])
    scene.versions.want([good])
    await scene.until_ready(good)
    assert scene.backend.calls[:2] == ["load a-stuck--v1", "unload a-stuck--v1"]
    assert scene.backend.ended == ["a-stuck--v1"]
    await eventually(lambda: scene.phase(stuck) is None)


async def test_an_attempt_that_takes_too_long_fails_and_in_the_end_waits_to_be_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(lifecycle, "CHEAP_S", 0.0)
    scene = Scene(tmp_path, Backend(), bounds=LoadBounds(attempt_s=0.1))
    stuck = wanted("stuck")
    scene.backend.hangs.add(stuck.name)
    async with running(scene.versions):
        scene.versions.backend_up()
        scene.versions.want([stuck])
        await eventually(lambda: "until a request needs it" in scene.reason(stuck), within=20)
        assert scene.reason(stuck).startswith("it was not loaded within 0.1 s")
        assert scene.backend.ended == [stuck.name] * MAX_COSTLY
        scene.backend.hangs.clear()
        scene.versions.want([replace(stuck, change="another")])
        await scene.until_ready(stuck)


async def test_a_version_is_reported_with_what_it_was_asked_since_it_is_here(scene: Scene, work: WorkMaker):
    one = wanted("m")
    await scene.bring_up(one)
    (held,) = scene.versions.loaded()
    held.batcher.submit(work([1.0], batcher=held.batcher, arrived=time.monotonic()))
    await eventually(lambda: scene.versions.statuses()[0].answered == 1)
    held.counters.shed["QUEUE_FULL"] += 2
    held.counters.expired += 1
    (status,) = scene.versions.statuses()
    assert (status.answered, status.shed, status.queued) == (1, 3, 0)
    assert status.compute_s > 0.0


async def test_a_version_is_reported_with_how_long_its_load_took_and_while_it_drains(scene: Scene):
    one = wanted("m")
    scene.backend.loading.clear()
    scene.versions.backend_up()
    scene.versions.want([one])
    await eventually(lambda: scene.phase(one) is Phase.LOADING)
    (status,) = scene.versions.statuses()
    assert (status.load_s, status.rows, status.wait_s, status.wanted) == (None, 0, 0.0, True)
    scene.backend.loading.set()
    await scene.until_ready(one)
    (status,) = scene.versions.statuses()
    assert status.load_s is not None
    assert 0.0 < status.load_s < 60.0
    scene.versions.want([])
    await eventually(lambda: [(s.phase, s.wanted) for s in scene.versions.statuses()] == [(Phase.DRAINING, False)])
    await eventually(lambda: not scene.versions.statuses())

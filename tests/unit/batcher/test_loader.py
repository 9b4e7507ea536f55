"""A version that can wait is loaded so that callers of others hardly feel it; one that callers wait for, at once."""

import asyncio
import math
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest
from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.version_state import Need, Wanted
from headrace_batcher.loading.held import Held
from headrace_batcher.loading.loader import REST_S, Loader
from headrace_batcher.metrics import BatchCounters
from headrace_runtime.backends.backend import BackendLost
from headrace_runtime.probe import Probe

from tests.kit.batcher.scripted_backend import X_TO_Y, Doubling, WorkMaker, serving, settled, submit

LONG_AGO_S = 60.0


class Scene:
    """A version to be loaded beside a neighbour. now: the time; rests: how long loading slept, each time."""

    def __init__(self, backend: Doubling, batcher: Batcher) -> None:
        self.backend = backend
        self.now = 1000.0
        self.rests: list[float] = []
        self.fetched_gently: list[bool] = []
        self._batcher = batcher
        self.ended: list[str] = []
        self._loader = Loader(backend, self, None, lambda: self.now, self._rest, self.ended.append)

    async def fetch(self, sha256: str, *, gently: bool = False) -> Path:
        self.fetched_gently.append(gently)
        return Path(sha256)

    async def tidy(self, wanted: Collection[str]) -> None: ...

    async def load(self, need: Need) -> None:
        """Load a version that is needed for this, beside the neighbour."""
        await self._loader.load(self._held(Batcher("new--v1", X_TO_Y, Limits(), self.backend), need), [self.neighbour])

    @property
    def neighbour(self) -> Held:
        return self._held(self._batcher, Need.ACTIVE)

    def _held(self, batcher: Batcher, need: Need) -> Held:
        wanted = Wanted("m", "v1", "digest", "ab" * 32, X_TO_Y, Limits(max_rows=2, preferred_rows=(2,)))
        probe = Probe(self.backend, wanted.name, wanted.contract, lambda: self.now)
        serving_it = asyncio.get_running_loop().create_future()
        return Held(wanted, batcher, probe, 0, serving_it, BatchCounters(), math.inf, need=need)  # type: ignore[arg-type]

    async def _rest(self, seconds: float) -> None:
        self.rests.append(seconds)


@pytest.fixture
async def scene(work: WorkMaker) -> AsyncIterator[Scene]:
    """A neighbour that has just answered a caller."""
    backend = Doubling()
    scenes: list[Scene] = []
    async with serving(backend, now=lambda: scenes[0].now if scenes else 1000.0) as batcher:
        scenes.append(Scene(backend, batcher))
        await settled(work, *submit(batcher, work, [1.0, 2.0, 3.0, 4.0]))
        backend.executed.clear()
        yield scenes[0]


@pytest.mark.parametrize("need", [Need.PENDING, Need.REVERT])
async def test_what_can_wait_is_fetched_gently_and_rests_before_each_execution_while_others_have_callers(scene, need):
    await scene.load(need)
    assert scene.fetched_gently == [True]
    assert [len(rows) for rows in scene.backend.executed] == [1, 1, 2, 2]
    assert scene.rests == [REST_S] * 4


async def test_what_serves_is_loaded_without_rests(scene):
    await scene.load(Need.ACTIVE)
    assert (scene.fetched_gently, scene.rests) == ([False], [])
    assert len(scene.backend.executed) == 4


async def test_nothing_rests_for_callers_who_are_gone(scene):
    scene.now += LONG_AGO_S
    await scene.load(Need.PENDING)
    assert (scene.fetched_gently, scene.rests) == ([False], [])


async def test_a_warm_up_that_is_not_answered_is_ended_and_leaves_nothing_loaded(scene):
    unloaded: list[tuple[str, list[str]]] = []

    async def unload(name: str) -> None:
        unloaded.append((name, list(scene.ended)))

    scene.backend.unload = unload
    scene.backend.fail_once(BackendLost("Deadline Exceeded"))
    with pytest.raises(BackendLost):
        await scene.load(Need.ACTIVE)
    assert unloaded == [("m--v1", ["m--v1"])]  # in this order: unloading waits for what executes

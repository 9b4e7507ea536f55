"""Two control planes on one store, with the registry, batchers and data planes around them, step by step."""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from headrace.router.v1 import control_pb2
from headrace_router.control.decisions.readiness import Held, Phase
from headrace_router.control.decisions.resolve import PipelineMember, Registered
from headrace_router.control.decisions.stored_answers import AnswerState, StoredAnswers
from headrace_router.control.metrics import ControlMetrics
from headrace_router.control.presence.data_planes import DataPlanes
from headrace_router.control.presence.leases import Leases
from headrace_router.control.registry.news import RegistryNews
from headrace_router.control.routes.controller import Controller
from headrace_router.control.routes.stored_answers import AnswerWriter
from headrace_router.control.state.time_limits import Timing
from headrace_router.control.state.view import View
from headrace_router.control.state.waits import Waits
from headrace_router.control.storage.store import StoredVersion
from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.testing import FakeClock
from prometheus_client import CollectorRegistry

from tests.kit.batcher.loading_simulation import NEVER, Loading
from tests.kit.router.memory_store import MemoryStore

T = TypeVar("T")

MODEL = "digits"
VERSIONS = {f"v{number}": f"d{number}" for number in range(1, 6)}
# One that no batcher ever loads.
NEVER_LOADS = "d5"
# Two pipelines: each has a graph of its own and another version of iris, and both have the same version of labels.
MEMBERS = {
    f"d{number}": (
        PipelineMember("", f"v{number}--norm", f"d{number}-norm"),
        PipelineMember("iris", f"v{number}", f"iris-{number}"),
        PipelineMember("labels", "v1", "labels-1"),
    )
    for number in (3, 4)
}


def _stored(model: str, version: str, digest: str) -> StoredVersion:
    resolved = control_pb2.ResolvedVersion(model=model, version=version, digest=digest)
    return StoredVersion(digest, model, version, resolved.SerializeToString())


STORED = [
    *(_stored(MODEL, version, digest) for version, digest in VERSIONS.items()),
    *(_stored(one.model or MODEL, one.version, one.digest) for members in MEMBERS.values() for one in members),
]


def loaded_for(digests: Iterable[str]) -> set[str]:
    """Return what batchers load so that these versions answer: members in the place of pipelines."""
    return {one for digest in digests for one in _loaded(digest)}


def _loaded(digest: str) -> set[str]:
    return {member.digest for member in MEMBERS.get(digest, ())} or {digest}


@dataclass
class Watcher:
    """A data plane: what it was told since its snapshot, and by which store; the table it serves, and those that it has
    not acknowledged to be gone. kept: by digest, which of all that was ever kept of a version it reads by."""

    id: str
    numbers: list[int] = field(default_factory=list)
    incarnation: str = ""
    serves: frozenset[str] = frozenset()
    unacknowledged: list[frozenset[str]] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    stream: object = None
    reading: asyncio.Task | None = None


class ControlPlane:
    """One control plane without its servers."""

    def __init__(self, store: MemoryStore, clock: FakeClock) -> None:
        self.view = View(store, clock, Timing())
        self.news = RegistryNews()
        metrics = ControlMetrics(CollectorRegistry())
        self.controller = Controller(self.view, store, self.news, clock, metrics)
        self.presence = DataPlanes(self.view, store, clock, self.controller.wake)
        self.leasing = Leases(
            self.view, store, clock, catch_up=self.catch_up, keep=lambda _model, _versions, _left_s: nullcontext()
        )
        self.answer_writer = AnswerWriter(self.view, self.controller, Waits(self.view, store, clock), clock)

    async def catch_up(self, model: str, left_s: float | None) -> None:
        """Know what there is to know: the registry says nothing new when it is asked."""


class World:
    """Everything around the control planes, and what was accepted by any of them.

    news: of the registry, in their order. held: process and loaded versions of each batcher. kept: all that was ever
    kept of each version, in the order of what was accepted; the newest is the truth. publishes: digest, number and the
    generation that each began from.
    """

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.control = [ControlPlane(self.store, self.clock) for _ in range(2)]
        self.news: list[Registered] = []
        self.held: list[tuple[str, set[str]]] = [("batcher-0", set()), ("batcher-1", set())]
        self.loading = [Loading(), Loading()]
        self.watchers = [Watcher(f"plane-{number}") for number in range(3)]
        self.accepted: set[UUID] = set()
        self.leased: dict[str, datetime] = {}
        self.known = Registered(MODEL, "", 0)
        self.kept = {digest: [AnswerState()] for digest in VERSIONS.values()}
        self.publishes: list[tuple[str, int, int]] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something to its end."""
        return self.runner.run(coroutine)

    async def end_watches(self) -> None:
        """Cut every data plane off."""
        for watcher in self.watchers:
            await self.cut(watcher)

    def publish(self, registered: Registered) -> None:
        """Have the registry say something; nobody has heard it yet."""
        self.news.append(registered)

    def report(self, batcher: int, plane: int) -> None:
        """Say to a control plane what a batcher holds."""
        process, held = self.held[batcher]
        versions = {digest: Held(Phase.READY) for digest in held}
        if NEVER_LOADS in self.loading[batcher].held:
            versions[NEVER_LOADS] = Held(Phase.FAILED, "it was not loaded in time")
        self.control[plane].presence.report("default", process, f"batcher-{batcher}:1", versions)
        self.run(self.control[plane].presence.flush())

    def load_all(self, batcher: int, demand: set[str]) -> None:
        """Have a batcher load what is wanted, by its own rule, for as long as an hour, and let the rest go."""
        loading = self.loading[batcher]
        for digest in demand:
            loading.want(digest, NEVER if digest == NEVER_LOADS else 2.0)
        for digest in loading.held.keys() - demand:
            loading.unwant(digest)
        loading.run(3600.0)
        self.held[batcher] = (self.held[batcher][0], loading.ready())

    def demand(self, plane: int) -> set[str]:
        """Return the digests that batchers are to hold, as a control plane says."""
        control = self.control[plane]

        async def newest() -> control_pb2.WatchDemandResponse:
            stream = control.view.demand.watch("default")
            try:
                return await anext(stream)
            finally:
                await stream.aclose()  # type: ignore[attr-defined]

        return {one.version.digest for one in self.run(newest()).versions}

    async def take_in(self, watcher: Watcher) -> None:
        """Take in everything that the stream holds at present."""
        while watcher.stream is not None:
            reading = watcher.reading or asyncio.ensure_future(anext(watcher.stream))  # type: ignore[call-overload]
            watcher.reading = reading
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if not reading.done():
                return
            watcher.reading = None
            try:
                message = reading.result()
            except ResourceExhausted:  # another store has taken over
                await self.cut(watcher)
                return
            if watcher.incarnation != message.incarnation:
                watcher.kept.clear()  # kept answers are those of a store: nothing of another one is read
            watcher.incarnation = message.incarnation
            if watcher.numbers:
                assert message.newest_generation == watcher.numbers[-1] + 1, "a generation was skipped or repeated"
            if message.snapshot_complete or watcher.numbers:
                watcher.numbers.append(message.newest_generation)
            if message.HasField("table"):
                assert all(0 <= one.variant < len(message.table.variants) for one in message.table.rules)
                watcher.unacknowledged.append(watcher.serves)
                watcher.serves = frozenset(one.digest for one in message.table.versions)
                named = {one.digest for one in message.table.variants}
                named |= {one.backup.digest for one in message.table.fallback}
                assert named == watcher.serves, "a table does not say what it names"
                for one in message.table.stored_answers:
                    watcher.kept[one.digest] = self._newest_index(one, watcher.kept.get(one.digest, 0))

    def _newest_index(self, told: control_pb2.StoredAnswers, heard: int) -> int:
        """Return which of all that was ever kept of a version is told: never an older one than was heard before."""
        answers = StoredAnswers(told.cache_epoch, told.precomputed_generation)
        ever = self.kept[told.digest]
        found = [at for at in range(heard, len(ever)) if ever[at].answers == answers]
        assert found, "what is kept went back to before what was heard"
        return found[0]

    async def cut(self, watcher: Watcher) -> None:
        """End the watch of a data plane; what it serves it goes on serving."""
        if watcher.reading is not None:
            watcher.reading.cancel()
            await asyncio.gather(watcher.reading, return_exceptions=True)
            watcher.reading = None
        if watcher.stream is not None:
            await watcher.stream.aclose()  # type: ignore[attr-defined]
            watcher.stream = None

"""Any order of registrations, promotions, rollbacks, aliases, measurements, holds and collections, against a model of
plain dictionaries; and whatever stood at any moment of it is what the history says of that moment later.

It runs the use cases over the store in memory; tests/contract holds PostgreSQL to what that store does.
"""

import asyncio
import itertools
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from headrace_registry.artifacts.blobs import MemoryBlobs
from headrace_registry.catalog.measurements import Measurements
from headrace_registry.catalog.reads import Catalog
from headrace_registry.catalog.registration import Registrations
from headrace_registry.catalog.writes import Write
from headrace_registry.decisions import defaults, lifecycle
from headrace_registry.decisions.files import Artifact, ArtifactType, Blob, ModelFile, ModelPort
from headrace_registry.decisions.models import Action, Metric, MetricSource, Model, Stage, Version, VersionRef
from headrace_registry.decisions.retention import Policy
from headrace_registry.decisions.tokens import etag
from headrace_registry.promotion.holds import Holds
from headrace_registry.promotion.promotions import Promotions
from headrace_registry.retention.garbage_collection import GarbageCollector
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import Aborted, PreconditionFailed
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.kit.registry.memory_store import MemoryStore

NAME = "digits"
SHA = "a" * 64
FILE = ModelFile((ModelPort("x", "FP32", "", (None, 4)),), (ModelPort("y", "FP32", "", (None, 4)),))
# Files apart: every version has the same here, and needs it.
AT_ONCE = Policy(timedelta(days=1), archive_after=timedelta(0), collect_after=timedelta(0))
ALIASES = st.sampled_from(["champion", "challenger"])


class Lifecycle(RuleBasedStateMachine):
    """stages, aliases: what must be; stack: productions in their order, the present one last."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = MemoryStore()
        clock = SystemClock()
        self.registrations, self.promotions = Registrations(self.store, clock), Promotions(self.store, clock)
        self.stages: dict[str, Stage] = {}
        self.aliases: dict[str, str] = {}
        self.stack: list[str] = []
        self.epoch = 0
        self.etags: list[str] = []
        self.last: tuple[Any, Any] | None = None
        self.ids = itertools.count()
        self.measured: dict[str, float] = {}
        self.held: set[str] = set()
        self.collected: set[str] = set()
        self.moments: list[tuple[datetime, str, dict[str, str], dict[str, Stage]]] = []
        self.holds, self.measuring = Holds(self.store, clock), Measurements(self.store, clock)
        self.catalog = Catalog(self.store, clock)
        self.collection = GarbageCollector(self.store, MemoryBlobs(), AT_ONCE, clock)
        self.run(self.store.put_blob(Blob(SHA, ArtifactType.ONNX, 9, FILE), clock.now()))
        declared = Model(NAME, gates=())
        self.run(self.registrations.create_model(declared, Write("ann", "start")))
        self.epoch = 1

    def run(self, act: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(act)

    def model(self) -> Model:
        model = self.run(self.store.model(NAME))
        assert model is not None
        return model

    def teardown(self) -> None:
        self.runner.close()

    @rule()
    def register(self) -> None:
        name = f"v{len(self.stages) + 1}"
        declared = Version(
            VersionRef(NAME, name),
            defaults.filled(),
            artifacts=(Artifact("model.onnx", ArtifactType.ONNX, SHA),),
        )
        self.run(self.registrations.create_version(declared, Write("ann")))
        self.stages[name] = Stage.REGISTERED
        self.epoch += 1

    @precondition(lambda self: self.stages)
    @rule(data=st.data(), goal=st.sampled_from(Stage), request_id=st.sampled_from(["", "new"]))
    def promote(self, data: st.DataObject, goal: Stage, request_id: str) -> None:
        version = data.draw(st.sampled_from(sorted(self.stages)))
        stage = self.stages[version]
        write = Write("ann", "because", f"{request_id}-{next(self.ids)}" if request_id else "", b"1")
        act = lambda: self.promotions.promote(VersionRef(NAME, version), goal, "", write)  # noqa: E731
        gone = version in self.collected and goal is not Stage.ARCHIVED
        if stage is not goal and (gone or goal not in lifecycle.LEGAL_MOVES[stage]):
            with pytest.raises(PreconditionFailed):
                self.run(act())
            return
        outcome = self.run(act())
        assert outcome.version.stage is goal
        if stage is goal:
            return
        if goal is Stage.PRODUCTION:
            if self.stack:
                self.stages[self.stack[-1]] = Stage.ARCHIVED
            self.stack.append(version)
        self.stages[version] = goal
        self.epoch += 1
        if request_id:
            self.last = (act, outcome)

    @rule()
    def roll_back(self) -> None:
        if len(self.stack) < 2:
            with pytest.raises(PreconditionFailed):
                self.run(self.promotions.roll_back(NAME, "", Write("ann", "oops")))
            return
        self.run(self.promotions.roll_back(NAME, "", Write("ann", "oops")))
        self.stages[self.stack.pop()] = Stage.ARCHIVED
        self.stages[self.stack[-1]] = Stage.PRODUCTION
        self.epoch += 1

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat_an_earlier_promotion(self) -> None:
        assert self.last is not None
        act, outcome = self.last
        assert self.run(act()) == outcome

    @precondition(lambda self: self.stages and self.etags)
    @rule(data=st.data())
    def promote_with_a_stale_etag(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.stages)))
        stale = data.draw(st.sampled_from(self.etags))
        if stale != etag(self.model()):
            with pytest.raises(Aborted):
                self.run(
                    self.promotions.promote(VersionRef(NAME, version), Stage.PRODUCTION, stale, Write("bob", "late"))
                )

    @precondition(lambda self: self.stages)
    @rule(data=st.data(), alias=ALIASES)
    def set_alias(self, data: st.DataObject, alias: str) -> None:
        version = data.draw(st.sampled_from(sorted(self.stages)))
        act = self.registrations.set_alias(VersionRef(NAME, version), alias, "", Write("ann"))
        if version in self.collected:
            with pytest.raises(PreconditionFailed):
                self.run(act)
            return
        self.run(act)
        self.epoch += self.aliases.get(alias) != version
        self.aliases[alias] = version

    @rule(alias=ALIASES)
    def delete_alias(self, alias: str) -> None:
        self.run(self.registrations.delete_alias(NAME, alias, "", Write("ann")))
        self.epoch += self.aliases.pop(alias, None) is not None

    @precondition(lambda self: self.stages)
    @rule(data=st.data(), value=st.sampled_from([0.5, 1.0, 2.0]))
    def measure(self, data: st.DataObject, value: float) -> None:
        version = data.draw(st.sampled_from(sorted(self.stages)))
        ref = VersionRef(NAME, version)
        stored = self.run(self.store.version(ref))
        self.run(self.measuring.record(ref, stored.digest, [Metric("p99", value, MetricSource.MEASURED)], "batcher/a"))
        self.measured[version] = value

    @precondition(lambda self: self.stages)
    @rule(data=st.data())
    def hold_or_release(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.stages)))
        ref = VersionRef(NAME, version)
        if version in self.held:
            self.run(self.holds.release(ref, "audit"))
            self.held.remove(version)
        elif version in self.collected:
            with pytest.raises(PreconditionFailed):
                self.run(self.holds.hold(ref, "audit", timedelta(days=1), "", "ann"))
        else:
            self.run(self.holds.hold(ref, "audit", timedelta(days=1), "", "ann"))
            self.held.add(version)

    @rule()
    def collect(self) -> None:
        needed = self.held | set(self.aliases.values())
        free = {version: stage for version, stage in self.stages.items() if version not in needed | self.collected}
        report = self.run(self.collection.run())
        archive = {version for version, stage in free.items() if stage in (Stage.REGISTERED, Stage.STAGING)}
        give_up = {version for version, stage in free.items() if stage is Stage.ARCHIVED} - set(self.stack[:-1])
        assert {ref.version for ref in report.archived} == archive
        assert {ref.version for ref in report.collected} == give_up
        self.stages |= dict.fromkeys(archive, Stage.ARCHIVED)
        self.collected |= give_up
        self.epoch += bool(archive or give_up)

    @precondition(lambda self: self.moments)
    @rule(data=st.data())
    def look_back(self, data: st.DataObject) -> None:
        time, production, aliases, stages = data.draw(st.sampled_from(self.moments))
        past = self.run(self.catalog.as_of(NAME, time))
        assert (past.production, past.aliases, past.stages) == (production, aliases, stages)
        assert (past.production_event.version if past.production_event else "") == production

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        model = self.model()
        self.etags.append(etag(model))
        versions = self.run(self.store.versions(NAME, before=None, limit=1000, stage=None))
        assert {version.ref.version: version.stage for version in versions} == self.stages
        in_production = [version.ref.version for version in versions if version.stage is Stage.PRODUCTION]
        assert in_production == self.stack[-1:]
        assert model.production == "".join(in_production)
        assert (model.aliases, model.epoch) == (self.aliases, self.epoch)
        assert len(set(self.etags)) == model.epoch
        measured = {version.ref.version: version.measured[0].value for version in versions if version.measured}
        assert measured == self.measured
        assert {version.ref.version for version in versions if version.collect_time is not None} == self.collected
        assert not self.collected & {*self.held, *self.aliases.values(), *self.stack}
        self.moments.append((datetime.now(UTC), model.production, dict(self.aliases), dict(self.stages)))

    @invariant()
    def history_replays_to_the_present(self) -> None:
        events = self.run(self.store.events(NAME, before=None, limit=10_000))[::-1]
        stages: dict[str, Stage] = {}
        for event in events:
            if event.action in (Action.VERSION_CREATED, Action.STAGE_CHANGED, Action.ROLLED_BACK):
                assert event.to_stage is not None
                assert stages.get(event.version) == event.from_stage
                stages[event.version] = event.to_stage
        assert stages == self.stages
        assert {event.epoch for event in events} == set(range(1, self.epoch + 1))
        assert [event.create_time for event in events] == sorted(event.create_time for event in events)


Lifecycle.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLifecycle = Lifecycle.TestCase

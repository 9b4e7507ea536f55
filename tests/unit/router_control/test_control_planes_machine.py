"""Two control planes on one store, three data planes, two batchers that restart, one version that never loads, and two
pipelines that share a member.

News come late, repeated, out of order. Whatever happens: numbers take effect in order and nobody skips one, an accepted
write has exactly one outcome, nobody but its manager writes a managed route without force, rules name variants of their
table, what serves or is wanted is in demand, every loadable wanted version becomes ready, what never loads never
serves, what a data plane may still serve is not unloaded, no purge, commit or revert of kept answers is lost or told
before an older one, and when the trouble is over everything wanted is in force.

`make test` runs a thousand steps, `make test-faults` many more.
"""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from headrace_router.control.decisions.changes import route_written
from headrace_router.control.decisions.fallback_steps import Backup, FallbackStep
from headrace_router.control.decisions.names import Serves
from headrace_router.control.decisions.resolve import Registered, Resolution, resolve
from headrace_router.control.decisions.routes import Route, Variant
from headrace_router.control.decisions.states import Outcome, RouteState, Step, Writer
from headrace_router.control.decisions.stored_answers import AnswerState, Precomputed, StoredAnswers
from headrace_router.rules import Condition, Operator, Rule
from headrace_servicekit.errors import Aborted, NotFound, PreconditionFailed
from hypothesis import HealthCheck, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.kit.batcher.loading_simulation import Loading
from tests.kit.router.control_planes import MEMBERS, MODEL, NEVER_LOADS, STORED, VERSIONS, World, loaded_for

planes = st.integers(0, 1)
batchers = st.integers(0, 1)
data_planes = st.integers(0, 2)
versions = st.sampled_from(sorted(VERSIONS))
weights = st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any)
managers = st.sampled_from(["", "rollouts/1", "rollouts/2"])


def no_time() -> float:
    """Wait for no acknowledgement: whoever is behind is named."""
    return 0.0


class ControlPlanes(World, RuleBasedStateMachine):
    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        World.__init__(self)

    def teardown(self) -> None:
        self.run(self.end_watches())
        self.runner.close()

    # -- the registry -----------------------------------------------------------------------------------------------

    @initialize()
    def register(self) -> None:
        """Begin with a version that serves, and data planes that serve it."""
        self.publish(Registered(MODEL, "one", 1, "v1", {"champion": "v1"}, VERSIONS, MEMBERS))
        for plane in range(2):
            self.deliver(plane, 0)
            self.turn(plane)
        self.when_the_trouble_is_over_everything_wanted_is_in_force()
        for number in range(3):
            self.watch(number, number % 2)
            self.acknowledge(number, 0)

    @rule(version=versions)
    def promote(self, version: str) -> None:
        newest = self.news[-1]
        self.publish(replace(newest, epoch=newest.epoch + 1, production=version))

    @rule(version=versions)
    def point_alias(self, version: str) -> None:
        newest = self.news[-1]
        self.publish(replace(newest, epoch=newest.epoch + 1, aliases={"champion": version}))

    @rule(plane=planes)
    def restore_the_store(self, plane: int) -> None:
        """Be another store from now on, as after a restore of today's backup: every watcher begins anew."""
        self.run(self.store.renew_incarnation())
        self.run(self.control[plane].controller.turn())

    @rule(version=versions, back=st.integers(0, 3))
    def restore(self, version: str, back: int) -> None:
        older = self.news[max(0, len(self.news) - 1 - back)]
        incarnation = f"restored-{len(self.news)}"
        self.publish(replace(older, incarnation=incarnation, production=version))

    @rule(plane=planes, back=st.integers(0, 3))
    def deliver(self, plane: int, back: int) -> None:
        """News of the present incarnation arrive late or twice; those of an earlier one no longer do."""
        news = self.news[max(0, len(self.news) - 1 - back)]
        if news.incarnation == self.news[-1].incarnation:
            self.control[plane].news.seen(news, STORED)

    # -- people -----------------------------------------------------------------------------------------------------

    @rule(
        plane=planes,
        shares=weights,
        version=versions,
        fresh=st.booleans(),
        matching=st.lists(st.integers(0, 2), max_size=3),
        backup=st.sampled_from([None, *Serves]),
        manager=managers,
        force=st.booleans(),
        release=st.booleans(),
    )
    def write(
        self,
        plane: int,
        shares: list[int],
        version: str,
        fresh: bool,
        matching: list[int],
        backup: Serves | None,
        manager: str,
        force: bool,
        release: bool,
    ) -> None:
        """Declare a route as somebody who has read it just now, or some time ago.

        matching: variants of its rules. backup: what its fallback names, if it has one.
        """
        control = self.control[plane]
        if fresh:
            self.run(control.controller.turn())
        variants = (
            Variant("pinned", Serves.VERSION, version, shares[0]),
            Variant("production", Serves.PRODUCTION, "", shares[1]),
            Variant("champion", Serves.ALIAS, "champion", shares[2]),
        )
        change, etag = uuid4(), uuid4().hex
        known = control.view.mirror.state(MODEL)
        assert known is not None
        read_etag = known.declared.etag
        writer = Writer("ana", manager=manager, force=force)
        ruled = [variants[number].name for number in matching]
        rules = tuple(Rule(f"r{n}", (Condition("country", Operator.PRESENT),), name) for n, name in enumerate(ruled))
        targets = {Serves.VERSION: version, Serves.PRODUCTION: "", Serves.ALIAS: "champion"}
        fallback = (FallbackStep("backup", Backup(backup, targets[backup], "default")),) if backup else ()
        holders = []

        def decide(state: RouteState) -> Step:
            holders.append(state.declared.managed_by)
            kept = tuple(one for one in variants if one.weight or one.name in ruled)
            managed_by = "" if release else manager
            route = Route(MODEL, kept, etag=etag, rules=rules, managed_by=managed_by, fallback=fallback)
            now = self.clock.now()
            return route_written(state, route, read_etag=read_etag, change=change, writer=writer, now=now)

        try:
            self.run(control.controller.write(MODEL, decide, None))
        except (Aborted, NotFound):
            return
        except PreconditionFailed:
            assert holders[-1] not in ("", manager)
            assert not force
            return
        assert force or holders[-1] in ("", manager), "a managed route was written by somebody else"
        record = self.run(self.store.change(change))
        assert record is not None
        assert record.change.displaced == (holders[-1] if holders[-1] != manager else "")
        self.accepted.add(change)

    # -- kept answers -----------------------------------------------------------------------------------------------

    @rule(plane=planes, version=versions)
    def purge(self, plane: int, version: str) -> None:
        digest = VERSIONS[version]
        answer_writer = self.control[plane].answer_writer
        before = self.kept[digest][-1]
        after = self.run(answer_writer.purge_cache(MODEL, digest, no_time))
        assert after == replace(before, cache_epoch=before.cache_epoch + 1)
        self.kept[digest].append(after)

    @rule(plane=planes, version=versions)
    def begin_publish(self, plane: int, version: str) -> None:
        """Begin a publish as somebody whose control plane may be behind."""
        digest = VERSIONS[version]
        began_from = self.control[plane].answer_writer.kept(MODEL, digest).generation
        self.publishes.append((digest, len(self.publishes) + 1, began_from))

    @rule(plane=planes, which=st.integers(0, 5))
    def commit(self, plane: int, which: int) -> None:
        """Commit a publish, perhaps once more."""
        if not self.publishes:
            return
        digest, number, began_from = self.publishes[-1 - which % len(self.publishes)]
        before = self.kept[digest][-1]
        new = Precomputed(number, self.clock.now())
        try:
            after = self.run(
                self.control[plane].answer_writer.commit_precomputed(
                    MODEL, digest, new, expected=began_from, time_left=no_time
                )
            )
        except Aborted:
            assert before.generation != began_from or number <= before.newest, "refused for no reason"
            return
        if number == before.generation:
            assert after == before
            return
        assert before.generation == began_from, "a commit was lost"
        assert after.generation == number
        assert after.previous == before.precomputed
        self.kept[digest].append(after)

    @rule(plane=planes, version=versions, back=st.integers(0, 2))
    def revert(self, plane: int, version: str, back: int) -> None:
        """Revert what counts, or what the caller believes to count."""
        digest = VERSIONS[version]
        before = self.kept[digest][-1]
        believed = self.kept[digest][-1 - back % len(self.kept[digest])].generation
        answer_writer = self.control[plane].answer_writer
        try:
            after = self.run(answer_writer.revert_precomputed(MODEL, digest, expected=believed, time_left=no_time))
        except (Aborted, PreconditionFailed):
            assert believed != before.generation or before.generation == 0
            return
        if after != before:
            assert believed in (0, before.generation)
            assert after.precomputed == before.previous
            self.kept[digest].append(after)

    # -- batchers ---------------------------------------------------------------------------------------------------

    @rule(batcher=batchers, plane=planes)
    def load(self, batcher: int, plane: int) -> None:
        """Load what is wanted, unload what is not, and say so."""
        wanted = self.demand(plane)
        self.load_all(batcher, wanted)
        self.report(batcher, plane)
        _, ready = self.held[batcher]
        assert wanted - {NEVER_LOADS} == ready & wanted, "a loadable wanted version did not become ready"

    @rule(batcher=batchers, plane=planes)
    def restart(self, batcher: int, plane: int) -> None:
        self.held[batcher] = (f"batcher-{batcher}-{uuid4()}", set())
        self.loading[batcher] = Loading()
        self.report(batcher, plane)

    @rule(plane=planes, version=versions, seconds=st.sampled_from([0, 30, 600]))
    def lease(self, plane: int, version: str, seconds: int) -> None:
        """Be a scorer that needs a version for a while."""
        control = self.control[plane]
        ttl, left_s = timedelta(seconds=seconds), 1.0
        end, _ = self.run(control.leasing.lease(MODEL, version, "default", "scorer", ttl, left_s))
        self.leased[version] = end or self.clock.now()

    # -- data planes ------------------------------------------------------------------------------------------------

    @rule(number=data_planes, plane=planes)
    def watch(self, number: int, plane: int) -> None:
        """Begin to watch, or go to another control plane."""
        control, watcher = self.control[plane], self.watchers[number]
        newest = control.view.mirror.newest_generation
        same_store = control.view.mirror.incarnation == watcher.incarnation
        if same_store and watcher.numbers and newest < watcher.numbers[-1]:
            return  # a data plane does not go back to a control plane that is behind it
        self.run(self.cut(watcher))
        self.run(control.presence.welcome(watcher.id))
        watcher.stream = control.view.tables.watch(watcher.id)
        watcher.numbers = []
        self.run(self.take_in(watcher))

    @rule(number=data_planes)
    def cut_off(self, number: int) -> None:
        """Lose the watch; what is served goes on being served."""
        self.run(self.cut(self.watchers[number]))

    @rule(number=data_planes)
    def hear(self, number: int) -> None:
        self.run(self.take_in(self.watchers[number]))

    @rule(number=data_planes, plane=planes)
    def acknowledge(self, number: int, plane: int) -> None:
        """Everything admitted under older tables is answered."""
        watcher = self.watchers[number]
        if watcher.numbers and watcher.stream is not None:
            if self.control[plane].view.mirror.incarnation != watcher.incarnation:
                return  # refused: the number is one of another store
            try:
                self.run(self.control[plane].presence.acknowledge(watcher.id, watcher.numbers[-1]))
            except PreconditionFailed:
                return
            watcher.unacknowledged.clear()

    # -- time -------------------------------------------------------------------------------------------------------

    @rule(plane=planes)
    def turn(self, plane: int) -> None:
        self.run(self.control[plane].controller.turn())

    @rule(seconds=st.sampled_from([1, 4, 29, 121]))
    def wait(self, seconds: int) -> None:
        self.run(self.clock.advance(seconds))

    # -- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def numbers_take_effect_in_order(self) -> None:
        entries = self.run(self.store.news(0, 0)).entries
        assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))

    @invariant()
    def the_registrys_word_is_never_taken_back(self) -> None:
        registered = self.run(self.store.news(0, 0)).records[0].state.registered
        assert registered.incarnation != self.known.incarnation or registered.epoch >= self.known.epoch
        self.known = registered

    @invariant()
    def what_never_loads_never_serves(self) -> None:
        for record in self.run(self.store.news(0, 0)).records:
            assert record.state.active is None or NEVER_LOADS not in record.state.active.table.digests

    @invariant()
    def a_pipeline_serves_with_the_members_that_it_was_registered_with(self) -> None:
        for record in self.run(self.store.news(0, 0)).records:
            for variant in record.state.active.table.variants if record.state.active else ():
                assert variant.members == MEMBERS.get(variant.digest, ())

    @invariant()
    def what_is_kept_is_what_was_accepted_last(self) -> None:
        news = self.run(self.store.news(0, 0))
        state = news.records[0].state if news.records else None
        if state is None:
            return
        for digest, ever in self.kept.items():
            assert state.kept.get(digest, AnswerState()) == ever[-1]
            if state.active is not None and digest in state.active.table.digests:
                assert state.active.kept.get(digest, StoredAnswers()) == ever[-1].answers
                told = news.entries[-1].generation
                assert told is not None
                assert (told.number, told.kept) == (state.active.number, state.active.kept)

    @invariant()
    def an_accepted_write_waits_or_has_ended(self) -> None:
        for change in self.accepted:
            record = self.run(self.store.change(change))
            assert record is not None
            if record.outcome is None:
                (stored,) = self.run(self.store.news(0, 0)).records
                assert stored.state.pending is not None
                assert stored.state.pending.id == change

    @rule(plane=planes)
    def what_is_wanted_or_may_be_served_is_in_demand(self, plane: int) -> None:
        control = self.control[plane]
        self.run(control.controller.turn())
        wanted = self.demand(plane)
        state = control.view.mirror.state(MODEL)
        assert state is not None
        for table in (state.active and state.active.table, state.pending and state.pending.table):
            if table:
                assert loaded_for(table.digests) <= wanted
        assert wanted.isdisjoint(MEMBERS), "batchers are to hold a pipeline, which has no file"
        for version, end in self.leased.items():
            assert end <= self.clock.now() or loaded_for([VERSIONS[version]]) <= wanted
        for watcher in self.watchers:
            seen = control.view.mirror.planes.get(watcher.id)
            if seen is not None and self.clock.now() - seen.seen_at < control.view.timing.forget_after:
                for digests in (watcher.serves, *watcher.unacknowledged):
                    assert loaded_for(digests) <= wanted, f"{watcher.id} may serve what would be unloaded"

    @rule()
    def when_the_trouble_is_over_everything_wanted_is_in_force(self) -> None:
        newest = self.news[-1]
        for plane in range(2):
            self.control[plane].news.seen(newest, STORED)
            self.turn(plane)
        for _ in range(2):
            for number in range(2):
                self.load(number, number)
            self.turn(0)
            self.turn(1)
        stored = self.run(self.store.news(0, 0)).records[0].state
        assert stored.active is not None
        if stored.pending is not None:
            assert NEVER_LOADS in stored.pending.table.digests, "a change waits for nothing"
            return
        wanted = resolve(stored.in_force, newest, stored.active.table.backups)
        if isinstance(wanted, Resolution):
            assert stored.active.table.resolution == wanted
            assert stored.active.epoch == newest.epoch
        for control in self.control:
            assert control.view.mirror.state(MODEL) == stored
        for watcher in self.watchers:
            self.run(self.take_in(watcher))
            if watcher.stream is not None:
                assert watcher.serves == set(stored.active.table.digests)
                for digest in watcher.serves:
                    assert self.kept[digest][watcher.kept[digest]].answers == self.kept[digest][-1].answers
        for change in self.accepted:
            record = self.run(self.store.change(change))
            assert record is not None
            assert record.outcome in set(Outcome)


FEW = settings(max_examples=20, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TestControlPlanes = ControlPlanes.TestCase
TestControlPlanes.settings = FEW


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(4))
def test_control_planes_for_thousands_of_steps(seed: int) -> None:
    """Each seed begins elsewhere; what fails is printed with what reproduces it."""
    many = settings(FEW, max_examples=60, stateful_step_count=100, database=None, print_blob=True)
    run_state_machine_as_test(hypothesis_seed(seed)(ControlPlanes), settings=many)

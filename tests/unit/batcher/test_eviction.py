"""Which loaded version gives its memory up for others, and which never does."""

import math
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from headrace_batcher.decisions.eviction import Spare, is_cold, retry_after_s, spare
from headrace_batcher.decisions.lifecycle import Step, next_step
from headrace_batcher.decisions.version_state import Memory, Need, Phase, VersionState
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

READY, EVICTED, EVICTING, LOADING = Phase.READY, Phase.EVICTED, Phase.EVICTING, Phase.LOADING
WARM_FOR_S, NOW = 60.0, 1000.0
SHORT = Memory(101, 100)


def seen(digest: str, phase: Phase = READY, *, answered: float = -math.inf, **fields) -> VersionState:
    fields = {"wanted_rank": 0, "size_bytes": 10, "loaded_at": 1.0} | fields
    return VersionState(digest, digest, phase, answered_at=answered, **fields)


def step(*held: VersionState, used: int = 101, memory: Memory | None = None, now: float = NOW, **fields) -> Step:
    return next_step(
        held,
        backend_up=True,
        unload_after_s=30.0,
        now=now,
        memory=memory or Memory(used, 100),
        warm_for_s=WARM_FOR_S,
        **fields,
    )


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        pytest.param([seen("a", answered=900.0), seen("b", answered=800.0)], Spare((), "b"), id="who answered first"),
        pytest.param([seen("a", loaded_at=7.0), seen("b", loaded_at=6.0)], Spare((), "b"), id="or was loaded first"),
        pytest.param([seen("a", answered=941.0), seen("b", answered=939.0)], Spare((), "b"), id="nobody that is warm"),
        pytest.param([seen("a", pinned=True), seen("b", busy=True)], Spare(), id="nor pinned, nor asked for"),
        pytest.param([seen("a"), seen("b", EVICTING)], Spare(), id="one at a time"),
        pytest.param(
            [seen("a"), seen("r", need=Need.REVERT)], Spare(("r",)), id="first what only a rollback would need"
        ),
        pytest.param(
            [seen("a"), seen("u", wanted_rank=None, unwanted_since=1.0)],
            Spare(("u",)),
            id="before that what nobody wants",
        ),
    ],
)
def test_who_gives_way_when_memory_is_short(held, expected):
    assert spare(held, SHORT, WARM_FOR_S, NOW) == expected


def test_nothing_is_evicted_for_what_only_a_rollback_would_need():
    assert spare([seen("a")], SHORT, WARM_FOR_S, NOW, Need.REVERT) == Spare()


def test_what_takes_new_settings_is_unloaded_when_it_has_them_wanted_or_not():
    unwanted = seen("a", wanted_rank=None, unwanted_since=1.0, settling=True)
    assert step(unwanted, used=10) == step(unwanted) == Step(None, (), math.inf)
    assert step(replace(unwanted, settling=False)).drop == ("a",)
    assert spare([replace(unwanted, wanted_rank=0), seen("b", answered=800.0)], SHORT, WARM_FOR_S, NOW).evict == "b"


def test_for_the_memory_of_gpus_nothing_goes_that_runs_on_a_cpu():
    held = [seen("cpu", on_gpu=False), seen("gpu", answered=1.0)]
    short = Memory(50, 100, gpu_used=101, gpu_limit=100)
    assert spare(held, short, WARM_FOR_S, NOW) == Spare((), "gpu")
    assert spare(held, replace(short, used=101), WARM_FOR_S, NOW) == Spare((), "cpu")
    assert short.is_short
    assert not short.has_room(seen("new", Phase.WAITING))
    assert short.has_room(seen("new", Phase.WAITING, on_gpu=False))


def test_no_more_is_evicted_before_a_gpu_is_seen_to_have_given_memory_back():
    """Triton says every two seconds what is in use there, and is asked as often."""
    held = [seen("a"), seen("b"), seen("asked", EVICTED, busy=True)]
    for used in (101, 95):  # short, and short for what is asked for
        memory = Memory(10, 100, gpu_used=used, gpu_limit=100)
        assert step(*held, memory=memory, freed_at=NOW - 5.0).evict == "a"
        assert step(*held, memory=memory, freed_at=NOW - 1.0) == Step(None, (), NOW + 4.0)
        assert step(*held, memory=replace(memory, used=101), freed_at=NOW - 1.0).evict == "a"


def test_what_was_evicted_is_loaded_when_it_is_asked_for_before_what_nobody_waits_for():
    held = [seen("new", Phase.WAITING, wanted_since=1.0), seen("asked", EVICTED, busy=True, wanted_since=2.0)]
    assert step(*held, used=10).load == "asked"
    assert step(seen("not asked", EVICTED), used=10) == Step(None, (), math.inf)


def test_there_is_room_made_for_what_is_asked_for_and_where_all_is_warm_it_is_told_so():
    asked = seen("asked", EVICTED, busy=True)
    assert step(seen("cold"), asked, used=95).evict == "cold"
    assert step(seen("cold", EVICTING), asked, used=95) == Step(None, (), math.inf)
    assert step(seen("warm", answered=990.0), asked, used=95) == Step(None, (), math.inf, crowded="asked")
    assert step(asked, used=500).load == "asked", "nothing is loaded: what is used is not for models"


def test_what_is_freed_a_moment_later_is_waited_for():
    held = [seen("warm", answered=990.0), seen("asked", EVICTED, busy=True)]
    assert step(*held, used=95, freed_at=NOW - 1.0) == Step(None, (), NOW + 2.0)


def test_who_is_turned_away_comes_back_when_the_first_may_be_evicted():
    held = [seen("a", answered=950.0), seen("b", answered=945.0), seen("c", answered=1.0, pinned=True)]
    assert retry_after_s(held, WARM_FOR_S, NOW) == 5.0
    assert retry_after_s([seen("a", pinned=True)], WARM_FOR_S, NOW) > 0.0
    assert retry_after_s([seen("a", busy=True)], WARM_FOR_S, NOW) > 0.0
    assert retry_after_s([seen("a", answered=950.0)], math.inf, NOW) == 3600.0, "and not never"


STATES = st.builds(
    seen,
    st.uuids().map(str),
    st.sampled_from(Phase),
    answered=st.one_of(st.just(-math.inf), st.floats(0.0, NOW)),
    wanted_rank=st.one_of(st.none(), st.integers(0, 9)),
    need=st.sampled_from(Need),
    pinned=st.booleans(),
    busy=st.booleans(),
    loaded_at=st.floats(0.0, NOW),
)


@given(st.lists(STATES, max_size=12), st.integers(0, 200))
def test_nothing_warm_is_evicted_and_nobody_is_colder_than_who_is(held, used):
    chosen = step(*held, used=used)
    assert chosen.evict is None or chosen.evict not in chosen.drop
    if chosen.evict is not None:
        one = next(state for state in held if state.digest == chosen.evict)
        assert is_cold(one, WARM_FOR_S, NOW)
        assert one.wanted_rank is not None
        colder = [state for state in held if is_cold(state, WARM_FOR_S, NOW) and state.loaded_at < one.loaded_at]
        assert all(state.answered_at >= max(one.answered_at, one.loaded_at) for state in colder)
    loads = {state.digest: state for state in held if state.digest == chosen.load}
    assert all(state.phase in (Phase.WAITING, Phase.FAILED) or state.busy for state in loads.values())


class Pool(RuleBasedStateMachine):
    """Fifty versions in room for ten, five of which are asked for all the time; the rest at random."""

    ROOM, HOT = 10, 5

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.held = {f"v{at:02}": seen(f"v{at:02}", Phase.WAITING) for at in range(50)}
        self.asked_at = dict.fromkeys(self.held, -math.inf)

    @property
    def loaded(self) -> list[str]:
        return [name for name, one in self.held.items() if one.phase is READY]

    def put(self, name: str, **fields) -> None:
        self.held[name] = replace(self.held[name], **fields)

    def settle(self) -> None:
        for _ in range(400):
            done = step(*self.held.values(), used=10 * len(self.loaded), now=self.now)
            assert not done.drop
            if done.evict is not None:
                assert self.now - self.asked_at[done.evict] >= WARM_FOR_S, "it is hot"
                self.put(done.evict, phase=EVICTED, busy=False)
            elif done.crowded is not None:
                self.put(done.crowded, busy=False)
            elif done.load is not None:
                asked = self.held[done.load].busy
                self.put(done.load, phase=READY, loaded_at=self.now, busy=False)
                if asked:
                    self.asked_at[done.load] = self.now
                    self.put(done.load, answered_at=self.now)
            else:
                return
        raise AssertionError("it never settles")

    @rule(seconds=st.floats(0.1, 30.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for at in range(self.HOT):
            self.ask(f"v{at:02}")
        self.settle()

    @rule(which=st.integers(5, 49))
    def somebody_asks(self, which: int) -> None:
        self.ask(f"v{which:02}")
        self.settle()

    def ask(self, name: str) -> None:
        if self.held[name].phase is READY:
            self.asked_at[name] = self.now
            self.put(name, answered_at=self.now)
        elif self.held[name].phase is EVICTED:
            self.put(name, busy=True)

    @invariant()
    def no_more_is_loaded_than_there_is_room_for(self) -> None:
        assert len(self.loaded) <= self.ROOM

    @precondition(lambda self: self.loaded)
    @rule()
    def what_is_asked_for_is_loaded_once_something_is_cold(self) -> None:
        self.now += WARM_FOR_S + 1.0
        name = next(name for name, one in self.held.items() if one.phase is EVICTED)
        self.ask(name)
        self.settle()
        assert self.held[name].phase is READY


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)

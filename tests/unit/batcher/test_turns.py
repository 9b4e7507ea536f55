"""Versions take turns to be loaded: what never loads delays others by a bounded time, and is left alone in the end.

The machine wants, promotes and gives up versions that load in any time or never, in any order.
"""

import math

import pytest
from headrace_batcher.decisions.lifecycle import MAX_COSTLY, next_step
from headrace_batcher.decisions.turns import ALONE_S, SHARE_S, LoadBounds
from headrace_batcher.decisions.version_state import End, Need, Phase, VersionState
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.kit.batcher.loading_simulation import NEVER, Loading

BOUNDS = LoadBounds(at_once=2, attempt_s=60.0)
# All attempts that a version that never loads has before it is left alone: those that give way double up to the bound.
SPENT_AT_MOST_S = MAX_COSTLY * BOUNDS.attempt_s + 2 * BOUNDS.attempt_s


def seen(digest: str, phase: Phase = Phase.WAITING, rank: int | None = 0, **fields) -> VersionState:
    return VersionState(digest, digest, phase, rank, **fields)


def step(*held: VersionState, now: float = 100.0):
    return next_step(held, backend_up=True, unload_after_s=30.0, now=now, bounds=BOUNDS)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param({"failures": 0, "used_s": 50.0}, {"failures": 1}, id="fewest failures"),
        pytest.param({"used_s": 1.0}, {"used_s": 2.0}, id="then the least time used"),
        pytest.param({"need": Need.ACTIVE, "rank": 5}, {"need": Need.PENDING, "rank": 0}, id="then what serves"),
        pytest.param({"need": Need.PENDING}, {"need": Need.LEASED}, id="a change before a lease"),
        pytest.param({"need": Need.LEASED}, {"need": Need.REVERT}, id="a lease before a rollback"),
        pytest.param({"wanted_since": 1.0, "rank": 5}, {"wanted_since": 2.0, "rank": 0}, id="then who waits longest"),
        pytest.param({"rank": 0}, {"rank": 1}, id="then the order of the demand"),
    ],
)
def test_who_is_next(first, then):
    assert step(seen("b", **first), seen("a", **then)).load == "b"
    assert step(seen("a", **then), seen("b", **first)).load == "b"


def test_another_version_is_loaded_beside_one_that_takes_long_within_the_bound():
    slow = seen("a", Phase.LOADING, loading_since=98.0, opening_since=98.0)
    assert step(slow, seen("b")).load is None
    assert step(slow, seen("b")).until == 98.0 + ALONE_S
    assert step(slow, seen("b"), now=103.0).load == "b"
    both = slow, seen("b", Phase.LOADING, loading_since=103.0, opening_since=103.0)
    assert step(*both, seen("c"), now=104.0).load is None


def test_beside_a_suspect_nothing_is_loaded():
    suspect = seen("a", Phase.LOADING, loading_since=0.0, opening_since=95.0, suspected=True)
    assert step(suspect, seen("b")).load is None
    assert step(seen("a", Phase.LOADING, loading_since=0.0, opening_since=95.0), seen("b", suspected=True)).load is None


def test_who_has_had_its_share_gives_way_to_who_had_less_and_as_much_need():
    full = [
        seen("a", Phase.LOADING, loading_since=80.0, opening_since=80.0, need=Need.PENDING),
        seen("b", Phase.LOADING, loading_since=95.0, opening_since=95.0, need=Need.PENDING),
    ]
    assert step(*full, seen("c", need=Need.PENDING)).end == (("a", End.GIVES_WAY),)
    assert step(*full, seen("c", need=Need.ACTIVE)).end == (("a", End.GIVES_WAY),)
    assert step(*full, seen("c", need=Need.REVERT)).end == (), "a rollback can wait"
    assert step(*full, seen("c", need=Need.PENDING, failures=1)).end == (), "it failed before"
    assert step(*full, seen("c", need=Need.PENDING, used_s=21.0)).end == (), "it has used more"
    assert step(*full).end == (), "nobody waits"
    assert step(*full[1:], full[1], seen("c", need=Need.PENDING)).until == 95.0 + SHARE_S


def test_an_attempt_ends_when_it_takes_too_long_or_nobody_wants_it_any_more():
    late = seen("a", Phase.LOADING, loading_since=30.0, opening_since=40.0)
    assert step(late).end == (("a", End.OVERDUE),)
    assert step(late, now=99.0).until == 100.0
    unwanted = seen("a", Phase.LOADING, None, loading_since=99.0, opening_since=99.0, unwanted_since=99.5)
    assert step(unwanted).end == (("a", End.UNWANTED),)


def test_an_attempt_that_waits_for_its_file_is_not_late():
    assert step(seen("a", Phase.LOADING, loading_since=0.0, opening_since=math.inf)).end == ()


def test_a_good_version_wanted_after_six_that_never_load_is_ready_within_one_attempt():
    pool = Loading(BOUNDS)
    for number in range(6):
        pool.want(f"a-hostile-{number}", NEVER)
    pool.run(1.0)
    pool.want("good", 2.0)
    wanted_at = pool.now
    pool.run(BOUNDS.attempt_s)
    assert pool.ready_at["good"] - wanted_at <= 6 * SHARE_S / BOUNDS.at_once + 2.0


def test_once_six_that_never_load_were_tried_a_good_version_is_ready_within_one_share():
    pool = Loading(BOUNDS)
    for number in range(6):
        pool.want(f"a-hostile-{number}", NEVER)
    pool.run(300.0)
    pool.want("good", 2.0)
    wanted_at = pool.now
    pool.run(BOUNDS.attempt_s)
    assert pool.ready_at["good"] - wanted_at <= SHARE_S + ALONE_S + 2.0


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"need": Need.ACTIVE, "change": "1"}, id="it is needed more"),
        pytest.param({"need": Need.PENDING, "change": "2"}, id="another change names it"),
    ],
)
def test_what_never_loads_is_left_alone_in_the_end_until_somebody_asks_again(asked):
    pool = Loading(BOUNDS)
    pool.want("hostile", NEVER, change="1")
    pool.run(24 * 3600.0)
    assert pool.spent_s["hostile"] == pytest.approx(MAX_COSTLY * BOUNDS.attempt_s, abs=0.1)
    assert pool.held["hostile"].given_up
    pool.want("hostile", NEVER, Need.PENDING, "1")
    pool.run(600.0)
    assert not pool.loading(), "the same demand, told again, asks for nothing"
    pool.want("hostile", NEVER, **asked)
    pool.run(1.0)
    assert pool.loading() == {"hostile"}


def test_who_asks_anew_waits_behind_who_has_waited_already():
    pool = Loading(BOUNDS)
    for name in ("first", "second"):
        pool.want(name, NEVER, change="1")
    pool.run(7.0)
    pool.want("good", 1.0)
    for _ in range(5):
        pool.want("first", NEVER, change=str(pool.now))
        pool.want("second", NEVER, change=str(pool.now))
        pool.run(1.0)
    assert pool.ready_at["good"] <= SHARE_S + 1.0


def test_versions_that_need_long_get_it_although_they_keep_giving_way():
    pool = Loading(BOUNDS)
    for number in range(5):
        pool.want(f"large-{number}", 55.0)
    pool.run(1200.0)
    assert len(pool.ready_at) == 5


class Turns(RuleBasedStateMachine):
    """Versions come, become more urgent and go; some of them never load."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Loading(BOUNDS)
        self.count = 0

    @rule(takes_s=st.sampled_from([0.5, 3.0, 12.0, 40.0, NEVER, NEVER]), need=st.sampled_from(Need))
    def want(self, takes_s: float, need: Need) -> None:
        self.pool.want(f"v{self.count}", takes_s, need)
        self.count += 1

    @rule(which=st.integers(0, 20))
    def make_more_urgent(self, which: int) -> None:
        if f"v{which}" in self.pool.held and self.pool.held[f"v{which}"].rank is not None:
            self.pool.want(f"v{which}", 0.0, Need.ACTIVE)

    @rule(which=st.integers(0, 20))
    def give_up(self, which: int) -> None:
        if f"v{which}" in self.pool.held:
            self.pool.unwant(f"v{which}")

    @rule(seconds=st.sampled_from([0.1, 2.0, 9.0, 70.0, 600.0]))
    def wait(self, seconds: float) -> None:
        self.pool.run(seconds)

    @invariant()
    def few_are_loaded_at_once_and_none_that_nobody_wants(self) -> None:
        self.pool.run(0.0)
        assert len(self.pool.loading()) <= BOUNDS.at_once
        assert all(self.pool.held[name].rank is not None for name in self.pool.loading())

    @rule()
    def every_loadable_wanted_version_becomes_ready(self) -> None:
        """Within one attempt for each that is wanted, whatever the others do."""
        wanted = [name for name, held in self.pool.held.items() if held.rank is not None]
        self.pool.run(SPENT_AT_MOST_S + len(wanted) * BOUNDS.attempt_s)
        for name in wanted:
            if self.pool.takes_s[name] < NEVER:
                assert self.pool.held[name].phase is Phase.READY, name

    @rule()
    def what_never_loads_costs_little_in_a_day(self) -> None:
        before = dict(self.pool.spent_s)
        self.pool.run(24 * 3600.0)
        for name, spent_s in self.pool.spent_s.items():
            if self.pool.takes_s[name] == NEVER:
                assert spent_s - before[name] <= SPENT_AT_MOST_S


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

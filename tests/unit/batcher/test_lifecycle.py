"""Which version is loaded next, which goes, and when to look again."""

import math
from dataclasses import replace

import pytest
from headrace_batcher.decisions.lifecycle import (
    FREED_S,
    MAX_CRASH_RETRY_S,
    MAX_RETRY_S,
    Step,
    next_step,
    reload_after_s,
    retry_after_s,
)
from headrace_batcher.decisions.version_state import Memory, Need, Phase, VersionState

from tests.kit.rows import each

WAITING, LOADING, READY = Phase.WAITING, Phase.LOADING, Phase.READY
FAILED, DRAINING = Phase.FAILED, Phase.DRAINING
ACTIVE, PENDING, REVERT = Need.ACTIVE, Need.PENDING, Need.REVERT


def seen(
    digest: str,
    phase: Phase,
    rank: int | None = 0,
    *,
    name: str = "",
    since=math.inf,
    retry_at=0.0,
    need: Need = ACTIVE,
    size: int = 10,
    short: bool = False,
) -> VersionState:
    return VersionState(digest, name or digest, phase, rank, since, retry_at, need, size, short, loading_since=99.0)


def step(
    *held: VersionState, up: bool = True, used: int | None = None, may_load: bool = True, freed_at=-math.inf
) -> Step:
    memory = None if used is None else Memory(used, 100)
    return next_step(
        held,
        backend_up=up,
        unload_after_s=30.0,
        now=100.0,
        memory=memory,
        freed_at=freed_at,
        may_load=may_load,
    )


@each(
    "held,up,load",
    [
        pytest.param([seen("a", WAITING, 1), seen("b", WAITING, 0)], True, "b", id="the most needed first"),
        pytest.param([seen("a", LOADING), seen("b", WAITING)], True, None, id="one at a time while that is quick"),
        pytest.param([seen("a", LOADING, name="m"), seen("b", WAITING, name="m")], True, None, id="name being loaded"),
        pytest.param([seen("a", WAITING)], False, None, id="not without a backend"),
        pytest.param([seen("a", READY)], True, None, id="nothing to do"),
        pytest.param([seen("a", FAILED, retry_at=99.0)], True, "a", id="a failed one whose time has come"),
        pytest.param([seen("a", FAILED, 0, retry_at=101.0), seen("b", WAITING, 1)], True, "b", id="passing by another"),
        pytest.param([seen("a", DRAINING, None, name="m"), seen("b", WAITING, name="m")], True, None, id="name in use"),
        pytest.param([seen("a", WAITING, None, since=0.0)], True, None, id="not what nobody wants"),
        pytest.param(
            [seen("a", FAILED, None, name="m"), seen("b", WAITING, name="m")],
            True,
            None,
            id="name of what is dropped now",
        ),
    ],
)
def test_the_next_version_to_load(held, up, load):
    assert step(*held, up=up).load == load


@each(
    "held,drop",
    [
        pytest.param(seen("a", READY, None, since=69.0), ("a",), id="unwanted long enough"),
        pytest.param(seen("a", READY, None, since=71.0), (), id="unwanted only lately"),
        pytest.param(seen("a", READY, 3), (), id="wanted"),
        pytest.param(seen("a", FAILED, None, since=99.0), ("a",), id="a failed one goes at once"),
        pytest.param(seen("a", LOADING, None, since=0.0), (), id="not before its loading has ended"),
        pytest.param(seen("a", DRAINING, None, since=0.0), (), id="not twice"),
    ],
)
@each("up", [True, False])
def test_what_is_dropped(held, drop, up):
    assert step(held, up=up).drop == drop


def test_it_is_looked_again_when_the_next_thing_is_due():
    assert step(seen("a", READY, None, since=80.0), seen("b", FAILED, retry_at=105.0)).until == 105.0
    assert step(seen("a", READY, None, since=71.0), seen("b", FAILED, retry_at=105.0)).until == 101.0
    assert step(seen("a", READY)).until == math.inf


def test_retries_become_rarer_but_do_not_end():
    waits = [retry_after_s(failures) for failures in range(1, 200)]
    assert waits == sorted(waits)
    assert waits[0] == 1.0
    assert waits[-1] == MAX_RETRY_S


def test_nothing_is_loaded_while_a_suspect_wants_to_be_alone():
    held = [seen("a", WAITING), seen("b", READY, None, since=0.0)]
    assert step(*held, may_load=False) == Step(None, ("b",), math.inf)


@each(
    "held,used,expected",
    [
        pytest.param(
            [seen("a", READY), seen("r", READY, 1, need=REVERT), seen("u", READY, None, since=99.0)],
            101,
            Step(None, ("u",), 129.0),
            id="what nobody wants goes first, and at once",
        ),
        pytest.param(
            [seen("a", READY), seen("u", READY, None, since=99.0), seen("v", READY, None, since=98.0)],
            101,
            Step(None, ("v",), 128.0),
            id="of that what has been unwanted for longest",
        ),
        pytest.param(
            [seen("a", READY), seen("r", READY, 1, need=REVERT), seen("s", READY, 2, need=REVERT)],
            101,
            Step(None, ("s",), math.inf),
            id="then the last that a rollback would need",
        ),
        pytest.param(
            [seen("r", READY, 1, need=REVERT), seen("u", DRAINING, None, since=0.0)],
            101,
            Step(None, (), math.inf),
            id="one at a time",
        ),
        pytest.param(
            [seen("a", READY), seen("p", READY, 1, need=PENDING)], 500, Step(None, (), math.inf), id="never what serves"
        ),
        pytest.param([seen("a", WAITING)], 500, Step("a", (), math.inf), id="what serves is loaded whatever it takes"),
        pytest.param([seen("p", WAITING, need=PENDING)], 90, Step("p", (), math.inf), id="there is room"),
        pytest.param(
            [seen("a", READY), seen("p", WAITING, 1, need=PENDING)],
            91,
            Step(None, (), math.inf, no_room="p"),
            id="what a change waits for fails when it does not fit",
        ),
        pytest.param(
            [seen("a", READY), seen("p", WAITING, 1, need=PENDING), seen("r", READY, 2, need=REVERT)],
            91,
            Step(None, ("r",), math.inf),
            id="unless there is something to give up for it",
        ),
        pytest.param(
            [seen("p", WAITING, 1, need=PENDING), seen("r", DRAINING, 2, need=REVERT)],
            91,
            Step(None, (), math.inf),
            id="which is waited for",
        ),
        pytest.param(
            [seen("r", WAITING, need=REVERT)], 81, Step(None, (), math.inf, no_room="r"), id="a rollback needs air"
        ),
        pytest.param(
            [seen("r", WAITING, 1, need=REVERT), seen("s", READY, 2, need=REVERT)],
            85,
            Step(None, (), math.inf, no_room="r"),
            id="and is given no other one's place",
        ),
    ],
)
def test_what_gives_way_when_memory_is_short(held, used, expected):
    assert step(*held, used=used) == expected


def test_what_an_unloaded_version_held_is_waited_for_before_there_is_said_to_be_no_memory():
    held = seen("a", READY), seen("p", WAITING, 1, need=PENDING)
    just_now = 100.0 - FREED_S / 2
    assert step(*held, used=91, freed_at=just_now) == Step(None, (), just_now + FREED_S)
    assert step(*held, used=90, freed_at=just_now) == Step("p", (), math.inf)
    assert step(*held, used=91, freed_at=100.0 - FREED_S) == Step(None, (), math.inf, no_room="p")


def test_a_rollbacks_version_does_not_take_the_place_that_something_more_urgent_waits_for():
    revert = seen("r", WAITING, 1, need=REVERT)
    waits = seen("p", FAILED, 0, need=PENDING, retry_at=101.0, short=True)
    assert step(waits, revert, used=0) == Step(None, (), 101.0)
    assert step(replace(waits, short=False), revert, used=0).load == "r", "it would not load for another reason"
    assert step(revert, seen("s", FAILED, 2, need=REVERT, retry_at=101.0, short=True), used=0).load == "r"


def test_a_rest_is_longer_than_what_the_attempt_took_and_grows():
    waits = [retry_after_s(failures, attempt_s=30.0) for failures in (1, 2, 3)]
    assert waits == [60.0, 120.0, 240.0]
    assert retry_after_s(2, 2, attempt_s=30.0) == 120.0


def test_what_takes_the_backend_down_while_it_is_loaded_is_left_alone_for_much_longer():
    assert retry_after_s(1, 1) == retry_after_s(1)
    waits = [retry_after_s(crashes, crashes) for crashes in range(2, 30)]
    assert waits[:3] == [10.0, 20.0, 40.0]
    assert waits[-1] == MAX_CRASH_RETRY_S


def test_a_version_that_crashes_is_loaded_again_at_once_twice_then_less_and_less_often():
    waits = [reload_after_s(crashes) for crashes in range(1, 200)]
    assert waits[:5] == [0.0, 0.0, 1.0, 2.0, 4.0]
    assert waits[-1] == MAX_RETRY_S

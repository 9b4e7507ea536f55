"""What people are told about a route: whether it serves what is declared, what it waits for, who lags behind."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from headrace_router.control.decisions.acks import CONNECTED, DataPlane, oldest_in_use, remembered_since
from headrace_router.control.decisions.readiness import Fleet, Held, Needed, Phase, Report
from headrace_router.control.decisions.states import RouteState
from headrace_router.control.decisions.status import Condition, Status, status_of

from tests.kit.router.route_states import (
    LIMITS,
    START,
    at,
    fleet,
    numbered,
    onward,
    registered,
    seen,
    serving,
    split,
    write,
)

V2 = Needed("v2", "d2", "default")


def plane(name: str, acknowledged: int = 1, first_seen: int = 0, seconds: float = 0) -> DataPlane:
    return DataPlane(name, acknowledged, first_seen, at(seconds))


def status(
    state: RouteState,
    ready: Fleet,
    *,
    planes: Iterable[DataPlane] = (),
    watching: Collection[str] = (),
    vanished: bool = False,
    left_out: str = "",
) -> Status:
    return status_of(
        state,
        ready,
        planes,
        watching=watching,
        vanished=vanished,
        left_out=left_out,
        now=START,
        remembered_since=at(-60),
        limits=LIMITS,
    )


def reports(*held: Held) -> Fleet:
    return Fleet([Report("default", str(number), "", at(5), {"d2": one}) for number, one in enumerate(held)], START)


def test_a_route_that_serves_what_is_declared_is_active_and_gives_no_reason():
    told = status(serving("v1", epoch=3), fleet("d1"))
    assert (told.condition, told.reason) == (Condition.ACTIVE, "")
    assert (told.generation, told.epoch, told.wanted_epoch, told.active_at) == (1, 3, 3, START)
    assert [(one.needed.version, in_force) for one, in_force in told.versions] == [("v1", True)]


def test_a_route_that_waits_says_for_what_and_shows_what_it_waits_for():
    told = status(write(serving(), split(90, 10)).state, fleet("d1"))
    assert told.condition is Condition.PENDING
    assert told.reason == "version 'v2' is ready on 0 of 1 batchers of pool 'default'"
    assert [(one.needed.version, in_force) for one, in_force in told.versions] == [("v1", True), ("v2", False)]


def test_a_model_that_serves_nothing_says_why():
    nothing = seen(None, registered(1)).state
    assert status(nothing, fleet()).condition is Condition.NOT_SERVING
    assert "production" in status(nothing, fleet()).reason
    first = seen(None, registered(1, "v1")).state
    assert status(first, fleet("d1")).reason == "the change is about to take effect"


def test_a_route_whose_names_are_gone_is_behind_although_nothing_waits():
    served = numbered(onward(write(serving(), split(1, 1)), fleet("d1", "d2")), 2)
    without = replace(served, registered=replace(registered(2, "v1"), versions={"v1": "d1"}))
    told = status(without, fleet("d1", "d2"))
    assert told.condition is Condition.PENDING
    assert "v2" in told.reason


def test_all_that_is_wrong_is_said():
    told = status(serving(), fleet("d1"), vanished=True, left_out="a step is left out")
    assert told.reason == "the registry no longer lists model 'digits'; a step is left out"


def test_data_planes_seen_lately_are_told_by_name_with_how_far_they_are():
    planes = [plane("c", 1), plane("b", 0, seconds=-60), plane("a", 2, seconds=-11), plane("old", 1, seconds=-61)]
    told = status(serving(), fleet("d1"), planes=planes, watching={"a"})
    assert [(one.id, one.acknowledged, one.connected) for one in told.planes] == [
        ("a", True, True),
        ("b", False, False),
        ("c", True, True),
    ]
    assert told.unacknowledged == ("b",)


def test_a_data_plane_is_connected_for_a_moment_after_its_watch_was_lost():
    lately = plane("a", seconds=-CONNECTED.total_seconds())
    (told,) = status(serving(), fleet("d1"), planes=[lately]).planes
    assert told.connected


def test_the_oldest_generation_in_use_is_that_of_the_data_plane_furthest_behind():
    """One that came later cannot serve what was before it; one that is forgotten does not count."""
    since = remembered_since(START, timedelta(seconds=60))
    assert since == at(-60)
    planes = [plane("a", 7), plane("b", 4, first_seen=6, seconds=-60), plane("gone", 1, seconds=-61)]
    assert oldest_in_use(planes, since) == 6
    assert oldest_in_use([], since) is None


@pytest.mark.parametrize(
    ("held", "said"),
    [
        pytest.param([Held(Phase.LOADING)], "", id="one that loads has not failed"),
        pytest.param([Held(Phase.READY, "leftover"), Held(Phase.LOADING)], "", id="only failures have a reason"),
        pytest.param([Held(Phase.FAILED), Held(Phase.READY)], ": loading failed", id="a failure without a reason"),
        pytest.param(
            [Held(Phase.FAILED, "out of memory"), Held(Phase.FAILED, "no such file")],
            ": no such file",
            id="the first reason of several",
        ),
    ],
)
def test_what_a_pool_lacks_is_said_with_why_loading_failed(held: list[Held], said: str):
    ready = sum(one.phase is Phase.READY for one in held)
    where = f"version 'v2' is ready on {ready} of {len(held)} batchers of pool 'default'"
    assert reports(*held).lacks([V2], grace_over=False) == where + said

"""Who may write a route that somebody manages, and what becomes of its manager."""

from dataclasses import replace

import pytest
from headrace_router.control.decisions.routes import Route, Serves, Variant
from headrace_router.control.decisions.states import Outcome, RouteState, Writer
from headrace_router.rules import Condition, Operator, Rule
from headrace_servicekit.errors import Aborted, PreconditionFailed

from tests.kit.router.route_states import fleet, numbered, onward, registered, seen, serving, split, write

V3 = (Variant("control", Serves.VERSION, "v3", 1.0),)
ROLLOUT = Writer("rollout", manager="rollouts/7")


def held(by: str = "rollouts/7") -> RouteState:
    """A split that a rollout manages."""
    route = replace(split(90, 10), managed_by=by)
    return numbered(onward(write(serving(), route, writer=Writer("rollout", manager=by)), fleet("d1", "d2")), 2)


@pytest.mark.parametrize("manager", ["", "rollouts/8", "experiments/7"])
def test_a_route_that_somebody_manages_is_written_by_nobody_else(manager):
    with pytest.raises(PreconditionFailed, match="managed by rollouts/7") as caught:
        write(held(), split(50, 50, "e2"), "e1", writer=Writer("ana", manager=manager))
    assert (caught.value.reason, caught.value.metadata) == ("ROUTE_MANAGED", {"managed_by": "rollouts/7"})


def test_the_holder_writes_on_and_lets_go():
    step = write(held(), replace(split(50, 50, "e2"), managed_by="rollouts/7"), "e1", writer=ROLLOUT)
    assert step.state.pending is not None
    assert (step.state.declared.managed_by, step.state.pending.displaced) == ("rollouts/7", "")
    let_go = write(step.state, split(50, 50, "e3"), "e2", writer=ROLLOUT)
    assert write(let_go.state, split(1, 1, "e4"), "e3").state.declared.etag == "e4"


def test_a_forced_write_displaces_the_holder_whose_next_write_is_fenced_off():
    step = write(held(), split(50, 50, "e2"), "e1", writer=Writer("ana", "stop it", force=True))
    assert step.state.pending is not None
    assert step.state.pending.displaced == "rollouts/7"
    assert step.state.declared.managed_by == ""
    with pytest.raises(Aborted, match="changed since"):
        write(step.state, replace(split(1, 1, "e3"), managed_by="rollouts/7"), "e1", writer=ROLLOUT)


def test_force_displaces_nobody_where_nobody_stands_in_the_way():
    step = write(serving(), split(50, 50), writer=Writer("ana", force=True))
    assert step.state.pending is not None
    assert step.state.pending.displaced == ""


def test_a_dropped_write_leaves_the_route_to_who_managed_it():
    waiting = write(held(), replace(split(50, 50, "e2"), variants=V3), "e1", writer=Writer("ana", force=True)).state
    dropped = onward(waiting, fleet("d1", "d2", seconds=120), seconds=120)
    assert [ended.outcome for ended in dropped.ended] == [Outcome.NOT_READY]
    assert dropped.state.declared.managed_by == "rollouts/7"


def test_a_promotion_moves_a_managed_route_and_keeps_its_rules_and_its_holder():
    rule = Rule("germans", (Condition("country", Operator.EQUALS, ("DE",)),), "next")
    variants = (Variant("stable", Serves.PRODUCTION, "", 1.0), Variant("next", Serves.VERSION, "v2", 0.0))
    route = Route("digits", variants, etag="e1", rules=(rule,), managed_by="rollouts/7")
    state = numbered(onward(write(serving(), route, writer=ROLLOUT), fleet("d1", "d2")), 2)
    promoted = onward(seen(state, registered(2, "v3")), fleet("d1", "d2", "d3")).state
    assert promoted.active is not None
    assert [one.version for one in promoted.active.table.variants] == ["v3", "v2"]
    assert promoted.active.table.rules == (rule,)
    assert promoted.declared == route

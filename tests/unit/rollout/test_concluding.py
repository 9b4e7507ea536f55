"""How an experiment ends: its traffic goes back to the control, and what won is rolled out."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from headrace.monitor.v1 import experiment_pb2
from headrace.router.v1 import route_pb2
from headrace_rollout.conclusion import Concluding
from headrace_rollout.decisions import experiment_routes
from headrace_rollout.decisions.observation import Surroundings
from headrace_rollout.recovery import Restoring
from headrace_rollout.start import Wanted
from headrace_rollout.store import Request
from headrace_servicekit.errors import Aborted, InvalidArgument, NotFound, PreconditionFailed, Unavailable
from hypothesis import given
from hypothesis import strategies as st

Route, Variant = route_pb2.Route, route_pb2.Variant
Analysis = experiment_pb2.AnalyseExperimentResponse
NAME = "models/shop/experiments/ranking"
WANTED = Wanted("shop", "", "", None, "ann", "")
REQUEST = Request("ann", "end of it", b"")


def route(*weights: float, rules: tuple[str, ...] = ()) -> route_pb2.Route:
    names = ("control", "new", "newer")
    return Route(
        name="routes/shop",
        variants=[
            Variant(name=name, version=f"v{at}", serving_version=f"v{at}", weight=weight)
            for at, (name, weight) in enumerate(zip(names, weights, strict=False), 1)
        ],
        rules=[route_pb2.Rule(name=f"rule{at}", variant=variant) for at, variant in enumerate(rules)],
    )


@given(st.lists(st.floats(0, 100), min_size=3, max_size=3), st.sampled_from(["", "new", "newer"]))
def test_the_control_gets_all_traffic_of_the_others_and_none_is_lost(weights: list[float], keep: str):
    wanted, stopped = experiment_routes.given_back(route(*weights), "control", ["new", "newer"], keep)
    assert sum(one.weight for one in wanted.variants) == pytest.approx(sum(weights))
    assert {one.name for one in wanted.variants} == {"control"} | ({keep} if keep else set())
    assert stopped == [name for name, weight in zip(["new", "newer"], weights[1:], strict=True) if weight > 0]
    again, nothing = experiment_routes.given_back(wanted, "control", ["new", "newer"], keep)
    assert (again, nothing) == (wanted, [])


def test_a_variant_that_a_rule_names_and_one_of_nobodys_experiment_stay():
    given_route = route(8, 1, 1, rules=("new",))
    given_route.variants.add(name="staff", version="v9", weight=3)
    wanted, _ = experiment_routes.given_back(given_route, "control", ["new", "newer"])
    assert {one.name: one.weight for one in wanted.variants} == {"control": 10, "new": 0, "staff": 3}
    assert wanted.rules == given_route.rules


def test_a_route_without_the_control_is_refused():
    with pytest.raises(PreconditionFailed, match="no variant 'old', only control, new") as refused:
        experiment_routes.given_back(route(1, 1), "old", ["new"])
    assert refused.value.reason == "VARIANT_GONE"


class Changes:
    """The rows that say what routes were. before: by experiment."""

    def __init__(self) -> None:
        self.before: dict[str, str] = {}

    async def begin(self, experiment: str, before: str) -> int:
        self.before.setdefault(experiment, before)
        return 1

    async def end(self, experiment: str, claim: int) -> None:
        self.before.pop(experiment, None)

    async def undo(self, experiment: str, claim: int) -> None:
        assert experiment in self.before

    async def work_off(self, restore: Any) -> None:
        for experiment, before in list(self.before.items()):
            await restore(experiment, before)
            del self.before[experiment]


class Outside:
    """A monitor with experiments, a control plane with a route, and what starts rollouts. done: calls that change
    something, in their order. harmed: experiments whose guardrail is harmed; away: those whose analysis fails.
    """

    def __init__(self, verdict: Any = Analysis.VERDICT_UNDECIDED, variant: str = "") -> None:
        self.analysis = Analysis(verdict=verdict, variant=variant, summary="so it is")
        self.names, self.away = [NAME], set[str]()
        self.in_production, self.around = "v1", Surroundings()
        self.current = route(8, 1, 1)
        self.state: Any = experiment_pb2.Experiment.STATE_RUNNING
        self.other: str | None = None
        self.obstacle: Exception | None = None
        self.refusals: list[Exception] = []
        self.refused_late = self.begins_anyway = False
        self.changes = Changes()
        self.done: list[tuple[Any, ...]] = []

    async def guarded(self) -> list[str]:
        return self.names

    async def get(self, name: str) -> experiment_pb2.Experiment:
        variants = [{"name": each, "weight": 1} for each in ("control", "new", "newer")]
        return experiment_pb2.Experiment(name=name, variants=variants, state=self.state)

    async def running(self, model: str) -> str | None:
        return self.other

    async def analyse(self, name: str) -> experiment_pb2.AnalyseExperimentResponse:
        if name in self.away:
            raise Unavailable("no monitor")
        return self.analysis

    async def begin(self, name: str, *, validate_only: bool = False) -> None:
        if self.refusals and validate_only != self.refused_late:
            if self.begins_anyway:
                self.state = experiment_pb2.Experiment.STATE_RUNNING
            raise self.refusals.pop()
        if not validate_only:
            self.done.append(("begin", name))

    async def change_shares(self, name: str, weights: dict[str, float], *, validate_only: bool = False) -> None:
        if validate_only and self.refusals:
            raise self.refusals.pop()
        if not validate_only:
            self.done.append(("shares", weights))

    async def end(self, name: str, reason: str, *, stopped: bool = False) -> None:
        self.done.append(("stop" if stopped else "end", name, reason))

    async def route(self, model: str) -> tuple[route_pb2.Route, route_pb2.RouteStatus]:
        return self.current, route_pb2.RouteStatus()

    async def write_for(self, manager: str, route: route_pb2.Route, reason: str, *, release: bool) -> float:
        if self.current.managed_by not in ("", manager):
            raise PreconditionFailed("managed", reason="ROUTE_MANAGED")
        if route.etag != self.current.etag:
            raise Aborted("changed since it was read", reason="ETAG_MISMATCH")
        self.current = Route()
        self.current.CopyFrom(route)
        self.current.managed_by = "" if release else manager
        self.current.etag = f"e{len(self.done)}"
        self.done.append(("route", {one.name: one.weight for one in route.variants}, reason))
        return 0.25

    async def check(self, wanted: Wanted, request: Request, *, becomes: route_pb2.Route) -> None:
        # What the rollout meets is the route without the experiment: the control has the traffic.
        (weighted,) = [one.name for one in becomes.variants if one.weight > 0]
        assert weighted == wanted.variant
        if self.obstacle is not None:
            raise self.obstacle

    def surroundings(self, model: str) -> Surroundings:
        return self.around

    async def production(self, model: str) -> str:
        return self.in_production

    async def start(self, wanted: Wanted, request: Request) -> Any:
        self.done.append(("rollout", wanted.variant, wanted.version, request.id))
        return "the rollout"


def of(around: Outside) -> Concluding:
    """Return the use cases in their surroundings."""
    lent: Any = around
    return Concluding(lent, lent, lent, lent, lent.changes)


async def restore(around: Outside) -> None:
    """Do what the loop does that gives routes back."""
    lent: Any = around
    await Restoring(lent.changes, lent, lent).run()


async def test_traffic_goes_back_before_the_experiment_ends_so_that_a_crash_between_is_seen():
    around = Outside()
    done = await of(around).conclude(NAME, reason="enough")
    assert [one[0] for one in around.done] == ["route", "end"]
    assert around.done[0][1] == {"control": 10}
    assert (done.stopped, done.summary, around.done[1][2]) == (["new", "newer"], "so it is", "enough")
    await of(around).conclude(NAME, reason="")
    assert [one[0] for one in around.done] == ["route", "end", "end"], "the route is right already"


@pytest.mark.parametrize("keep_route", [False, True])
async def test_an_experiment_that_cannot_be_analysed_in_time_can_be_ended_and_its_variants_not_promoted(
    keep_route: bool,
):
    around = Outside()
    around.away = {NAME}
    done = await of(around).conclude(NAME, reason="", keep_route=keep_route)
    assert (done.summary, around.done[-1]) == ("not analysed: no monitor", ("end", NAME, "not analysed: no monitor"))
    with pytest.raises(Unavailable):
        await of(around).promote(NAME, "new", WANTED, REQUEST, anyway=True)


async def test_the_version_that_won_is_rolled_out_to_the_control():
    around = Outside(Analysis.VERDICT_BETTER, "new")
    done = await of(around).promote(NAME, "new", WANTED, REQUEST, anyway=False)
    assert done.rollout == "the rollout"
    assert around.done[-1] == ("rollout", "control", "v2", "end of it")
    assert around.done[0][1] == {"control": 10, "new": 0}, "so that a repetition finds its version"
    await of(around).promote(NAME, "new", WANTED, REQUEST, anyway=False)
    assert around.done[-1] == ("rollout", "control", "v2", "end of it")


@pytest.mark.parametrize(("in_production", "follows"), [("v1", True), ("v0", False), ("", False)])
async def test_a_control_that_names_the_version_in_production_follows_production_once_a_variant_is_promoted(
    in_production: str, follows: bool
):
    around = Outside(Analysis.VERDICT_BETTER, "new")
    around.in_production = in_production
    await of(around).promote(NAME, "new", WANTED, REQUEST, anyway=False)
    assert around.current.variants[0].follow_production is follows
    assert (around.current.variants[0].version == "v1") is not follows


async def test_an_experiment_that_is_ended_without_a_promotion_leaves_the_control_as_it_was():
    around = Outside()
    await of(around).conclude(NAME, reason="enough")
    assert around.current.variants[0].version == "v1"


@pytest.mark.parametrize("better", ["", "newer"])
async def test_a_variant_of_which_the_data_do_not_say_that_it_is_better_is_promoted_only_anyway(better: str):
    around = Outside(Analysis.VERDICT_BETTER if better else Analysis.VERDICT_UNDECIDED, better)
    with pytest.raises(PreconditionFailed, match="so it is") as refused:
        await of(around).promote(NAME, "new", WANTED, REQUEST, anyway=False)
    assert (refused.value.reason, around.done) == ("EXPERIMENT_UNDECIDED", [])
    assert (await of(around).promote(NAME, "new", WANTED, REQUEST, anyway=True)).rollout


@pytest.mark.parametrize("variant", ["control", "gone"])
async def test_what_is_no_variant_beside_the_control_is_not_promoted(variant: str):
    around = Outside(Analysis.VERDICT_BETTER, variant)
    with pytest.raises(PreconditionFailed, match="new, newer"):
        await of(around).promote(NAME, variant, WANTED, REQUEST, anyway=True)
    assert not around.done


@pytest.mark.parametrize("verdict", list(Analysis.Verdict.values()))
async def test_an_experiment_is_stopped_by_harm_and_by_wrong_shares_alone(verdict: int):
    around = Outside(verdict, "new")
    await of(around).guard()
    harm = verdict in (Analysis.VERDICT_GUARDRAIL_HARMED, Analysis.VERDICT_SHARES_WRONG)
    assert [one[0] for one in around.done] == (["route", "stop"] if harm else [])


async def test_an_experiment_that_cannot_be_looked_at_keeps_no_other_from_being_stopped():
    around = Outside(Analysis.VERDICT_GUARDRAIL_HARMED, "new")
    around.names, around.away = ["models/shop/experiments/first", NAME], {"models/shop/experiments/first"}
    await of(around).guard()
    assert around.done[-1] == ("stop", NAME, "stopped: so it is")


@pytest.mark.parametrize("promote", [False, True])
async def test_an_experiment_that_has_ended_takes_no_traffic_from_the_one_that_runs(promote: bool):
    around = Outside(Analysis.VERDICT_BETTER, "new")
    around.state, around.other = experiment_pb2.Experiment.STATE_ENDED, "models/shop/experiments/next"
    use = of(around)
    ending = use.promote(NAME, "new", WANTED, REQUEST, anyway=False) if promote else use.conclude(NAME, reason="")
    with pytest.raises(PreconditionFailed, match="experiments/next runs") as refused:
        await ending
    assert (refused.value.reason, around.done) == ("EXPERIMENT_RUNNING", [])
    around.other = None
    await of(around).conclude(NAME, reason="")
    assert [one[0] for one in around.done] == ["route", "end"], "a repetition goes on where it stopped"


async def test_a_variant_that_nothing_serves_is_refused_before_the_experiment_ends():
    around = Outside(Analysis.VERDICT_BETTER, "new")
    around.current.variants[1].serving_version = ""
    with pytest.raises(PreconditionFailed, match="no variant 'new'") as refused:
        await of(around).promote(NAME, "new", WANTED, REQUEST, anyway=False)
    assert (refused.value.reason, around.done) == ("VARIANT_GONE", [])


async def test_a_promotion_that_gates_or_approvals_refuse_changes_nothing():
    around = Outside(Analysis.VERDICT_BETTER, "new")
    around.obstacle = PreconditionFailed("two must approve", reason="PROMOTION_NEEDS_APPROVAL")
    with pytest.raises(PreconditionFailed, match="two must approve"):
        await of(around).promote(NAME, "new", WANTED, REQUEST, anyway=False)
    assert around.done == []


async def test_an_experiment_that_runs_holds_its_route_until_it_is_concluded():
    around = Outside()
    around.state = experiment_pb2.Experiment.STATE_DRAFT
    await of(around).run(NAME, {})
    third = pytest.approx(10 / 3)
    assert around.done[0][:2] == ("route", {"control": third, "new": third, "newer": third})
    assert [one[0] for one in around.done] == ["route", "begin", "shares"]
    assert around.current.managed_by == "experiments/ranking"
    await of(around).run(NAME, {})
    assert [one[0] for one in around.done[3:]] == ["begin", "shares"], "repeating it writes no route"
    await of(around).run(NAME, {"control": 2, "new": 1, "newer": 1})
    assert around.done[-3][1] == {"control": 5, "new": 2.5, "newer": 2.5}
    await of(around).conclude(NAME, reason="", keep_route=True)
    assert (around.current.managed_by, [one.weight for one in around.current.variants]) == ("", [5, 2.5, 2.5])


async def test_what_the_experiment_refuses_is_met_before_the_route_changes():
    for state in (experiment_pb2.Experiment.STATE_RUNNING, experiment_pb2.Experiment.STATE_DRAFT):
        around = Outside()
        around.state = state
        around.refusals.append(PreconditionFailed("had 100 changes of shares", reason="TOO_MANY_PHASES"))
        with pytest.raises(PreconditionFailed, match="100 changes"):
            await of(around).run(NAME, {"control": 2, "new": 1, "newer": 1})
        assert around.done == []


@pytest.mark.parametrize("begins_anyway", [False, True])
async def test_a_draft_that_does_not_start_gives_its_route_back_and_one_that_did_unheard_keeps_it(begins_anyway: bool):
    around = Outside()
    around.state, around.refused_late = experiment_pb2.Experiment.STATE_DRAFT, True
    around.refusals.append(Unavailable("no monitor"))
    around.begins_anyway = begins_anyway
    with pytest.raises(Unavailable):
        await of(around).run(NAME, {})
    await restore(around)
    restored = [("route", {"control": 8, "new": 1, "newer": 1})]
    assert [one[:2] for one in around.done[1:]] == ([] if begins_anyway else restored)
    assert around.current.managed_by == ("experiments/ranking" if begins_anyway else "")
    await of(around).run(NAME, {})
    assert around.current.managed_by == "experiments/ranking", "asking again goes on"


async def test_a_route_that_could_not_be_given_back_is_given_back_once_both_services_answer():
    around = Outside()
    around.state, around.refused_late = experiment_pb2.Experiment.STATE_DRAFT, True
    around.refusals.append(Unavailable("no monitor"))
    lent: Any = around
    with pytest.raises(Unavailable):
        await of(around).run(NAME, {})
    for at in (1, 2, 3):  # the monitor, the control plane, its write
        cut: Any = Cut(around, at, unheard=False)
        with pytest.raises(Unavailable):
            await Restoring(lent.changes, cut, cut).run()
        assert around.current.managed_by == "experiments/ranking"
    await restore(around)
    assert (around.current.managed_by, [one.weight for one in around.current.variants]) == ("", [8, 1, 1])
    assert not around.changes.before


async def test_shares_that_an_experiment_did_not_take_do_not_stay_in_its_route():
    around = Outside()
    around.current.managed_by = "experiments/ranking"
    cut: Any = Cut(around, 7, unheard=False)
    with pytest.raises(Unavailable):  # the call that begins the phase
        await of(cut).run(NAME, {"control": 2, "new": 1, "newer": 1})
    assert [one.weight for one in around.current.variants] == [5, 2.5, 2.5]
    await restore(around)
    third = pytest.approx(10 / 3)
    assert [one.weight for one in around.current.variants] == [third] * 3, "what its units are counted with"
    assert around.current.managed_by == "experiments/ranking"


async def test_a_route_that_was_taken_by_force_meanwhile_is_not_given_back():
    around = Outside()
    around.state, around.refused_late = experiment_pb2.Experiment.STATE_DRAFT, True
    around.refusals.append(Unavailable("no monitor"))
    with pytest.raises(Unavailable):
        await of(around).run(NAME, {})
    around.current.managed_by = ""
    done = list(around.done)
    await restore(around)
    assert (around.done, around.changes.before) == (done, {})


async def test_the_experiment_of_a_model_that_was_deleted_ends_without_its_route():
    around = Outside()

    async def gone(model: str) -> Any:
        raise NotFound(f"model '{model}' not found", reason="MODEL_NOT_FOUND")

    around.route = gone
    await of(around).conclude(NAME, reason="enough")
    assert [one[0] for one in around.done] == ["end"]


async def test_a_route_of_somebody_else_is_not_taken_and_nothing_begins():
    around = Outside()
    around.current.managed_by = "rollouts/7"
    with pytest.raises(PreconditionFailed, match="managed"):
        await of(around).run(NAME, {})
    around.other = "models/shop/experiments/other"
    with pytest.raises(PreconditionFailed, match="other runs"):
        await of(around).run(NAME, {})
    assert around.done == []


@pytest.mark.parametrize("weights", [{"control": 1}, {"control": 1, "new": 0, "newer": 1}, {"a": 1, "b": 1, "c": 1}])
async def test_shares_of_other_variants_are_refused_by_their_field(weights: dict[str, float]):
    with pytest.raises(InvalidArgument) as refused:
        await of(Outside()).run(NAME, weights)
    assert [one.field for one in refused.value.violations] == ["weights"]


def test_a_variant_that_the_route_lacks_or_that_has_no_traffic_gets_no_share():
    for given_route, told in ((route(1, 1), "no variant 'newer'"), (route(0, 0, 0), "have no traffic")):
        with pytest.raises(PreconditionFailed, match=told):
            experiment_routes.shared(given_route, {"control": 1, "new": 1, "newer": 1})


class Cut:
    """What is outside, of which one call never answers: it was not made, or was and nobody heard. calls: so far."""

    def __init__(self, around: Outside, at: int, *, unheard: bool) -> None:
        self._around, self._at, self._unheard = around, at, unheard
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method: Any = getattr(self._around, name)
        if name in ("surroundings", "changes"):  # it is known already: nothing is called
            return method

        async def called(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls != self._at:
                return await method(*args, **kwargs)
            if self._unheard:
                await method(*args, **kwargs)
            raise Unavailable("killed")

        return called


def ends(around: Outside) -> Any:
    """Return what there is at last: the route, whose it is, and what began and ended."""
    done = {each[0] for each in around.done if each[0] != "route"}
    return around.current, done


@pytest.mark.parametrize("unheard", [False, True])
@pytest.mark.parametrize("what", ["run", "conclude", "promote"])
async def test_whatever_call_is_cut_asking_again_ends_where_an_undisturbed_one_does(what: str, unheard: bool):
    async def asked(around: Any) -> None:
        use = of(around)
        if what == "run":
            await use.run(NAME, {"control": 2, "new": 1, "newer": 1})
        elif what == "conclude":
            await use.conclude(NAME, reason="enough")
        else:
            await use.promote(NAME, "new", WANTED, REQUEST, anyway=False)

    def fresh() -> Outside:
        around = Outside(Analysis.VERDICT_BETTER, "new")
        if what == "run":
            around.state = experiment_pb2.Experiment.STATE_DRAFT
        else:
            around.current.managed_by = "experiments/ranking"
        return around

    undisturbed = fresh()
    counting = Cut(undisturbed, 0, unheard=False)
    await asked(counting)
    assert counting.calls >= 4
    for at in range(1, counting.calls + 1):
        around = fresh()
        with suppress(Unavailable):  # a conclusion does without an analysis
            await asked(Cut(around, at, unheard=unheard))
        await asked(around)
        assert ends(around) == ends(undisturbed), f"call {at}"


@pytest.mark.parametrize(
    ("around", "reason"),
    [(Surroundings(alerts=("slo: late",)), "TRAFFIC_FROZEN"), (Surroundings(known=False), "ALERTS_UNKNOWN")],
)
async def test_an_alert_keeps_variants_from_larger_shares_and_from_smaller_ones_it_does_not(
    around: Surroundings, reason: str
):
    outside = Outside()
    outside.around = around
    with pytest.raises((PreconditionFailed, Unavailable)) as refused:
        await of(outside).run(NAME, {"control": 1, "new": 8, "newer": 1})
    assert (refused.value.reason, outside.done) == (reason, [])
    await of(outside).run(NAME, {"control": 18, "new": 1, "newer": 1})
    assert [one[0] for one in outside.done] == ["route", "begin", "shares"]


async def test_the_experiment_itself_does_not_keep_its_shares_back():
    outside = Outside()
    outside.around = Surroundings(experiment=NAME)
    await of(outside).run(NAME, {"control": 1, "new": 8, "newer": 1})
    assert outside.done

"""Which experiments can be, and what may happen to them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace.monitor.v1 import experiment_pb2
from headrace_monitor.judge.experiments import convert, servicer
from headrace_monitor.judge.experiments.decisions import definitions
from headrace_monitor.judge.experiments.decisions.definitions import Experiment, State
from headrace_servicekit.errors import InvalidArgument, PreconditionFailed
from hypothesis import example, given
from hypothesis import strategies as st

from tests.kit.rows import each

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def message(**changes) -> experiment_pb2.Experiment:
    fields = {
        "name": "models/shop/experiments/ranking",
        "variants": [{"name": "control", "weight": 8}, {"name": "new", "weight": 1}, {"name": "newer", "weight": 1}],
        "metrics": [{"name": "conversion"}, {"name": "revenue", "kind": 2, "outcome": "reward", "role": 2}],
    }
    return experiment_pb2.Experiment(**{**fields, **changes})


def draft(**changes) -> Experiment:
    return convert.draft("shop", message(**changes), "ada", NOW)


def test_what_is_not_said_has_a_default_and_the_first_variant_is_the_control():
    definition = draft().definition
    assert (definition.design.control, definition.design.variants) == ("control", ("new", "newer"))
    assert (definition.alpha, definition.power, definition.attribution_window) == (0.05, 0.8, timedelta(days=7))
    assert [metric.outcome for metric in definition.metrics] == ["conversion", "reward"]
    shown = convert.to_experiment(draft())
    assert convert.draft("shop", shown, "ada", NOW) == draft()


@each("changes,field", [
        ({"name": "models/other/experiments/ranking"}, "experiment.name"),
        ({"name": "ranking"}, "experiment.name"),
        ({"variants": [{"name": "control", "weight": 1}]}, "experiment.variants"),
        ({"variants": [{"name": "a", "weight": 1}, {"name": "a", "weight": 1}]}, "experiment.variants[1].name"),
        ({"variants": [{"name": "a", "weight": 1}, {"name": "b", "weight": -1}]}, "experiment.variants[1].weight"),
        ({"variants": [{"name": "a", "weight": float("nan")}, {"name": "b"}]}, "experiment.variants[0].weight"),
        ({"metrics": []}, "experiment.metrics"),
        ({"metrics": [{"name": "x' y"}]}, "experiment.metrics[0].name"),
        ({"metrics": [{"name": "x", "role": 2}]}, "experiment.metrics"),
        ({"metrics": [{"name": "x"}, {"name": "x"}]}, "experiment.metrics"),
        ({"metrics": [{"name": "x", "kind": 3}]}, "experiment.metrics[0].denominator"),
        ({"metrics": [{"name": "x", "denominator": "y"}]}, "experiment.metrics[0].denominator"),
        ({"metrics": [{"name": "x", "kind": 9}]}, "experiment.metrics[0].kind"),
        ({"metrics": [{"name": "x", "cap": float("inf")}]}, "experiment.metrics[0].cap"),
        ({"metrics": [{"name": "x", "margin": -0.1}]}, "experiment.metrics[0].margin"),
        ({"metrics": [{"name": "x", "kind": 4, "quantile": 1.0}]}, "experiment.metrics[0].quantile"),
        ({"metrics": [{"name": "x", "kind": 4, "quantile": float("nan")}]}, "experiment.metrics[0].quantile"),
        ({"metrics": [{"name": "x", "kind": 2, "cap_quantile": 1.0}]}, "experiment.metrics[0].cap_quantile"),
        ({"metrics": [{"name": "x", "kind": 2, "cap_quantile": float("nan")}]}, "experiment.metrics[0].cap_quantile"),
        ({"metrics": [{"name": "x", "kind": 2, "cap_quantile": 0.9, "cap": 5}]}, "experiment.metrics[0].cap_quantile"),
        ({"metrics": [{"name": "x", "cap_quantile": 0.9}]}, "experiment.metrics[0].cap_quantile"),
        ({"metrics": [{"name": "x", "kind": 2, "cap_units": -1}]}, "experiment.metrics[0].cap_units"),
        ({"stratify_by": "country'] or 1=1"}, "experiment.stratify_by"),
        ({"alpha": 2}, "experiment.alpha"),
        ({"planned_units": -1}, "experiment.planned_units"),
        ({"attribution_window": {"seconds": 86400 * 91}}, "experiment.attribution_window"),
        ({"covariate_window": {"seconds": -1}}, "experiment.covariate_window"),
        ({"hypothesis": "x" * 2001}, "experiment.hypothesis"),
        ({"hypothesis": "x\0"}, "experiment.hypothesis"),
    ])  # fmt: skip
def test_a_wrong_experiment_is_refused_by_its_field(changes, field: str):
    with pytest.raises(InvalidArgument) as refused:
        draft(**changes)
    assert [violation.field for violation in refused.value.violations][:1] == [field]


def test_an_experiment_runs_once():
    running = definitions.started(draft(), NOW)
    assert definitions.started(running, NOW + timedelta(1)) == running
    ended = definitions.ended(running, "enough", NOW + timedelta(1))
    assert (ended.state, ended.end_reason) == (State.ENDED, "enough")
    assert definitions.ended(ended, "again", NOW + timedelta(2)) == ended
    for act in (lambda: definitions.started(ended, NOW), lambda: definitions.reweighted(ended, {}, NOW)):
        with pytest.raises(PreconditionFailed):
            act()
    for act in (lambda: definitions.ended(draft(), "", NOW), lambda: definitions.check_ran(draft())):
        with pytest.raises(PreconditionFailed):
            act()


@pytest.mark.parametrize("reason", ["x" * 501, "x\0"])
def test_a_reason_that_cannot_be_kept_is_refused(reason: str):
    with pytest.raises(InvalidArgument) as refused:
        definitions.ended(definitions.started(draft(), NOW), reason, NOW)
    assert [violation.field for violation in refused.value.violations] == ["reason"]


def test_new_shares_begin_a_phase_and_the_same_shares_do_not():
    running = definitions.started(draft(), NOW)
    ramped = definitions.reweighted(running, {"control": 1, "new": 1, "newer": 1}, NOW + timedelta(1))
    assert [phase.start_time for phase in ramped.phases] == [NOW, NOW + timedelta(1)]
    assert definitions.reweighted(ramped, {"newer": 1, "new": 1, "control": 1}, NOW + timedelta(2)) == ramped
    full = replace(ramped, phases=ramped.phases * 50)
    with pytest.raises(PreconditionFailed, match="100"):
        definitions.reweighted(full, {"control": 2, "new": 1, "newer": 1}, NOW)


def test_new_shares_are_of_the_same_variants():
    request = experiment_pb2.ChangeSharesRequest(variants=[{"name": "control", "weight": 1}])
    with pytest.raises(InvalidArgument, match="control, new, newer"):
        convert.new_weights(request, draft())


def test_a_plan_says_units_and_days_for_one_look_and_for_any():
    plan = servicer.plan(experiment_pb2.PlanExperimentRequest(mean=0.05, units_per_day=10_000))
    assert plan.single_look_units == 62_462
    assert plan.single_look_units < plan.any_look_units < 2 * plan.single_look_units
    assert plan.single_look_days == pytest.approx(6.2462)
    assert [point.single_look for point in plan.curve] == sorted(point.single_look for point in plan.curve)


def test_a_plan_of_a_skewed_metric_asks_for_units_of_which_none_decides_alone():
    asked = experiment_pb2.PlanExperimentRequest(mean=1, variance=4, units_per_day=1_000)
    even = servicer.plan(asked)
    asked.furthest = 10_000
    skewed = servicer.plan(asked)
    assert even.settled_units == 0
    assert skewed.any_look_units == skewed.settled_units > 10 * even.any_look_units
    assert skewed.any_look_days == pytest.approx(skewed.settled_units / 1_000)


@each("wrong", [{"mean": 0}, {"mean": 1.5}, {"mean": 0.05, "alpha": 2}, {"mean": 0.05, "share": -1},
     {"mean": 1, "variance": -1}, {"mean": 0.05, "correlation": 1}, {"mean": 0.05, "relative_effect": float("nan")},
     {"mean": 0.05, "units_per_day": float("inf")}, {"mean": 0.05, "power": 0.01},
     {"mean": 0.05, "furthest": -1}])  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(wrong):
    with pytest.raises(InvalidArgument):
        servicer.plan(experiment_pb2.PlanExperimentRequest(**wrong))


ANY = st.floats() | st.floats(0, 1) | st.sampled_from([1e-300, 1e-12, 1e-6, 1e-3, 0.05, 1 - 1e-16, 1e300])


@given(st.fixed_dictionaries({"mean": ANY | st.floats(0.01, 0.99)}, optional=dict.fromkeys(
    ("variance", "correlation", "relative_effect", "alpha", "power", "share", "units_per_day", "furthest"), ANY
)))  # fmt: skip
@example({"mean": 1e-200})
@example({"mean": 1e-12, "variance": 1.0})
@example({"mean": 0.05, "alpha": 5e-324})
@example({"mean": 0.5, "share": 1e-300})
@example({"mean": 1e300, "variance": 1.0, "relative_effect": 1e6})
@example({"mean": 1.0, "variance": 1e-11, "relative_effect": 1.0})
def test_a_plan_is_numbers_or_a_refusal_whatever_is_asked(asked):
    with contextlib.suppress(InvalidArgument):
        plan = servicer.plan(experiment_pb2.PlanExperimentRequest(**asked))
        assert 1 <= plan.single_look_units <= 1e17
        assert 1 <= plan.any_look_units <= 64e17
        assert all(0 <= point.any_look <= 1 for point in plan.curve)

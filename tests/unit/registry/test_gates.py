"""Promotion gates: bounds, sources, production to compare with, and violations that name gate, values and bound."""

import pytest
from headrace_registry.decisions import defaults, gates
from headrace_registry.decisions.models import Bound, Gate, Metric, MetricSource, Model, Version, VersionRef
from headrace_servicekit.errors import PreconditionFailed
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

MEASURED = MetricSource.MEASURED


def version(*metrics: Metric, name: str = "v2", measured: tuple[Metric, ...] = ()) -> Version:
    return Version(VersionRef("digits", name), defaults.filled(), metrics=metrics, measured=measured)


def told(gate: Gate, candidate: Version, production: Version | None = None) -> str | None:
    """Return the description of the one violation, None when the gate is met."""
    found = gates.violations([gate], candidate, production)
    assert len(found) <= 1
    return found[0].description if found else None


@pytest.mark.parametrize(
    ("accuracy", "latency", "missed"),
    [
        pytest.param(0.85, 100.0, [], id="the bounds themselves pass"),
        pytest.param(0.849999999, 100.0, ["gates.accuracy"], id="just below"),
        pytest.param(0.9, 100.0001, ["gates.latency_p99_ms"], id="just above"),
        pytest.param(0.1, 900.0, ["gates.accuracy", "gates.latency_p99_ms"], id="every violation is told"),
    ],
)
def test_default_gates(accuracy, latency, missed):
    candidate = version(Metric("accuracy", accuracy), Metric("latency_p99_ms", latency))
    assert [found.field for found in gates.violations(gates.DEFAULT_GATES, candidate, None)] == missed


def test_a_violation_names_value_and_bound_exactly():
    description = told(Gate("accuracy", minimum=0.85), version(Metric("accuracy", 0.8499999)))
    assert description == "accuracy is 0.8499999 (reported) and must be >= 0.85"


def test_a_missing_metric_fails_its_gate():
    assert "no auc" in str(told(Gate("auc", minimum=0.5), version(Metric("accuracy", 1.0))))


def test_what_was_measured_counts_more_than_what_was_reported():
    candidate = version(Metric("latency_p99_ms", 1.0), measured=(Metric("latency_p99_ms", 50.0, MEASURED),))
    assert "50 (measured)" in str(told(Gate("latency_p99_ms", maximum=10.0), candidate))


def test_what_is_measured_later_replaces_what_was_measured_at_registration():
    candidate = version(Metric("auc", 0.9, MEASURED), measured=(Metric("auc", 0.6, MEASURED),))
    assert candidate.all_metrics == (Metric("auc", 0.6, MEASURED),)
    assert told(Gate("auc", minimum=0.8), candidate)


def test_a_gate_may_take_measured_values_only():
    gate = Gate("accuracy", minimum=0.5, measured_only=True)
    assert told(gate, version(Metric("accuracy", 0.9)))
    assert not told(gate, version(measured=(Metric("accuracy", 0.9, MEASURED),)))


def test_a_model_without_gates_of_its_own_has_the_default_ones_and_an_empty_list_means_none():
    with pytest.raises(PreconditionFailed) as caught:
        gates.check(Model("digits"), version(), None)
    assert caught.value.reason == "PROMOTION_GATE_FAILED"
    assert len(caught.value.violations) == 2
    assert caught.value.metadata["missing"] == "accuracy,latency_p99_ms"
    gates.check(Model("digits", gates=()), version(), None)


@each(
    "gate,value,of_production,met",
    [
        pytest.param(Gate("m", minimum_delta=-0.1), 0.7, 0.8, True, id="a loss that is allowed, as people write it"),
        pytest.param(Gate("m", minimum_delta=-0.1), 0.6999, 0.8, False, id="a loss beyond it"),
        pytest.param(Gate("m", minimum_delta=0.0), 0.8, 0.8, True, id="as good as production"),
        pytest.param(Gate("m", minimum_delta=0.02), 0.81, 0.8, False, id="not enough of a gain"),
        pytest.param(Gate("m", maximum_delta=5.0), 15.0, 10.0, True, id="a rise that is allowed"),
        pytest.param(Gate("m", maximum_delta=5.0), 15.1, 10.0, False, id="a rise beyond it"),
        pytest.param(Gate("m", maximum_ratio=1.2), 12.0, 10.0, True, id="a fifth more"),
        pytest.param(Gate("m", maximum_ratio=1.2), 12.1, 10.0, False, id="more than a fifth more"),
        pytest.param(Gate("m", minimum_ratio=0.9), 0.9, 1.0, True, id="a tenth less"),
        pytest.param(Gate("m", minimum_ratio=0.9), 0.89, 1.0, False, id="more than a tenth less"),
        pytest.param(Gate("m", minimum_delta=-1.0), -101.0, -100.0, True, id="deltas know values below zero"),
        pytest.param(Gate("m", maximum_ratio=1.2), 0.0, 0.0, True, id="any times zero is zero"),
    ],
)
def test_gates_relative_to_production(gate, value, of_production, met):
    description = told(gate, version(Metric("m", value)), version(Metric("m", of_production), name="v1"))
    assert (description is None) == met


def test_a_relative_violation_names_both_values_and_the_limit():
    production = version(Metric("accuracy", 0.97), name="v1")
    assert told(Gate("accuracy", minimum_delta=-0.01), version(Metric("accuracy", 0.95)), production) == (
        "accuracy is 0.95 (reported) and must be >= that of 'v1' in production - 0.01, "
        "which is 0.97 (reported): >= 0.96"
    )
    slow = version(Metric("p99", 20.0, MEASURED))
    assert told(Gate("p99", maximum_ratio=1.2), slow, version(Metric("p99", 10.0, MEASURED), name="v1")) == (
        "p99 is 20 (measured) and must be <= 1.2 times that of 'v1' in production, which is 10 (measured): <= 12"
    )


def test_without_a_version_in_production_relative_gates_are_met():
    assert told(Gate("accuracy", minimum_delta=0.5), version()) is None


def test_only_values_of_one_source_are_compared():
    gate = Gate("p99", maximum_ratio=1.2)
    production = version(Metric("p99", 5.0), name="v1", measured=(Metric("p99", 50.0, MEASURED),))
    # The candidate was never loaded: its report is compared with production's report, not with what production shows.
    assert "6 (reported)" not in str(told(gate, version(Metric("p99", 6.0)), production))
    assert "7 (reported)" in str(told(gate, version(Metric("p99", 7.0)), production))
    both = version(Metric("p99", 7.0), measured=(Metric("p99", 55.0, MEASURED),))
    assert told(gate, both, production) is None


def test_a_production_version_without_the_metric_fails_the_gate_and_says_who_lacks_what():
    description = told(Gate("auc", minimum_delta=0.0), version(Metric("auc", 0.9)), version(name="v1"))
    assert "the version has only a reported one, production has none" in str(description)
    measured = Gate("auc", minimum_delta=0.0, measured_only=True)
    description = told(measured, version(Metric("auc", 0.9)), version(Metric("auc", 0.9), name="v1"))
    assert "only measured ones count" in str(description)


def test_a_ratio_to_a_value_below_zero_fails_and_says_what_to_use():
    production = version(Metric("log_likelihood", -100.0), name="v1")
    description = told(Gate("log_likelihood", minimum_ratio=0.9), version(Metric("log_likelihood", -90.0)), production)
    assert "use a delta" in str(description)


VALUES = st.floats(0, 1e6, allow_nan=False)


@given(value=VALUES, other=VALUES, bound=st.floats(0.01, 100), kind=st.sampled_from(sorted(gates.RELATIVE)))
def test_a_better_value_never_fails_where_a_worse_one_passes(value, other, bound, kind):
    gate = Gate("m", **{Bound(kind).value: bound})
    production = version(Metric("m", other), name="v1")
    better = max(value, other) if kind in gates.LOWER else min(value, other)
    if told(gate, version(Metric("m", value)), production) is None:
        assert told(gate, version(Metric("m", better)), production) is None


def test_a_version_whose_expected_outputs_do_not_hold_is_not_promoted_whatever_the_gates():
    model, differs = Model("digits", gates=()), (Metric("parity_over_tolerance", 108.7, MEASURED),)
    with pytest.raises(PreconditionFailed, match=r"parity_over_tolerance is 108\.7 .* and must be <= 1"):
        gates.check(model, version(measured=differs), None)
    gates.check(model, version(measured=(Metric("parity_over_tolerance", 1.0, MEASURED),)), None)
    gates.check(model, version(Metric("accepts_difference", 1.0), measured=differs), None)
    gates.check(model, version(Metric("parity_over_tolerance", 9.0)), None)  # reported: it was not compared here

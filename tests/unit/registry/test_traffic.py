"""How much of a model's traffic versions may get that nobody promoted."""

from dataclasses import replace

import pytest
from headrace_registry.decisions import gates, traffic
from headrace_registry.decisions.approvals import policy_violations
from headrace_registry.decisions.models import (
    ApprovalPolicy,
    Gate,
    Metric,
    MetricSource,
    Model,
    ServingSettings,
    Stage,
    Version,
    VersionRef,
)
from headrace_registry.decisions.validation import model_violations
from headrace_servicekit.errors import PreconditionFailed

from tests.kit.rows import each

GATES = (Gate("accuracy", minimum=0.85),)
ONE = ApprovalPolicy(1)


@each(
    "model,share",
    [
        pytest.param(Model("m"), 1.0, id="the default gates are nobody's policy"),
        pytest.param(Model("m", gates=()), 1.0, id="nothing is demanded"),
        pytest.param(Model("m", gates=GATES), 0.5, id="gates"),
        pytest.param(Model("m", gates=GATES, max_unpromoted_share=0.0), 0.0, id="gates, and none before them"),
        pytest.param(Model("m", gates=(), max_unpromoted_share=0.2), 0.2, id="stated without gates"),
        pytest.param(Model("m", approvals=ONE), 0.5, id="approvals"),
        pytest.param(Model("m", approvals=replace(ONE, stages=(Stage.STAGING,))), 1.0, id="approvals before staging"),
        pytest.param(
            Model("m", gates=GATES, max_unpromoted_share=1.0, approvals=ONE), 0.5, id="gates do not lift approvals"
        ),
        pytest.param(
            Model("m", gates=GATES, approvals=replace(ONE, max_unpromoted_share=0.1)), 0.1, id="the smaller one holds"
        ),
    ],
)
def test_the_bound_follows_from_what_somebody_has_set(model: Model, share: float):
    assert traffic.max_unpromoted_share(model) == share


def test_versions_that_rollbacks_lead_to_are_listed_once_and_without_the_present_one():
    assert traffic.rollback_versions(Model("m", production="b", rollback_targets=("a", "b", "a", "c"))) == ("c", "a")


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_bound_beyond_its_range_is_refused_by_its_field(share: float):
    (found,) = model_violations(Model("m", gates=GATES, max_unpromoted_share=share), "model")
    assert found.field == "model.promotion_policy.max_unpromoted_share"
    assert "between 0 and 1" in found.description
    (found,) = policy_violations(replace(ONE, max_unpromoted_share=share), "policy")
    assert found.field == "policy.max_unpromoted_share"


def version(**values: float) -> Version:
    """Return a version with values that were reported, or measured where their name ends in `_measured`."""
    metrics = [
        Metric(
            name.removesuffix("_measured"),
            value,
            MetricSource.MEASURED if "_measured" in name else MetricSource.REPORTED,
        )
        for name, value in values.items()
    ]
    return Version(VersionRef("m", "v2"), ServingSettings(8, (8,), 1.0, 1), metrics=tuple(metrics))


MEASURED = Gate("latency", maximum=10.0, measured_only=True)


@pytest.mark.parametrize(
    ("gate", "values"),
    [
        pytest.param(MEASURED, {}, id="nothing is known"),
        pytest.param(MEASURED, {"latency": 99.0}, id="only what does not count"),
        pytest.param(Gate("latency", maximum=10.0), {}, id="reported or measured, and neither"),
        pytest.param(Gate("latency", maximum_ratio=1.2, measured_only=True), {}, id="relative to production"),
    ],
)
def test_before_a_rollout_a_gate_may_lack_what_the_rollout_measures(gate: Gate, values: dict[str, float]):
    asked, present = Model("m", gates=(gate,)), version(latency_measured=5.0)
    gates.check(asked, version(**values), present, ("late*",))
    with pytest.raises(PreconditionFailed):
        gates.check(asked, version(**values), present)


@pytest.mark.parametrize(
    ("gate", "values"),
    [
        pytest.param(MEASURED, {"latency_measured": 99.0}, id="measured, and missed"),
        pytest.param(Gate("latency", maximum=10.0), {"latency": 99.0}, id="reported, and missed"),
        pytest.param(Gate("accuracy", minimum=0.85), {}, id="not measured by a rollout"),
    ],
)
def test_before_a_rollout_every_other_gate_is_asked(gate: Gate, values: dict[str, float]):
    with pytest.raises(PreconditionFailed) as refused:
        gates.check(Model("m", gates=(gate,)), version(**values), None, ("late*",))
    assert refused.value.reason == "PROMOTION_GATE_FAILED"

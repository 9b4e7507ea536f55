"""Which smaller forms of versions could take the place of what executed in a pool."""

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_router.control.usage.decisions.idle import IdlePool
from headrace_router.control.usage.decisions.smaller_forms import (
    Form,
    SmallerForm,
    UsedVersion,
    share_left,
    smaller_forms,
)
from headrace_router.control.usage.registered_forms import forms_of

from tests.kit.rows import each

INT8, FP16 = "int8-dynamic", "fp16"
V1 = UsedVersion("gpu", "fraud", "v1", 600.0)
CPU = registry_pb2.ServingSettings.DEVICE_CPU
Stage = registry_pb2.ModelVersion.Stage


def form(version="v1-int8-dynamic", original="v1", made_by=INT8, speedup=2.0, on_cpu=False, model="fraud") -> Form:
    return Form(model, version, original, made_by, speedup, on_cpu)


def registered(
    version: str = "v1-int8-dynamic",
    *,
    parent: str = "v1",
    optimised_from: str = "v1",
    speedup: float | None = 2.0,
    stage: Stage = Stage.STAGE_REGISTERED,
    **fields,
) -> registry_pb2.ModelVersion:
    """Return a version as `headrace models optimise` registers it."""
    metrics = [] if speedup is None else [registry_pb2.Metric(name="optimised_speedup", value=speedup)]
    return registry_pb2.ModelVersion(
        name=f"models/fraud/versions/{version}",
        stage=stage,
        metrics=[registry_pb2.Metric(name="accuracy", value=0.9), *metrics],
        parameters={"optimised_from": optimised_from, "optimised_by": INT8} if optimised_from else {},
        lineage=registry_pb2.Lineage(parent_version=parent),
        **fields,
    )


def test_what_the_optimiser_made_of_a_version_is_a_form_of_it():
    assert list(forms_of("fraud", [registered()])) == [form()]
    on_cpu = registered(serving=registry_pb2.ServingSettings(device=CPU))
    assert list(forms_of("fraud", [on_cpu])) == [form(on_cpu=True)]


@each(
    "other",
    [
        {"optimised_from": ""},  # trained anew from it
        {"parent": "v0"},
        {"parent": ""},
        {"speedup": None},
        {"speedup": 1.0},
        {"speedup": float("inf")},
        {"stage": Stage.STAGE_PRODUCTION},  # it serves already
        {"stage": Stage.STAGE_ARCHIVED},
        {"collect_time": {"seconds": 1}},
    ],
)
def test_what_nobody_measured_or_cannot_be_promoted_is_none(other):
    assert list(forms_of("fraud", [registered(**other)])) == []


def test_the_fastest_form_of_each_version_that_executed_is_told_what_spares_the_most_first():
    other = UsedVersion("gpu", "search", "v7", 1_000.0)
    forms = [form(), form("v1-fp16", made_by=FP16, speedup=3.0), form("v7-int8", "v7", speedup=1.25, model="search")]
    assert smaller_forms([V1, other, UsedVersion("gpu", "fraud", "v2", 50.0)], forms) == [
        SmallerForm(V1, forms[1]),
        SmallerForm(other, forms[2]),
    ]
    assert [one.spared_s for one in smaller_forms([V1, other], forms)] == pytest.approx([400.0, 200.0])


def test_a_form_that_is_hardly_faster_is_not_worth_a_promotion():
    assert smaller_forms([V1], [form(speedup=1.04)]) == []
    assert len(smaller_forms([V1], [form(speedup=1.05)])) == 1


def test_what_is_left_to_execute_says_how_many_replicas_are_enough():
    left = share_left(1_000.0, [SmallerForm(V1, form(speedup=3.0))])
    assert left == pytest.approx(0.6)
    assert share_left(0.0, []) == 1.0
    pool = IdlePool("gpu", present_hours=40.0, busy_hours=20.0, busiest=3.4, lasted_hours=10.0)
    assert pool.enough(0.7) == (5, 0.0)
    assert pool.enough(0.7, left) == (3, 10.0)

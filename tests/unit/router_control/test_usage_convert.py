"""What no batcher reports, and what is no budget, by the field that is wrong."""

import pytest
from headrace.router.v1 import budget_pb2, usage_pb2
from headrace_router.control.usage import convert
from headrace_servicekit.errors import InvalidArgument

from tests.kit.rows import each

USE = {"model": "m", "version": "v1", "client": "ada", "priority": 1, "requests": 1, "rows": 1, "compute_us": 5}


def report(**fields):
    told = {"pool": "gpu", "process": "p", "sequence": 1, "present_us": 10, "busy_us": 5, **fields}
    return usage_pb2.ReportUsageRequest(**told)


def test_uses_of_one_key_are_added_up():
    found = convert.report(report(uses=[usage_pb2.ComputeUse(**USE), usage_pb2.ComputeUse(**USE)]))
    assert [tuple(one) for one in found.uses] == [("m", "v1", "ada", 1, 2, 2, 10)]


@each(
    "fields,field",
    [
        ({"process": ""}, "process"),
        ({"pool": "a\n"}, "pool"),
        ({"busy_us": 11}, "busy_us"),
        ({"sequence": 0}, "sequence"),
        ({"uses": [usage_pb2.ComputeUse(**{**USE, "client": "a" * 257})]}, "uses[0].client"),
        ({"uses": [usage_pb2.ComputeUse(**{**USE, "priority": 4})]}, "uses[0].priority"),
        ({"uses": [usage_pb2.ComputeUse(**{**USE, "rows": -1})]}, "uses[0].rows"),
        ({"uses": [usage_pb2.ComputeUse(**USE)] * 5001}, "uses"),
    ],
)
def test_a_report_that_no_batcher_makes_is_refused_by_its_field(fields, field):
    with pytest.raises(InvalidArgument) as refused:
        convert.report(report(**fields))
    assert [one.field for one in refused.value.violations] == [field]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "budgets/B!"}, "budget.name"),
        ({"name": "b"}, "budget.name"),
        ({"client": ""}, "budget.client"),
        ({"period": 0}, "budget.period"),
        ({"compute_s": float("nan")}, "budget.compute_s"),
        ({"refuse_above_s": 0.5}, "budget.refuse_above_s"),
    ],
)
def test_a_wrong_budget_is_refused_by_its_field(fields, field):
    made = {"name": "budgets/b", "client": "ada", "model": "*", "period": 2, "compute_s": 1.0, **fields}
    with pytest.raises(InvalidArgument) as refused:
        convert.budget(budget_pb2.Budget(**made))
    assert [one.field for one in refused.value.violations] == [field]


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"price_per_hour": -1.0}, "price_per_hour"), ({"target_utilisation": 0.0}, "target_utilisation")],
)
def test_a_wrong_question_about_idle_time_is_refused_by_its_field(fields, field):
    with pytest.raises(InvalidArgument) as refused:
        convert.target_utilisation(usage_pb2.GetIdleTimeRequest(**fields))
    assert [one.field for one in refused.value.violations] == [field]

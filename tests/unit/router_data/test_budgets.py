"""What the data plane makes of budgets that the control plane says are spent."""

from google.protobuf.timestamp_pb2 import Timestamp
from headrace.router.v1 import client_limits_pb2
from headrace_router.data.budgets import Budgets, Overrun
from headrace_router.data.tables.contract import Contract, Spec
from headrace_router.data.tables.served import (
    REQUEST,
    Plan,
    PlannedStep,
    ServedVersion,
    Take,
)

LOWER, REFUSE = client_limits_pb2.BudgetOverrun.ACTION_LOWER, client_limits_pb2.BudgetOverrun.ACTION_REFUSE


def over(*overruns: tuple[str, str, int, int]) -> list[client_limits_pb2.BudgetOverrun]:
    return [
        client_limits_pb2.BudgetOverrun(
            client=client,
            model=model,
            action=action,  # type: ignore[arg-type]
            expire_time=Timestamp(seconds=until),  # type: ignore[arg-type]
        )
        for client, model, action, until in overruns
    ]


def test_a_client_is_held_back_until_its_period_ends():
    now = 100.0
    budgets = Budgets(lambda: now)
    budgets.enforce(over(("ada", "", LOWER, 160)))

    assert budgets.overrun("ada", ["m"]) == Overrun(refuses=False, left_s=60.0)
    assert budgets.overrun("bob", ["m"]) is None
    now = 160.0
    assert budgets.overrun("ada", ["m"]) is None


def test_of_a_model_and_of_all_models_the_harder_counts():
    budgets = Budgets(lambda: 0.0)
    budgets.enforce(over(("ada", "", LOWER, 60), ("ada", "m", REFUSE, 30)))

    assert budgets.overrun("ada", ["m"]) == Overrun(refuses=True, left_s=30.0)
    assert budgets.overrun("ada", ["n"]) == Overrun(refuses=False, left_s=60.0)


def test_a_pipeline_is_held_to_the_budgets_of_its_members_which_batchers_count():
    contract = Contract((Spec("x", "FP32", ()),), (Spec("y", "FP32", ()),))
    member = ServedVersion("m", "v1", "d", "s", contract)
    step = PlannedStep("first", member, "", (Take(0, REQUEST, 0),), (0,))
    pipeline = ServedVersion("p", "v1", "e", "s", contract, Plan((step,), ((0, 0),)))
    budgets = Budgets(lambda: 0.0)
    budgets.enforce(over(("ada", "m", REFUSE, 30)))

    assert budgets.overrun("ada", pipeline.models) == Overrun(refuses=True, left_s=30.0)
    assert budgets.overrun("ada", ["p"]) is None
    assert member.models == {"m"}


def test_those_who_are_named_no_longer_are_free():
    budgets = Budgets(lambda: 0.0)
    budgets.enforce(over(("ada", "", REFUSE, 60)))
    budgets.enforce(over(("bob", "", REFUSE, 60)))
    assert [*budgets.over] == [("bob", "")]

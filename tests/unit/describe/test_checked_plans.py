"""Planned changes are validated by the writes that would make them; what another change makes first is waited for."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from google.protobuf.message import Message
from headrace.router.v1 import budget_pb2, route_pb2
from headrace_client.calls import Call, Session
from headrace_client.errors import (
    HeadraceError,
    InvalidArgument,
    NotFound,
    PreconditionFailed,
    ResourceExhausted,
    Unauthenticated,
)
from headrace_client.tokens import TokenCache
from headrace_describe.operations.state import Change, plan_changes
from headrace_describe.state_files import read_state

Answer = Callable[[Message], Message | HeadraceError | None]

NEW_MODEL_AND_ROUTE = "models: {fraud: {}}\nroutes: {fraud: {max_wait: 0.005s}}"
BUDGETS = "budgets: {a: {client: ada}, b: {client: bob}}"


@pytest.fixture
def planned(tmp_path):
    """Return the changes of a text, and the requests that were sent. answer: of the services; None for an empty one."""

    def plan(text: str, answer: Answer, **options: Any) -> tuple[list[Change], list[Any]]:
        (tmp_path / "state.yaml").write_text(text)
        operation = plan_changes(Session(TokenCache(None)), read_state([tmp_path / "state.yaml"]), **options)
        return driven(operation, answer)

    return plan


def driven(operation: Generator[Any, Any, list[Change]], answer: Answer) -> tuple[list[Change], list[Any]]:
    """Perform the calls of an operation, and return its result and the requests."""
    sent: list[Any] = []
    step = next(operation)
    while True:
        assert isinstance(step, Call)
        sent.append(step.request)
        found = answer(sent[-1])
        try:
            if isinstance(found, HeadraceError):
                step = operation.throw(found)
            else:
                step = operation.send(step.method.response() if found is None else found)
        except StopIteration as end:
            return end.value, sent


def nothing_is_there(request: Message) -> NotFound | None:
    return NotFound("there is none") if type(request).__name__.startswith("Get") else None


def refused(error: HeadraceError) -> Answer:
    """Refuse writes."""

    def answer(request: Message) -> HeadraceError | None:
        return error if hasattr(request, "validate_only") else nothing_is_there(request)

    return answer


def test_each_planned_write_is_only_validated(planned):
    text = f"{BUDGETS}\nmodels: {{m: {{}}}}\nroutes: {{n: {{}}}}\npools: {{p: {{}}}}\nalert_rules: {{r: {{}}}}"
    changes, sent = planned(f"{text}\nrate_limits: {{l: {{}}}}", nothing_is_there)
    writes = [one for one in sent if type(one).__name__.startswith(("Create", "Update", "Put"))]
    assert len(writes) == len(changes) == 7
    assert all(one.validate_only for one in writes)
    assert not any(one.refused for one in changes)


@pytest.mark.parametrize(
    "error", [InvalidArgument("bad"), PreconditionFailed("no"), ResourceExhausted("full", reason="TOO_MANY_BUDGETS")]
)
def test_a_refusal_belongs_to_its_change_and_the_others_are_validated_too(planned, error: HeadraceError):
    def answer(request: Message) -> HeadraceError | None:
        refuse = isinstance(request, budget_pb2.PutBudgetRequest) and request.budget.name == "budgets/a"
        return error if refuse else None

    changes, _ = planned(BUDGETS, answer)
    assert [one.refused for one in changes] == [error, None]


def test_a_route_of_a_model_that_the_plan_makes_waits_for_it_and_is_not_refused(planned):
    changes, sent = planned(NEW_MODEL_AND_ROUTE, nothing_is_there)
    assert [(one.resource.name, one.waits_for) for one in changes] == [
        ("models/fraud", ""),
        ("routes/fraud", "models/fraud"),
    ]
    assert not any(isinstance(one, route_pb2.UpdateRouteRequest | route_pb2.DryRunRouteRequest) for one in sent)


def test_a_route_that_is_refused_has_no_dry_run(planned):
    changes, sent = planned("routes: {fraud: {}}", refused(NotFound("no such model", reason="MODEL_NOT_FOUND")))
    assert changes[0].refused is not None
    assert not any(isinstance(one, route_pb2.DryRunRouteRequest) for one in sent)


@pytest.mark.parametrize("error", [Unauthenticated("no token"), ResourceExhausted("slow", reason="RATE_LIMITED")])
def test_what_keeps_a_write_from_being_validated_ends_the_plan(planned, error: HeadraceError):
    error.may_retry = False
    with pytest.raises(type(error)):
        planned(BUDGETS, refused(error))


def test_a_plan_without_checks_sends_no_writes(planned):
    _, sent = planned(BUDGETS, nothing_is_there, check=False)
    assert [type(one).__name__ for one in sent] == ["ListBudgetsRequest"]

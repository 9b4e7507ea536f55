"""Both clients over a real connection: the same calls, the same answers, the same errors."""

import asyncio
import time
from typing import Any

import pytest
from headrace_client import (
    AsyncClient,
    Cancelled,
    Client,
    InvalidArgument,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)
from headrace_servicekit import errors
from headrace_servicekit.testing import eventually

from tests.kit.clients.both_clients import IMAGE, QUICK, Call
from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_registry import FakeRegistry
from tests.kit.clients.fake_routes import FakePredictions, FakeRoutes, echo


def test_the_token_is_sent_with_every_call(call: Call, door: FrontDoor) -> None:
    call("models.get", "digits", token=lambda: "minted")
    assert [seen.metadata["authorization"] for seen in door.calls] == ["Bearer minted"]


def test_every_call_has_a_deadline(call: Call, door: FrontDoor) -> None:
    call("predict", "digits", IMAGE)
    call("models.get", "digits", timeout=3.0)
    remaining = [seen.remaining_s or 0.0 for seen in door.calls]
    # A deadline travels rounded up to what `grpc-timeout` can say.
    assert 8 < remaining[0] <= 10.2
    assert 1 < remaining[1] <= 3.2


def test_unavailable_is_tried_again_until_it_answers(call: Call, door: FrontDoor) -> None:
    door.fail("Predict", errors.Unavailable("restarting", retry_after_s=0.01), times=3)
    assert call("predict", "digits", IMAGE).version == "v1"
    assert door.methods() == ["Predict"] * 4


def test_a_repeated_write_carries_the_same_request_id(call: Call, door: FrontDoor, registry: FakeRegistry) -> None:
    door.fail("PromoteModelVersion", errors.Unavailable("restarting"))
    call("models.promote", "digits", "v2", reason="better")
    call("models.promote", "digits", "v2", request_id="mine")
    assert door.methods() == ["PromoteModelVersion"] * 3
    made, given = (request.request_id for request in registry.requests)
    assert len(made) == 36
    assert given == "mine"


def test_an_error_arrives_typed_with_reason_and_fields(call: Call, door: FrontDoor) -> None:
    violation = errors.FieldViolation("inputs[0].shape", "is [1, 3]; [rows, 4] is expected")
    door.fail("Predict", errors.InvalidArgument("shape", reason="CONTRACT_VIOLATION", violations=[violation]))
    with pytest.raises(InvalidArgument) as refused:
        call("predict", "digits", IMAGE)
    assert refused.value.reason == "CONTRACT_VIOLATION"
    assert [v.field for v in refused.value.violations] == ["inputs[0].shape"]
    assert "inputs[0].shape: is [1, 3]" in str(refused.value)


def test_a_failed_precondition_lists_each_condition(call: Call, door: FrontDoor) -> None:
    violations = [errors.FieldViolation("gates.accuracy", "low"), errors.FieldViolation("gates.latency", "high")]
    door.fail(
        "PromoteModelVersion", errors.PreconditionFailed("no", reason="PROMOTION_GATE_FAILED", violations=violations)
    )
    with pytest.raises(PreconditionFailed) as refused:
        call("models.promote", "digits", "v2")
    assert [v.field for v in refused.value.violations] == ["gates.accuracy", "gates.latency"]


def test_a_refused_token_is_fetched_once_more(call: Call, door: FrontDoor) -> None:
    door.fail("GetModel", errors.Unauthenticated("expired"))
    tokens = iter(["old", "new"])
    call("models.get", "digits", token=lambda: next(tokens))
    assert [seen.metadata["authorization"] for seen in door.calls] == ["Bearer old", "Bearer new"]

    door.fail("GetModel", errors.Unauthenticated("foreign"), times=2)
    with pytest.raises(Unauthenticated):
        call("models.get", "digits")


def test_lists_are_read_to_the_last_page(call: Call, registry: FakeRegistry) -> None:
    for number in range(450):
        registry.put(f"model-{number:03}", "v1")
    assert len(call("models.list")) == 451


def test_a_door_that_is_not_there_is_unavailable_after_a_few_tries() -> None:
    with Client("127.0.0.1:1", token="t", retry=QUICK) as client, pytest.raises(Unavailable):
        client.models.get("digits", timeout=5.0)


def test_an_unknown_model_is_not_found(call: Call) -> None:
    with pytest.raises(NotFound) as absent:
        call("models.get", "absent")
    assert absent.value.reason == "MODEL_NOT_FOUND"


async def test_many_tasks_share_one_async_client_and_its_token(door: FrontDoor) -> None:
    fetched = 0

    async def provider() -> str:
        nonlocal fetched
        fetched += 1
        return "t"

    async with AsyncClient(door.address, token=provider) as client:
        await client.models.get("digits")
        answers = await asyncio.gather(*(client.predict("digits", IMAGE, user_id=str(n)) for n in range(50)))
    assert len({answer.request_id for answer in answers}) == 50
    assert fetched == 1


async def test_cancelling_a_task_gives_the_call_up(door: FrontDoor, routes: FakeRoutes) -> None:
    async with AsyncClient(door.address, token="t") as client:
        waiting = asyncio.create_task(client.routes.await_epoch("digits", 99, timeout=20.0))
        await eventually(lambda: "AwaitRegistryEpoch" in door.methods(), within=5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    routes.serve_epoch("digits", 99)


def test_closing_the_client_fails_what_is_in_progress() -> None:
    class Slow(FakePredictions):
        def Predict(self, request: Any, context: Any) -> Any:
            client.close()
            time.sleep(0.2)
            return echo(request)

    with FrontDoor.serving(Slow()) as door:
        client = Client(door.address, token="t")
        with pytest.raises(Cancelled):
            client.predict("digits", IMAGE)

"""`make down` and `make up`, and everything killed at once: whatever was there is there, and answers as it did."""

import os
import random
import signal
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_client import Client, Production, Variant, Version
from headrace_servicekit.testing import eventually
from headrace_stack import last_run, lifecycle, topology
from headrace_stack.ports import BLOCK, Ports, free_base_port
from headrace_stack.settings import StackSettings, checkout_of_this_file
from rich.console import Console

from tests.kit.front_door.edge import metadata
from tests.kit.models import onnx_models
from tests.kit.stack.process_trees import lives, processes
from tests.kit.stack.running import RunningStack
from tests.kit.stack.served_models import ROW, register, request, serve
from tests.kit.stores.servers import home_for_tests

# Starting and ending a stack is the fixture's time, not the test's.
pytestmark = [pytest.mark.long, pytest.mark.timeout(120, func_only=True)]

MODEL = "kept"
USERS = [f"user-{number}" for number in range(20)]


@pytest.fixture
def stack_of_its_own() -> Iterator[RunningStack]:
    """A stack as `make up` starts it, whose data survive its end; nothing of it runs after the test."""
    # Below the range from which the kernel takes ports for outgoing connections.
    base = free_base_port(random.randrange(20_000, 32_000, BLOCK) for _ in range(200))
    home = home_for_tests(f"restart-{os.getpid()}-{base}")
    settings = StackSettings(checkout=checkout_of_this_file(), home=home, ports=Ports(base))
    try:
        lifecycle.up(settings, Console(quiet=True))
        yield RunningStack(settings)
    finally:
        lifecycle.down(settings, Console(quiet=True))


def fill(stack: RunningStack) -> None:
    """Put something of every kind into the stores."""
    with Client(stack.address, token=stack.token("founder")) as client:
        register(client, "kept-idle", "v1", onnx_models.linear(seed=3))
        serve(client, MODEL, {f"v{number}": onnx_models.linear(seed=number) for number in (1, 2)})
        promoted = client.models.promote(MODEL, "v2", reason="better")
        client.routes.await_epoch(MODEL, promoted.model.epoch)
        client.models.set_alias(MODEL, "champion", "v1")
        client.routes.split(
            MODEL, [Variant("stable", Production(), 70), Variant("old", Version("v1"), 30)], reason="for the record"
        )
        # The router hears of a new model a moment later: what is compared must be there.
        assert client.routes.get("kept-idle").route.name == "routes/kept-idle"


def everything(stack: RunningStack) -> dict[str, Any]:
    """Return all that callers can read of a stack, as bytes where there are any."""
    with Client(stack.address, token=stack.token("auditor")) as client:
        models = client.models.list()
        names = [model.name.removeprefix("models/") for model in models]
        return {
            "models": models,
            "versions": {name: [_declared(one) for one in client.versions.list(name)] for name in names},
            "history": {name: client.models.history(name) for name in names},
            "routes": client.routes.list(),
            "assigned": [client.routes.assign(MODEL, user_id=user) for user in USERS],
            "answers": answers(stack),
        }


def _declared(version: registry_pb2.ModelVersion) -> registry_pb2.ModelVersion:
    """Return a version without what batchers measure of it, each anew when it loads it."""
    declared = registry_pb2.ModelVersion()
    declared.CopyFrom(version)
    reported = [one for one in version.metrics if one.source != registry_pb2.Metric.SOURCE_MEASURED]
    del declared.metrics[:]
    declared.metrics.extend(reported)
    return declared


def answers(stack: RunningStack) -> list[tuple[str, str, tuple[bytes, ...]]]:
    """Return version, variant and bytes that each user is answered with."""
    with grpc.insecure_channel(stack.address) as channel:
        stub: Any = predict_pb2_grpc.RouterServiceStub(channel)
        found = []
        for user in USERS:
            message: predict_pb2.PredictRequest = request(MODEL, features=ROW)
            message.user_id = user
            answer = stub.Predict(message, metadata=metadata(stack.token()), timeout=30, wait_for_ready=True)
            found.append((answer.version, answer.variant, tuple(answer.raw_output_contents)))
    return found


def test_down_leaves_no_process_and_the_next_up_finds_everything(stack_of_its_own: RunningStack):
    fill(stack_of_its_own)
    before, running = everything(stack_of_its_own), processes(stack_of_its_own.seen())
    assert {version for version, _, _ in before["answers"]} == {"v1", "v2"}
    assert len(before["history"][MODEL]) >= 6

    lifecycle.down(stack_of_its_own.settings, Console(quiet=True))
    assert [process for process in running if lives(process)] == []
    lifecycle.up(stack_of_its_own.settings, Console(quiet=True))
    assert everything(stack_of_its_own) == before
    prove_that_it_goes_on(stack_of_its_own)


@pytest.mark.faults
async def test_when_every_process_is_killed_at_once_the_next_up_finds_everything(stack_of_its_own: RunningStack):
    fill(stack_of_its_own)
    before, running = everything(stack_of_its_own), processes(stack_of_its_own.seen())
    for process in running:
        if lives(process):
            os.kill(process.pid, signal.SIGKILL)
    await eventually(lambda: not any(lives(process) for process in running), within=10)
    # A process that is killed holds its ports until the last of its threads is gone.
    every = topology.components(stack_of_its_own.settings)
    await eventually(lambda: not last_run.taken_ports(every), within=10)
    lifecycle.up(stack_of_its_own.settings, Console(quiet=True))
    assert everything(stack_of_its_own) == before
    prove_that_it_goes_on(stack_of_its_own)


def prove_that_it_goes_on(stack: RunningStack) -> None:
    """Write something new: what was found is not a memory."""
    with Client(stack.address, token=stack.token("successor")) as client:
        back = client.models.rollback(MODEL, reason="after the restart")
        client.routes.await_epoch(MODEL, back.model.epoch)
        assert back.model.production_version == "v1"
        assert {version for version, _, _ in answers(stack)} == {"v1"}

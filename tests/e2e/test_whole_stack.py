"""The whole stack as `make up` starts it."""

import os
import signal
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_servicekit.testing import eventually
from headrace_stack.description import BLOCK
from headrace_stack.snapshot import State

from tests.kit.stack.process_trees import listening, lives, processes
from tests.kit.stack.running import RunningStack


async def test_the_front_door_answers_health_without_a_token_and_nothing_else(stack: RunningStack):
    async with grpc.aio.insecure_channel(stack.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        named = ("", "inference.GRPCInferenceService")
        answers = [await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10) for name in named]
    async with httpx.AsyncClient(base_url=stack.url) as client:
        without = await client.get("/v1/models")
        with_token = await client.get("/v1/models", headers={"authorization": f"Bearer {stack.token()}"})
    assert [answer.status for answer in answers] == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert (without.status_code, with_token.status_code) == (401, 200)


def test_everything_listens_on_loopback_within_the_ports_of_this_stack(stack: RunningStack):
    base = stack.settings.ports.base
    found = listening(stack.seen())
    assert len(found) > 15
    loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert [one for one in found if one[1].ip not in loopback or one[1].port not in range(base, base + BLOCK)] == []
    metrics = stack.settings.ports.triton_metrics.number  # batchers call it by a socket
    assert {address.port for name, address in found if name == "tritonserver"} == {metrics}


def test_no_password_stands_in_a_command_line_or_an_environment(stack: RunningStack):
    identity = stack.settings.identity
    secrets = [(identity / name).read_text() for name in ("postgres.password", "s3.secret_key")]
    for process in processes(stack.seen()):
        if not lives(process):
            continue
        told = [*process.cmdline(), *process.environ().values()]
        assert not [text for text in told if any(secret in text for secret in secrets)], process.name()


@pytest.mark.faults
async def test_every_component_comes_back_after_a_kill(own_stack: RunningStack):
    names = [status.name for status in own_stack.seen().components]
    for name in names:
        own_stack.kill(name)

    def all_are_back() -> bool:
        statuses = [own_stack.status(name) for name in names]
        return all(status.restarts > 0 and status.state is State.READY for status in statuses)

    await eventually(all_are_back, within=80, every=0.1)


@pytest.mark.faults
async def test_a_killed_supervisor_takes_the_whole_stack_with_it(own_stack: RunningStack):
    before = processes(own_stack.seen())
    os.kill(before[0].pid, signal.SIGKILL)
    await eventually(lambda: not [process for process in before if lives(process)], within=20, every=0.1)

"""SIGTERM of one replica after another on a stack in use, as a rolling restart sends it: nobody notices."""

import time
from pathlib import Path

import pytest
from grpc import StatusCode

from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import in_use, whole

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SERVICES = ("registry", "router-control", "router-data", "batcher-default")
# Of these the stack has one replica: their own calls wait, and nothing else does.
OTHERS = ("monitor", "rollout", "autoscaler", "scorer", "console", "batcher-cpu")


@pytest.mark.long
async def test_rolling_restarts_of_every_service_cost_no_prediction_and_no_write(
    replicated_stack: RunningStack, tmp_path: Path
):
    replicas = [replica for service in SERVICES for replica in (service, f"{service}-1")]
    # The writer's client tries nothing again: the stack has to see to it.
    async with in_use(replicated_stack, tmp_path, tries=1) as scene:
        for replica in replicas:
            stopped = processes.terminate(replicated_stack, replica)
            await processes.back(replicated_stack, replica, stopped)
            await whole(replicated_stack)
        await scene.well_again()
        assert scene.restarted() == set(replicas)
    assert await scene.complaints() == []
    assert scene.writers.refused() == []


@pytest.mark.long
async def test_restarts_of_what_answers_no_prediction_cost_no_prediction_and_no_write(
    replicated_stack: RunningStack, tmp_path: Path
):
    async with in_use(replicated_stack, tmp_path, tries=1) as scene:
        for service in OTHERS:
            stopped = processes.terminate(replicated_stack, service)
            await processes.back(replicated_stack, service, stopped)
            await whole(replicated_stack)
        await scene.well_again()
        assert scene.restarted() == set(OTHERS)
    assert await scene.complaints() == []
    assert scene.writers.refused() == []


@pytest.mark.long
async def test_a_restart_of_the_only_front_door_answers_what_was_sent_and_refuses_connections_until_it_is_back(
    replicated_stack: RunningStack, tmp_path: Path
):
    """What docs/operations.md says that it costs; where there is a second one, callers are sent there meanwhile."""
    async with in_use(replicated_stack, tmp_path) as scene:
        began = time.monotonic()
        stopped = processes.terminate(replicated_stack, "front-door")
        await processes.back(replicated_stack, "front-door", stopped)
        answered_again = await scene.load.steady()
        await scene.well_again()
        assert scene.restarted() == {"front-door"}
    failures = scene.load.failures()
    assert [one for one in failures if one.sent_at < began or one.code is not StatusCode.UNAVAILABLE] == []
    assert await scene.complaints(excused=(began, answered_again)) == []

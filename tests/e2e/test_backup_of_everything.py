"""A backup of one stack, restored on another that knows nothing: the models, the routes, who answers, and what is known
of the answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from headrace_servicekit.testing import eventually
from headrace_stack.components import postgres
from headrace_stack.ports import BASE_PORT_SETTING
from headrace_stack.settings import STATE_DIRECTORY_SETTING
from headrace_stack.testing import held_stack

from tests.kit.models import onnx_models
from tests.kit.monitor.known_model import made, monitored
from tests.kit.stack.operator import Operator
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

VERSIONS = {f"v{number}": onnx_models.linear(seed=number) for number in (1, 2)}
ROW = {"features": np.ones((1, 4), np.float32)}


def command(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run what `make backup` and `make restore` run, for this stack."""
    told = {
        **os.environ,
        STATE_DIRECTORY_SETTING: str(stack.settings.home),
        BASE_PORT_SETTING: str(stack.settings.ports.base),
    }
    line = (sys.executable, "-P", "-m", "headrace_stack", *arguments)
    return subprocess.run(
        line, env=told, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )


async def newer_release(stack: RunningStack) -> None:
    """Make something that no backup knows, and that refers to what every backup has."""
    connection = await asyncpg.connect(postgres.url(stack.settings, "monitor"), timeout=30)
    await connection.execute("create table newer (process bigint references counter_processes)")
    await connection.close()


async def test_another_stack_serves_from_a_backup_what_the_first_one_served(tmp_path: Path):
    folder = tmp_path / "backup"
    with held_stack(home_for_tests(f"first-{os.getpid()}")) as settings:
        first = RunningStack(settings)
        async with Operator.of(first, "kept", tmp_path) as operator:
            for version, file in VERSIONS.items():
                await operator.register(version, file)
            await operator.promote("v1")
            known = await made(operator, first)
            await operator.split((("", 1.0), ("v2", 3.0)))
            route = await operator.client.routes.get("kept")
            history = await operator.client.models.history("kept")
            done = command(first, "backup", str(folder))
            assert done.returncode == 0, done.stderr
            again = command(first, "backup", str(folder))
            assert again.returncode == 1
            assert "not empty" in again.stderr

    with held_stack(home_for_tests(f"second-{os.getpid()}")) as settings:
        second = RunningStack(settings)
        refused = command(second, "restore", str(folder))
        assert refused.returncode == 1
        assert "--yes" in refused.stderr
        await newer_release(second)
        done = command(second, "restore", "--yes", str(folder))
        assert done.returncode == 0, done.stderr
        async with Operator.of(second, "kept", tmp_path) as operator:

            async def all_is_known_again() -> bool:
                assert await monitored(operator, known.end) == known
                return True

            await eventually(all_is_known_again, within=90, every=0.5)

            async def both_answer() -> bool:
                answers = [await operator.client.predict("kept", ROW, user_id=f"user-{one}") for one in range(20)]
                for answer in answers:
                    expected = VERSIONS[answer.version].expected(ROW)["scores"]
                    np.testing.assert_allclose(answer.outputs["scores"], expected, rtol=1e-5)
                return {answer.version for answer in answers} == {"v1", "v2"}

            await eventually(both_answer, within=90, every=0.5)
            restored = await operator.client.routes.get("kept")
            assert [arm.weight for arm in restored.route.variants] == [arm.weight for arm in route.route.variants]
            assert await operator.client.models.history("kept") == history
            # It goes on from there.
            operator.production = "v1"
            await operator.promote("v2")

"""Yesterday's backup of the registry, restored on a stack in use: nobody's prediction fails, and work goes on."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headrace_client import AsyncClient
from headrace_servicekit.testing import eventually
from headrace_stack.settings import StackSettings
from headrace_stack.topology import registry

from tests.kit.clients.commands import PYTHON, run
from tests.kit.stack.load import Load, describe
from tests.kit.stack.operator import METRICS, Operator
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import VERSIONS

pytestmark = pytest.mark.faults


async def registry_command(settings: StackSettings, *arguments: str) -> Any:
    """Run a command of the registry with the settings of the one that runs, as its operator would."""
    environment = {
        name: value
        for name, value in registry(settings).environment.items()
        if name.startswith("REGISTRY_") and not name.endswith("PORT")
    }
    environment["PATH"] = os.environ["PATH"]
    done = await run(*PYTHON, "headrace_registry", *arguments, environment=environment)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


async def test_predictions_go_on_and_what_the_backup_says_becomes_traffic(own_stack: RunningStack, tmp_path: Path):
    settings, folder = own_stack.settings, tmp_path / "backup"
    async with Operator.of(own_stack, "restored", tmp_path) as operator:
        for version in ("v1", "v2"):
            await operator.register(version, VERSIONS[version])
        await operator.promote("v1")
        await registry_command(settings, "backup", "--out", str(folder))

        await operator.register("v3", VERSIONS["v3"])
        await operator.promote("v3")
        await _serve_another(operator.client, tmp_path)
        async with Load.running(own_stack, operator.model, VERSIONS, rate=50.0) as load:
            await load.steady()
            restored = await registry_command(settings, "restore", "--from", str(folder), "--replace")
            assert restored["files_missing"] == []

            async def back_on_v1() -> bool:
                route = await operator.client.routes.get(operator.model)
                return [arm.serving_version for arm in route.route.variants] == ["v1"]

            await eventually(back_on_v1, within=40, every=0.1)
            # What was registered after the backup goes on serving although the registry does not know it any more.
            answer = await operator.client.predict("younger", {"features": np.zeros((1, 4), np.float32)})
            assert answer.version == "v1"
            operator.production = "v1"
            await operator.promote("v2")
            await operator.register("v3", VERSIONS["v3"])
            await operator.promote("v3")
            await load.steady()
    assert load.failures() == [], describe(load.failures())
    assert {exchange.version for exchange in load.exchanges} >= {"v3", "v2"}


async def _serve_another(client: AsyncClient, folder: Path) -> None:
    path = folder / "younger.onnx"
    path.write_bytes(VERSIONS["v1"].content)
    await client.versions.register("younger", "v1", path, metrics=METRICS)
    promoted = await client.models.promote("younger", "v1")
    await client.routes.await_epoch("younger", promoted.model.epoch, timeout=60)

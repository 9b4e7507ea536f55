"""The profile `gpu`: a batcher whose Triton is a neighbour in its network and on its volume. Here on the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from headrace_client import HeadraceError
from headrace_servicekit.testing import eventually, free_port

from tests.kit.deployment.containers import Installation
from tests.kit.models import onnx_models
from tests.kit.stack.operator import Operator

OVERLAY = "tests/compose/triton-on-cpu.yml"


@pytest.fixture
def neighbours(images: dict[str, str], tmp_path: Path) -> Iterator[Installation]:
    variables = {"COMPOSE_PROFILES": "gpu"}
    name = f"headrace-test-gpu-{os.getpid()}"
    made = Installation(name, free_port(), tmp_path / "home", (OVERLAY,), variables)
    try:
        made.up("--scale", "batcher=0")
        yield made
    finally:
        made.down("--volumes")
        assert made.left_behind() == []


async def test_it_serves_the_pool_alone_and_again_after_its_triton_was_killed(neighbours: Installation, tmp_path: Path):
    features = np.ones((2, 4), np.float32)
    expected = onnx_models.linear(seed=1).expected({"features": features})["scores"]
    async with Operator.of(neighbours.stack(), "beside", tmp_path) as operator:
        await operator.register("v1", onnx_models.linear(seed=1))
        await operator.promote("v1")

        async def computed() -> bool:
            try:
                answer = await operator.client.predict("beside", {"features": features}, max_age=timedelta(0))
            except HeadraceError:  # while Triton is away, and until it has loaded the version again
                return False
            return answer.served_from == "online" and np.allclose(answer.outputs["scores"], expected, rtol=1e-4)

        assert await computed()
        neighbours.kill("triton-gpu-1")
        neighbours.start("triton-gpu-1")
        await neighbours.well("batcher-gpu-1")
        await eventually(computed, within=60, every=0.5)

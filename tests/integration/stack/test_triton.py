"""Triton from its wheel, killed: the backend that stands in for the native one leaves nothing behind."""

import os
from pathlib import Path

import psutil
import pytest
from headrace_servicekit.testing import eventually

from tests.kit.models import onnx_models
from tests.kit.models.backends import Rig, triton_backend
from tests.kit.models.triton import Triton


@pytest.mark.faults
async def test_a_killed_triton_takes_its_stubs_and_its_shared_memory_with_it(triton: Triton, tmp_path: Path):
    async with triton_backend(triton) as backend:
        await backend.load(Rig(backend, tmp_path).files(onnx_models.linear()))
    stubs = psutil.Process(triton.process.pid).children(recursive=True)
    assert stubs
    triton.process.kill()
    triton.process.wait()
    await eventually(lambda: not any(stub.is_running() for stub in stubs), within=20)
    await eventually(
        lambda: (
            not [name for name in os.listdir("/dev/shm") if name.startswith(f"headrace_triton_{triton.process.pid}_")]
        ),
        within=20,
    )

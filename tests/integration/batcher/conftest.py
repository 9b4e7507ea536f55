"""A batcher with real S3 and real Triton, or with ONNX Runtime where the backend does not matter."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.batcher.service import BatcherRig, batcher_rig
from tests.kit.stores.servers import S3Store


@pytest.fixture
async def triton_rig(s3: S3Store, tmp_path: Path, triton_command: Path) -> AsyncIterator[BatcherRig]:
    """A batcher that starts its own Triton."""
    async with batcher_rig(s3, tmp_path, "triton", triton_command) as rig:
        yield rig


@pytest.fixture
async def onnx_rig(s3: S3Store, tmp_path: Path, triton_command: Path) -> AsyncIterator[BatcherRig]:
    """A batcher that runs models itself."""
    async with batcher_rig(s3, tmp_path, "onnxruntime", triton_command) as rig:
        yield rig


@pytest.fixture(params=["triton", "onnxruntime"])
async def rig(request, s3: S3Store, tmp_path: Path, triton_command: Path) -> AsyncIterator[BatcherRig]:
    """A batcher on each backend."""
    async with batcher_rig(s3, tmp_path, request.param, triton_command) as rig:
        yield rig

"""A batcher with real S3 and real Triton, or with ONNX Runtime where the backend does not matter.

A rig is one test's own, to start with what settings it likes; `on_triton` and its like run for all tests of a module.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from headrace_stack.settings import StackSettings

from tests.kit.batcher.service import BatcherRig, batcher_rig
from tests.kit.batcher.shared import SharedBatcher, shared_batcher
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_triton(
    s3_server: StackSettings, tmp_path_factory: pytest.TempPathFactory, triton_command: Path
) -> AsyncIterator[SharedBatcher]:
    """A batcher with a Triton that no test of the module harms."""
    async with shared_batcher(s3_server, tmp_path_factory.mktemp("triton"), "triton", triton_command) as shared:
        yield shared


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_onnxruntime(
    s3_server: StackSettings, tmp_path_factory: pytest.TempPathFactory, triton_command: Path
) -> AsyncIterator[SharedBatcher]:
    """A batcher that runs models itself, and that no test of the module harms."""
    async with shared_batcher(s3_server, tmp_path_factory.mktemp("onnx"), "onnxruntime", triton_command) as shared:
        yield shared


@pytest.fixture(params=["on_triton", "on_onnxruntime"])
def on_each(request: pytest.FixtureRequest) -> SharedBatcher:
    """One and the other."""
    return request.getfixturevalue(request.param)

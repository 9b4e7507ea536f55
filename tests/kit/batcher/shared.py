"""A batcher that the tests of a module share: starting one, with a Triton, takes longer than most of what they ask.

pytestmark = pytest.mark.asyncio(loop_scope="module")

async def test_…(on_triton: SharedBatcher):
    async with on_triton.serving("linear", onnx_models.linear()) as (client, version):
        ...
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.router.v1 import control_pb2
from headrace_batcher.settings import BatcherSettings
from headrace_servicekit.runtime import Runtime
from headrace_stack.settings import StackSettings

from tests.kit.batcher.service import BatcherRig, batcher_rig
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models.onnx_models import TinyModel
from tests.kit.stores.servers import new_bucket


@dataclass(frozen=True, slots=True)
class SharedBatcher:
    """Each test has versions of names that no other test of its module has: the name decides the digest."""

    rig: BatcherRig
    runtime: Runtime[BatcherSettings]
    _wanted: dict[tuple[str, str], control_pb2.ResolvedVersion] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def wanting(self, *versions: control_pb2.ResolvedVersion) -> AsyncIterator[BatcherClient]:
        """Want these too while the block lasts, which sees what becomes of them."""
        self.want(*versions)
        try:
            async with BatcherClient.connected(self.runtime.servers[0].address) as client:
                yield client
        finally:
            self.want_no_more(*versions)

    @contextlib.asynccontextmanager
    async def serving(
        self, name: str, model: TinyModel, **settings: Any
    ) -> AsyncIterator[tuple[BatcherClient, control_pb2.ResolvedVersion]]:
        """Serve a model, which stays for later tests that ask for that name; they give it the same settings."""
        version = self._wanted.get((name, "v1")) or await self.rig.version(name, model, **settings)
        self.want(version)
        async with BatcherClient.connected(self.runtime.servers[0].address) as client:
            await client.until_ready(version.digest)
            yield client, version

    def want(self, *versions: control_pb2.ResolvedVersion) -> None:
        """Want these too; those that are wanted longest are the most needed."""
        self._wanted.update({(version.model, version.version): version for version in versions})
        self.rig.want(*self._wanted.values())

    def want_no_more(self, *versions: control_pb2.ResolvedVersion) -> None:
        """Want these no more, if they were wanted."""
        for version in versions:
            self._wanted.pop((version.model, version.version), None)
        self.rig.want(*self._wanted.values())


@contextlib.asynccontextmanager
async def shared_batcher(
    s3_server: StackSettings, directory: Path, backend: str, triton_command: Path
) -> AsyncIterator[SharedBatcher]:
    """Run a batcher that sends no probes of its own, so that a test may count executions."""
    async with (
        new_bucket(s3_server) as store,
        batcher_rig(store, directory, backend, triton_command) as rig,
        rig.running(liveness_probe_after_s=600) as runtime,
    ):
        yield SharedBatcher(rig, runtime)

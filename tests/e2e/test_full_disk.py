"""A disk without room under everything that a stack keeps: predictions go on, writes are refused, nothing is lost."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace_stack.testing import held_stack

from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import in_use
from tests.kit.stores.servers import home_for_tests

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

# PostgreSQL takes 60 MB, SeaweedFS 10, the models next to nothing.
DISK_MB = 320
FULL_S = 8.0


@pytest.fixture
def small_stack() -> Iterator[RunningStack]:
    """A stack of this test alone whose state lies on a file system of its own, of a few hundred MB."""
    home = home_for_tests(f"small-{os.getpid()}")
    state = home / "state"
    state.mkdir(parents=True, exist_ok=True)
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0700", "headrace-test", str(state))
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system")
    try:
        with held_stack(home) as settings:
            yield RunningStack(settings)
    finally:
        # Lazily: the stack lets go of it a moment after its last holder.
        subprocess.run(("umount", "--lazy", str(state)), check=True)


async def test_a_full_disk_refuses_writes_and_costs_no_prediction_and_no_acknowledged_write(
    small_stack: RunningStack, tmp_path: Path
):
    async with in_use(small_stack, tmp_path, tries=1) as scene:
        ballast = small_stack.settings.state("ballast")
        _fill(ballast)
        await asyncio.sleep(FULL_S)
        refused = scene.writers.refused()
        ballast.unlink()
        await scene.well_again()
    assert refused
    assert await scene.complaints() == []


def _fill(path: Path) -> None:
    """Write until there is no room for a byte."""
    size = 1024 * 1024
    with path.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2

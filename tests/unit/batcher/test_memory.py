"""What counts as a batcher's memory: its own, that of its children, and that of its backend's process group."""

import math
from pathlib import Path

import pytest
from headrace_batcher.loading.memory import MemoryWatch, held_bytes

OWN, GROUP = 10, 20


def process(proc: Path, pid: int, *, parent: int, group: int, pss_kb: int, name: str = "python") -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} {group} 1 0 -1")
    (proc / str(pid) / "smaps_rollup").write_text(f"55d0-7ffd ---p [rollup]\nRss: 9999 kB\nPss: {pss_kb} kB\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    process(tmp_path, OWN, parent=1, group=OWN, pss_kb=1)
    process(tmp_path, 11, parent=OWN, group=OWN, pss_kb=10, name="a fetcher (of files) 7 8")
    process(tmp_path, GROUP, parent=OWN, group=GROUP, pss_kb=100)
    process(tmp_path, 21, parent=GROUP, group=GROUP, pss_kb=1000)
    process(tmp_path, 30, parent=1, group=OWN, pss_kb=10_000)
    return tmp_path


@pytest.mark.parametrize(
    ("group", "kb"),
    [pytest.param(GROUP, 1111, id="with a backend"), pytest.param(None, 111, id="while there is no backend")],
)
def test_children_and_the_backends_group_count_once_and_nobody_else(proc: Path, group: int | None, kb: int):
    assert held_bytes(OWN, group, proc) == kb * 1024


def test_a_process_that_ends_meanwhile_counts_nothing(proc: Path):
    (proc / "11" / "smaps_rollup").unlink()
    (proc / "21" / "stat").unlink()
    assert held_bytes(OWN, GROUP, proc) == 101 * 1024


async def test_the_memory_of_gpus_is_counted_where_it_is_bounded(proc: Path):
    watch = MemoryWatch(math.inf, lambda: GROUP, proc, gpu_limit_bytes=1000, gpu_bytes=lambda: 1001)
    memory = await watch.read()
    assert memory is not None
    assert (memory.main_is_short, memory.gpu_is_short, memory.is_short) == (False, True, True)
    unbounded = await MemoryWatch(10**12, lambda: GROUP, proc, gpu_bytes=lambda: 10**12).read()
    assert unbounded is not None
    assert not unbounded.is_short

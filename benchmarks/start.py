"""What a start of the whole takes, and one of the core alone: processes, memory, seconds of the clock and the CPU.

`python -m benchmarks.start`. It starts stacks of its own, in turns: the first of each compiles modules, the second is
reported. Memory is PSS and RSS of all processes when all are ready (`benchmarks.sizes` says what these are).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil
from headrace_stack import snapshot
from headrace_stack.settings import StackSettings
from headrace_stack.testing import held_stack

from tests.kit.stores.servers import home_for_tests

STARTS = 2
STACKS = {"whole": (), "core": ("core",)}
_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Start:
    """What one start took. cpu_s: of a processor, by component."""

    took_s: float
    components: int
    processes: int
    pss: int
    rss: int
    cpu_s: dict[str, float]


def started(name: str) -> Start:
    """Start a stack, and return what it took."""
    began = time.monotonic()
    with held_stack(home_for_tests(f"start-{name}-{time.time_ns()}"), parts=STACKS[name]) as settings:
        return measured(settings, time.monotonic() - began)


def measured(settings: StackSettings, took_s: float) -> Start:
    """Return what a stack that is ready has taken so far."""
    seen = snapshot.read(settings.snapshot)
    assert seen is not None
    used = {one.name: cpu_s(one.process.pid) for one in seen.components if one.process is not None}
    supervisor = psutil.Process(seen.supervisor.pid)
    memory = [one.memory_full_info() for one in (supervisor, *supervisor.children(recursive=True))]
    return Start(
        took_s,
        len(seen.components),
        len(memory),
        sum(one.pss for one in memory),
        sum(one.rss for one in memory),
        {"supervisor": cpu_s(seen.supervisor.pid, alone=True), **used},
    )


def cpu_s(pid: int, *, alone: bool = False) -> float:
    """Return what a process, its children, and those that they have waited for have used of a processor."""
    process = psutil.Process(pid)
    family = [process] if alone else [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[: 2 if alone else 4]) for one in family)


def main() -> None:
    found = [{name: started(name) for name in STACKS} for _ in range(STARTS)][-1]
    for name, used_s in found["whole"].cpu_s.items():
        print(f"{name:18}{used_s:6.2f} s of a processor")
    print("\n| | components | processes | PSS MiB | RSS MiB | ready after | of a processor |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, one in found.items():
        counts = f"{one.components} | {one.processes} | {one.pss // _MIB} | {one.rss // _MIB}"
        print(f"| {name} | {counts} | {one.took_s:.1f} s | {sum(one.cpu_s.values()):.1f} s |")


if __name__ == "__main__":
    main()

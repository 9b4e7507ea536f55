"""Memory of every process of the running stack, for the table of sizes: `python -m benchmarks.sizes`.

PSS divides what processes share among them, all on the machine, and can be added up; RSS counts it for each. What a
container needs lies between. A batcher's Triton, with a process for each model of the Python backend, and the front
door's Envoy are listed by themselves.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import psutil
from headrace_stack import settings, snapshot

_MIB = 1024**2
# Below a component: what its children are, by a word of their program's name.
_INSIDE = {"tritonserver": "Triton", "triton_python_backend_stub": "Triton's models", "envoy": "Envoy"}


class Size(NamedTuple):
    """Of one process, in bytes."""

    pss: int
    rss: int


def sizes() -> dict[str, list[Size]]:
    """Return the size of each process, by component and what it is inside. Raises SystemExit without a stack."""
    seen = snapshot.read(settings.read().snapshot)
    if seen is None:
        raise SystemExit("not up: `make up` starts the stack")
    found: dict[str, list[Size]] = defaultdict(list)
    for component in seen.components:
        if component.process is None:
            continue
        process = psutil.Process(component.process.pid)
        for one in (process, *process.children(recursive=True)):
            inside = next((name for word, name in _INSIDE.items() if word in Path(one.exe()).name), "")
            found[f"{component.name}{f': {inside}' if inside else ''}"].append(_size(one))
    return found


def _size(process: psutil.Process) -> Size:
    memory = process.memory_full_info()
    return Size(memory.pss, memory.rss)


def main() -> None:
    print("| process | PSS MiB | RSS MiB |\n| --- | --- | --- |")
    for name, each in sizes().items():
        of = f"{name} ({len(each)})" if len(each) > 1 else name
        print(f"| {of} | {sum(one.pss for one in each) // _MIB} | {sum(one.rss for one in each) // _MIB} |")
    print(f"\n{os.cpu_count()} cores, {psutil.virtual_memory().total // _MIB // 1024} GiB")


if __name__ == "__main__":
    main()

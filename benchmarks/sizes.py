"""Memory of every process of the running stack, for the table of sizes, and the CPU that it takes at that time.

python -m benchmarks.sizes --seconds 30     CPU as the mean of so long; of an idle stack, what being there costs

PSS divides what processes share among them, all on the machine, and can be added up; RSS counts it for each. What a
container needs lies between. A batcher's Triton, with a process for each model of the Python backend, and the front
door's Envoy are listed by themselves.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import psutil
from headrace_stack import settings, snapshot

_MIB = 1024**2
# Below a component: what its children are, by a word of their program's name.
_INSIDE = {"tritonserver": "Triton", "triton_python_backend_stub": "Triton's models", "envoy": "Envoy"}


class Size(NamedTuple):
    """Of one process: memory in bytes, and the share of a core."""

    pss: int
    rss: int
    cores: float


def sizes(seconds: float) -> dict[str, list[Size]]:
    """Return the size of each process, by component and what it is inside, after so long a look at their CPU time."""
    found, began = processes(), time.monotonic()
    before = {one: _cpu_s(one) for each in found.values() for one in each}
    time.sleep(seconds)
    after = {one: _cpu_s(one) for one in before}
    took = time.monotonic() - began
    return {name: [_size(one, (after[one] - before[one]) / took) for one in each] for name, each in found.items()}


def processes() -> dict[str, list[psutil.Process]]:
    """Return the processes of the running stack, by component and what is inside. Raises SystemExit without a stack."""
    seen = snapshot.read(settings.read().snapshot)
    if seen is None:
        raise SystemExit("not up: `make up` starts the stack")
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    for component in seen.components:
        if component.process is None:
            continue
        process = psutil.Process(component.process.pid)
        for one in (process, *process.children(recursive=True)):
            inside = next((name for word, name in _INSIDE.items() if word in Path(one.exe()).name), "")
            found[f"{component.name}{f': {inside}' if inside else ''}"].append(one)
    return found


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _size(process: psutil.Process, cores: float) -> Size:
    memory = process.memory_full_info()
    return Size(memory.pss, memory.rss, cores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to look at CPU")
    found = sizes(parser.parse_args().seconds)
    print("| process | PSS MiB | RSS MiB | CPU, % of a core |\n| --- | --- | --- | --- |")
    rows = {f"{name} ({len(each)})" if len(each) > 1 else name: each for name, each in found.items()}
    rows["all"] = [one for each in found.values() for one in each]
    for of, each in rows.items():
        pss, rss, cores = map(sum, zip(*each, strict=True))
        print(f"| {of} | {pss // _MIB} | {rss // _MIB} | {cores:.1%} |".replace("% |", " |"))
    print(f"\n{os.cpu_count()} cores, {psutil.virtual_memory().total // _MIB // 1024} GiB")


if __name__ == "__main__":
    main()

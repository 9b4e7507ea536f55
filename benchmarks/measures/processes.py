"""What processes use: CPU time and memory, by the name of what they belong to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# How the kernel names them, and how people do.
_COMMANDS = {"tritonserver": "Triton", "triton_python_b": "Triton's Python backend", "envoy": "Envoy"}


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the start of the process, and resident memory in bytes."""

    cpu_s: float
    memory_bytes: int


def families(heads: Mapping[str, int]) -> dict[str, list[int]]:
    """Return process ids by name: each head under its own, its descendants under theirs, `head: command`."""
    found: dict[str, list[int]] = {}
    for name, head in heads.items():
        for pid in family(head):
            command = _command(pid)
            label = name if pid == head or command == "python" else f"{name}: {_COMMANDS.get(command, command)}"
            found.setdefault(label, []).append(pid)
    return found


def usage(processes: Mapping[str, list[int]]) -> dict[str, Usage]:
    """Return what each has used until now; processes that have gone count nothing."""
    return {name: Usage(sum(map(cpu_s, pids)), sum(map(_memory_bytes, pids))) for name, pids in processes.items()}


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        queue += children.get(one, [])
    return found


def has_ended(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, without its children; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _memory_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"

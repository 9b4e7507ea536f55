"""What a process and all that it starts use, also of those that are gone before anybody asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measures.processes import cpu_s, family

EVERY_S = 0.1


class Tree:
    """Processes below one, seen again and again. workers: those whose command line has this word."""

    def __init__(self, pid: int, word: str = "") -> None:
        self._pid, self._word = pid, word
        self._first: dict[int, float] = {one: cpu_s(one) for one in family(pid)}
        self._latest = dict(self._first)
        self.memory: list[int] = []
        """Private bytes of the largest worker, at each look."""

    @property
    def cpu_s(self) -> float:
        """Return what all of them have used since the first look."""
        return sum(used - self._first.get(pid, 0.0) for pid, used in self._latest.items())

    def look(self) -> None:
        """Look once."""
        pids = family(self._pid)
        for pid in pids:
            self._latest[pid] = max(self._latest.get(pid, 0.0), cpu_s(pid))
        if self._word:
            self.memory.append(max((_private_bytes(pid) for pid in pids if self._word in _title(pid)), default=0))


@contextmanager
def watched(pid: int, word: str = "") -> Iterator[Tree]:
    """Watch a process and what is below it until the block ends."""
    tree, over = Tree(pid, word), threading.Event()

    def watch() -> None:
        while not over.wait(EVERY_S):
            tree.look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield tree
    finally:
        over.set()
        thread.join()
        tree.look()


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _private_bytes(pid: int) -> int:
    """Return resident bytes that no file backs: what grows where something is kept."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0

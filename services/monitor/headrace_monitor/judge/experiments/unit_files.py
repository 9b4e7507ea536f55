"""The files of kept units on this machine: which experiment has which, and which of them go.

One that is lost costs its experiment a longer analysis, so none is copied, and none is needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from headrace_monitor.judge.experiments.decisions.definitions import Experiment

_PREFIX = "headrace-experiments-"
_LOCK = "lock"
_SUFFIX = ".duckdb"


class UnitFiles:
    """The files in a folder. max_bytes: of all together, of which one may have half. busy: whether one is in use."""

    def __init__(self, folder: Path, max_bytes: int, busy: Callable[[Path], bool]) -> None:
        self._folder, self._max_bytes, self._busy = folder, max_bytes, busy

    def path(self, experiment: Experiment) -> Path:
        """Return where an experiment has its file."""
        said = f"{experiment.model}/{experiment.id}/{experiment.create_time.isoformat()}"
        return self._folder / (hashlib.sha256(said.encode()).hexdigest()[:32] + _SUFFIX)

    def remove(self, path: Path) -> None:
        """Remove a file, with the log of its last changes."""
        for each in (path, path.with_name(path.name + ".wal")):
            each.unlink(missing_ok=True)

    def expire(self, before_s: float) -> None:
        """Remove the files last used before a time."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path.stat().st_mtime < before_s and not self._busy(path):
                self.remove(path)

    def make_room(self, path: Path) -> None:
        """Remove the least recently used other files until they take at most half of `max_bytes`."""
        others = [each for each in self._folder.glob(f"*{_SUFFIX}") if each != path and not self._busy(each)]
        others.sort(key=lambda each: each.stat().st_mtime, reverse=True)
        budget = self._max_bytes // 2
        for each in others:
            budget -= each.stat().st_size
            if budget < 0:
                self.remove(each)


@contextlib.contextmanager
def files_folder(parent: Path | None) -> Iterator[Path]:
    """Lock the first folder that no other monitor on this machine uses; files of an earlier process are reused.

    A folder that another user owns or may read is skipped, since its files are not trusted. Raises OSError.
    """
    where = Path(tempfile.gettempdir()) if parent is None else parent
    for number in itertools.count():
        folder = where / f"{_PREFIX}{number}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if not _is_ours(folder):
            continue
        with (folder / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield folder
            return


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o007

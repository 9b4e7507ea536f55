"""A bounded disk cache of log files for queries."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.fair_share import FairTurns

from headrace_monitor.record.log.files import LogFile

# Returns a file's content. Raises LookupError, Unavailable.
Fetch = Callable[[LogFile], Awaitable[bytes]]

_PREFIX = "headrace-monitor-"
_LOCK = "lock"
_AT_ONCE = 4
# Each file of a query is open while it runs.
MAX_FILES = 4096


class FileCache:
    """At most `max_bytes` of files; the least recently used go first.

    A query reads hard links in a separate folder: its files stay while it runs, and it can open no others.
    """

    def __init__(self, folder: Path, max_bytes: int, fetch: Fetch) -> None:
        self._folder, self.max_bytes, self._fetch = folder, max_bytes, fetch
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._coming: dict[str, asyncio.Lock] = {}
        # A query of thousands of files takes turns with the next client's.
        self._turns = FairTurns(_AT_ONCE)

    def check(self, files: Sequence[LogFile]) -> None:
        """Raise ResourceExhausted for more than one query may read."""
        size = sum(file.size_bytes for file in files)
        if size <= self.max_bytes and len(files) <= MAX_FILES:
            return
        raise ResourceExhausted(
            f"the query reads {len(files):,} files of {size / 1e6:,.0f} MB; one query may read {MAX_FILES:,} files and "
            f"{self.max_bytes / 1e6:,.0f} MB. Bound its time (`range`; --since and --until of the command line), or "
            "write WHERE model = …, version = … or answer_time > … where it reads from the view",
            reason="QUERY_TOO_LARGE",
        )

    async def link(self, files: Sequence[LogFile], folder: Path) -> tuple[Path, ...]:
        """Put the files into a folder. Raises LookupError when one is gone: then none is there; Unavailable."""
        self.check(files)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._link(file, folder / f"{at}.parquet"), name=f"fetch {file.object_key}")
                for at, file in enumerate(files)
            ]
        found = [task.result() for task in tasks]
        paths = tuple(path for path in found if path is not None)
        if len(paths) < len(found):
            for path in paths:
                os.unlink(path)
            raise LookupError(files[found.index(None)].object_key)
        return paths

    async def _link(self, file: LogFile, path: Path) -> Path | None:
        """Put one file at a path; None when it is gone."""
        name = hashlib.sha256(file.object_key.encode()).hexdigest()
        async with self._coming.setdefault(name, asyncio.Lock()), self._turns.turn():
            try:
                if name in self._sizes:
                    self._sizes.move_to_end(name)
                    os.link(self._folder / name, path)
                    return path
                content = await self._fetch(file)
            except LookupError:
                return None
            finally:
                self._coming.pop(name, None)  # who waits has the lock; who comes later finds the file
            await asyncio.to_thread(path.write_bytes, content)
            self._keep(name, path, len(content))
        return path

    def _keep(self, name: str, path: Path, size: int) -> None:
        if name in self._sizes:
            return
        while self._sizes and sum(self._sizes.values()) + size > self.max_bytes:
            oldest, _ = self._sizes.popitem(last=False)
            (self._folder / oldest).unlink()
        os.link(path, self._folder / name)
        self._sizes[name] = size


@contextlib.contextmanager
def scratch_folder(parent: Path | None) -> Iterator[Path]:
    """Make a folder that is gone afterwards, and remove those of services that were killed. Raises OSError."""
    where = Path(tempfile.gettempdir()) if parent is None else parent
    for other in where.glob(f"{_PREFIX}*/{_LOCK}"):
        _remove_abandoned(other)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def query_folder(parent: Path) -> AsyncIterator[Path]:
    """Make a folder for one query, that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="query-", dir=parent))
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _remove_abandoned(lock_file: Path) -> None:
    with contextlib.suppress(OSError), lock_file.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock_file.parent, ignore_errors=True)

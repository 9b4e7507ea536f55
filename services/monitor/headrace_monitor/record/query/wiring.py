"""Queries put together for `service`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.runtime import Runtime, StartError

from headrace_monitor.record.log.reader import Reader
from headrace_monitor.record.query.cache import FileCache, scratch_folder
from headrace_monitor.record.query.process import Limits
from headrace_monitor.record.query.queries import Queries
from headrace_monitor.settings import MonitorSettings

# Of one answer, on its way to the caller.
MAX_ANSWER_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class QueryFiles:
    """What queries share. folder: parent of each query's own. cache: of files of the log."""

    folder: Path
    cache: FileCache
    limits: Limits


async def open_query_files(runtime: Runtime[MonitorSettings], reader: Reader) -> QueryFiles:
    """Make the folder for what queries read. Raises StartError."""
    settings = runtime.settings
    folder = await runtime.enter(folder_of(scratch_folder, settings.query_dir))
    limits = Limits(
        memory_bytes=settings.query_memory_bytes,
        threads=settings.query_threads,
        timeout_s=settings.query_timeout_s,
        max_bytes=MAX_ANSWER_BYTES,
        spill_bytes=settings.query_memory_bytes,
    )
    return QueryFiles(folder, FileCache(folder, settings.query_cache_bytes, reader.content), limits)


def open_queries(
    runtime: Runtime[MonitorSettings], connections: Connections, reader: Reader, files: QueryFiles
) -> Queries:
    """Return what answers queries."""
    return Queries(reader, connections, files.cache, files.folder, files.limits, runtime.settings.max_queries)


@contextlib.asynccontextmanager
async def folder_of(
    opened: Callable[[Path | None], AbstractContextManager[Path]], parent: Path | None
) -> AsyncIterator[Path]:
    """Open a folder for what queries read or keep. Raises StartError."""
    try:
        with opened(parent) as folder:
            yield folder
    except OSError as error:
        raise StartError(f"MONITOR_QUERY_DIR: no folder can be made in {parent}: {error.strerror}") from error

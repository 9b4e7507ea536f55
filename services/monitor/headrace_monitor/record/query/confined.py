"""DuckDB in a separate process with limits: a query may use up memory, hang or crash without harm to the service.

The process has no environment variables, credentials or network. It communicates in frames.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace_servicekit.confinement import confine

from headrace_monitor.record.query import frames
from headrace_monitor.record.query.frames import Kind

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 8192
_MAX_WORDS = 4000
# What DuckDB says when it may keep no more on disk.
_FULL = "File too large"
_PR_SET_PDEATHSIG = 1
# Address space besides DuckDB's memory: the interpreter, libraries, and reserved but unused thread stacks.
_ADDRESS_SPACE_BYTES = 6 * 2**30


class RefusedError(Exception):
    """The query cannot be answered. kind: `invalid` or `too_large`."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


def serve(answer: Callable[[Any], None]) -> None:
    """Answer what comes on stdin; answer: writes its frames to the file that it gets."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # output of libraries must not mix with frames
    try:
        answer(outgoing)
    except RefusedError as error:
        failure = {"kind": error.kind, "words": str(error)[:_MAX_WORDS]}
        outgoing.write(frames.frame(Kind.FAILED, json.dumps(failure).encode()))
    except (EOFError, BrokenPipeError):
        pass  # the parent waits no longer


def receive(kind: Kind) -> Any:
    """Return what the service sends next. Raises EOFError when it is something else, or nothing."""
    found, content = frames.read(sys.stdin.buffer)
    if found is not kind:
        raise EOFError
    return json.loads(content)


def send(outgoing: Any, kind: Kind, message: Mapping[str, Any]) -> None:
    """Send the service a message."""
    outgoing.write(frames.frame(kind, json.dumps(message).encode()))


def limit(job: Mapping[str, Any]) -> None:
    """Limit this process to what its job says."""
    confine(job["memory_bytes"] + _ADDRESS_SPACE_BYTES, int(job["cpu_s"]) + 1, file_bytes=job["spill_bytes"])
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def connect(job: Mapping[str, Any], database: str = ":memory:") -> duckdb.DuckDBPyConnection:
    """Open a database with the limits of a job."""
    import duckdb

    connection = duckdb.connect(
        database,
        config={
            "threads": str(job["threads"]),
            "memory_limit": f"{job['memory_bytes']}B",
            "temp_directory": f"{job['folder']}/spill",
            "max_temp_directory_size": f"{job['spill_bytes']}B",
            "home_directory": job["folder"],
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
            "preserve_insertion_order": "false",
        },
    )
    connection.execute("set timezone = 'UTC'")
    return connection


def refusal(error: Exception, words: str) -> RefusedError:
    """Return what an error of DuckDB's, or a lack of memory, is to the caller."""
    import duckdb

    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        return RefusedError("too_large", f"the query needs more memory than a query may use: {error}")
    full = isinstance(error, duckdb.IOException) and _FULL in str(error)
    return RefusedError("too_large" if full else "invalid", words)


def send_rows(outgoing: Any, reader: Any, max_rows: int, max_bytes: int) -> None:
    """Send an answer as an Arrow IPC stream, at most `max_rows` of it, and how it went."""
    import pyarrow

    sink = _Sink(outgoing, max_bytes)
    rows, truncated = 0, False
    with pyarrow.ipc.new_stream(sink, reader.schema) as writer:
        for batch in reader:
            taken = batch.slice(0, max_rows - rows)
            truncated = taken.num_rows < batch.num_rows
            rows += taken.num_rows
            if taken.num_rows:
                writer.write_batch(taken)
            if truncated:
                break
    send(outgoing, Kind.DONE, {"rows": rows, "truncated": truncated})


class _Sink:
    """What pyarrow writes to: a file whose bytes become frames, up to a limit."""

    closed = False

    def __init__(self, outgoing: Any, max_bytes: int) -> None:
        self._outgoing, self._left = outgoing, max_bytes

    def write(self, content: Any) -> int:
        view = memoryview(content)
        self._left -= view.nbytes
        if self._left < 0:
            raise RefusedError("too_large", "the answer is larger than an answer may be: ask for fewer rows or columns")
        for begin in range(0, view.nbytes, frames.CHUNK_BYTES):
            self._outgoing.write(frames.frame(Kind.ARROW, bytes(view[begin : begin + frames.CHUNK_BYTES])))
        return view.nbytes

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        self.closed = True

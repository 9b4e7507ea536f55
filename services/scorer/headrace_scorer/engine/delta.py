"""Delta tables as inputs: their log says which Parquet files they have, and all else is as with any other files."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
from headrace_runtime.artifacts.place import read_credentials
from headrace_servicekit.columns import UnsoundColumnError, sound_table

from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.engine.memory import at_most_more
from headrace_scorer.engine.messages import PlanOrder
from headrace_scorer.engine.objects import Listed, Objects
from headrace_scorer.engine.protocol import Failed

_AT_ONCE = 16
# What reading a log may take, and for each file that a table may have: four times of what delta-rs takes.
_LOG_BYTES, _FILE_BYTES = 512 << 20, 4096
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def delta_files(order: PlanOrder, objects: Objects) -> list[Listed]:
    """Return the files of a table's latest version, by name; the first alone unless all are wanted. Raises Failed."""
    spec = order.work.spec
    if next(objects.listed(spec.input.below("_delta_log")), None) is None:
        raise _no_table(spec)
    keys = sorted({key_of(path, spec.input) for path in _paths(order)})
    if not keys:
        raise Failed("INPUT_EMPTY", f"the latest version of the table {spec.input.uri} has no files")
    if len(keys) > order.max_objects:
        message = f"{spec.input.uri} has {len(keys):,} files, more than {order.max_objects:,}"
        raise Failed("TOO_MANY_OBJECTS", f"{message}: compact it (OPTIMIZE), or set SCORER_MAX_OBJECTS higher")
    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            wanted = keys if order.whole else keys[:1]
            found = list(threads.map(lambda key: objects.found(spec.input.bucket, key), wanted))
    except LookupError as error:
        message = f"{error} is in the log of the table and not in the bucket"
        raise Failed("INPUT_CHANGED", f"{message}: create the job again, after the vacuum that removed it") from None
    return [one for one in found if one.size_bytes]


def key_of(path: str, table: Location) -> str:
    """Return the key of an object, from its URI-encoded path in a table's log.

    Raises Failed for a path outside the table: a writer of the table must not reach other objects.
    """
    relative = path.removeprefix(f"{_encoded(table)}/")
    name = unquote(relative)
    if _SCHEME.match(relative) or any(part in ("", ".", "..") for part in name.split("/")):
        message = f"the log of the table {table.uri} names '{path[:200]}', which is not below the table"
        raise Failed("INPUT_UNREADABLE", f"{message}: of a shallow clone, have a deep one made, or write Parquet")
    return table.below(name).prefix


def _paths(order: PlanOrder) -> list[str]:
    try:
        import deltalake  # an extra, and half a second
        from deltalake.exceptions import DeltaError, TableNotFoundError
    except ImportError:
        message = "this scorer reads no Delta tables"
        raise Failed("READER_MISSING", f"{message}: install headrace-scorer[delta], or write Parquet") from None
    spec = order.work.spec
    try:
        with at_most_more(_LOG_BYTES + _FILE_BYTES * order.max_objects):
            table = deltalake.DeltaTable(_encoded(spec.input), storage_options=_options(order))
            _refuse_what_changes_rows(table, spec)
            return sound_table(pa.table(table.get_add_actions())).column("path").to_pylist()
    except TableNotFoundError:
        raise _no_table(spec) from None
    except (DeltaError, UnsoundColumnError) as error:
        message = f"{spec.input.uri} cannot be read as a Delta table: {_said(error)}"
        raise Failed("INPUT_UNREADABLE", f"{message}. Mend it, or write Parquet, and create a job again") from None
    except OSError as error:
        raise Failed("STORE_UNAVAILABLE", f"{spec.input.uri}: {_said(error)}", transient=True) from None


def _encoded(table: Location) -> str:
    return quote(table.uri, safe="/:")


def _no_table(spec: Spec) -> Failed:
    return Failed("INPUT_EMPTY", f"{spec.input.uri} is no Delta table: there is no `_delta_log` below it")


def _refuse_what_changes_rows(table: Any, spec: Spec) -> None:
    # By what is in force: a table of the protocol before features (2, 5) has them too.
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        message = f"{spec.input.uri} has mapped columns, which its files have under other names"
        raise Failed("FORMAT_UNKNOWN", f"{message}: drop the table feature 'columnMapping', or write Parquet from it")
    if any(batch.num_rows for batch in table.deletion_vectors()):
        message = f"{spec.input.uri} has rows that are deleted by deletion vectors, and are in its files"
        raise Failed(
            "FORMAT_UNKNOWN", f"{message}: have them removed (REORG TABLE … APPLY (PURGE)), and create the job again"
        )
    used = {name for one in spec.tensors for name in one.columns} | set(spec.keep)
    for name in table.metadata().partition_columns:
        if name in used:
            message = f"column '{name}' is a partition column of {spec.input.uri}, whose values are not in its files"
            raise Failed("SCHEMA_MISMATCH", f"{message}: have the table keep it under another name as well")


def _options(order: PlanOrder) -> dict[str, str]:
    access = order.work.access
    keys = {} if access.credentials_file is None else read_credentials(Path(access.credentials_file))
    named = {"AWS_ACCESS_KEY_ID": "aws_access_key_id", "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key"}
    return {
        "AWS_ENDPOINT_URL": access.endpoint,
        "AWS_REGION": access.region,
        "AWS_ALLOW_HTTP": "true",
        "max_retries": "3",
        "retry_timeout": "20s",
        **{option: keys[name] for option, name in named.items() if name in keys},
    }


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]

"""Delta tables as inputs: their log says which Parquet files they have, and all else is as with any other files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from headrace_runtime.artifacts.place import read_credentials

from headrace_scorer.decisions.specs import Spec
from headrace_scorer.engine.messages import PlanOrder
from headrace_scorer.engine.objects import Listed, Objects
from headrace_scorer.engine.processes import Failed

_AT_ONCE = 16


def delta_files(order: PlanOrder, objects: Objects) -> list[Listed]:
    """Return the files of a table's latest version, by name; the first alone unless all are wanted. Raises Failed."""
    spec = order.work.spec
    names = sorted(_names(order))
    if len(names) > order.max_objects:
        told = f"{spec.input.uri} has {len(names):,} files, more than {order.max_objects:,}"
        raise Failed("TOO_MANY_OBJECTS", f"{told}: compact it (OPTIMIZE), or set SCORER_MAX_OBJECTS higher")
    keys = [spec.input.below(name).prefix for name in names]
    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            wanted = keys if order.whole else keys[:1]
            found = list(threads.map(lambda key: objects.found(spec.input.bucket, key), wanted))
    except LookupError as error:
        told = f"{error} is in the log of the table and not in the bucket"
        raise Failed("INPUT_CHANGED", f"{told}: create the job again, after the vacuum that removed it") from None
    return [one for one in found if one.size_bytes]


def _names(order: PlanOrder) -> list[str]:
    try:
        import deltalake  # an extra, and half a second
        from deltalake.exceptions import DeltaError, TableNotFoundError
    except ImportError:
        told = "this scorer reads no Delta tables"
        raise Failed("READER_MISSING", f"{told}: install headrace-scorer[delta], or write Parquet") from None
    spec = order.work.spec
    try:
        table = deltalake.DeltaTable(spec.input.uri, storage_options=_options(order))
        _refuse_what_changes_rows(table, spec)
        return [unquote(uri).removeprefix(f"{spec.input.uri}/") for uri in table.file_uris()]
    except TableNotFoundError:
        raise Failed("INPUT_EMPTY", f"{spec.input.uri} is no Delta table: there is no `_delta_log` below it") from None
    except DeltaError as error:
        told = f"{spec.input.uri} cannot be read as a Delta table: {_said(error)}"
        raise Failed("INPUT_UNREADABLE", f"{told}. Mend it, or write Parquet, and create a job again") from None
    except OSError as error:
        raise Failed("STORE_UNAVAILABLE", f"{spec.input.uri}: {_said(error)}", transient=True) from None


def _refuse_what_changes_rows(table: Any, spec: Spec) -> None:
    if "columnMapping" in (table.protocol().reader_features or ()):
        told = f"{spec.input.uri} has mapped columns, which its files have under other names"
        raise Failed("FORMAT_UNKNOWN", f"{told}: drop the table feature 'columnMapping', or write Parquet from it")
    if any(batch.num_rows for batch in table.deletion_vectors()):
        told = f"{spec.input.uri} has rows that are deleted by deletion vectors, and are in its files"
        raise Failed(
            "FORMAT_UNKNOWN", f"{told}: have them removed (REORG TABLE … APPLY (PURGE)), and create the job again"
        )
    used = {name for one in spec.tensors for name in one.columns} | set(spec.keep)
    for name in table.metadata().partition_columns:
        if name in used:
            told = f"column '{name}' is a partition column of {spec.input.uri}, whose values are not in its files"
            raise Failed("SCHEMA_MISMATCH", f"{told}: have the table keep it under another name as well")


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

"""Rows of an Iceberg table, as its current snapshot has them: by PyIceberg, which knows deletes and renamed columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from headrace_runtime.artifacts.place import read_credentials

from headrace_scorer.engine.messages import PlanOrder
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.sources.streams import Stream, stream_of


def schema(order: PlanOrder) -> pa.Schema:
    """Return the columns of a table. Raises Failed."""
    with _errors(order):
        return _table(order).schema().as_arrow()


@contextmanager
def rows(order: PlanOrder, columns: Sequence[str]) -> Iterator[Stream]:
    """Yield the rows of a table's snapshot, of these columns. Raises Failed."""
    with _errors(order):
        scan = _table(order).scan(selected_fields=tuple(columns))
        found = _file_by_file(scan)
    yield stream_of(found, lambda: _errors(order))


def _file_by_file(scan: Any) -> pa.RecordBatchReader:
    """Return what a scan has, file by file, each as it is read.

    PyIceberg's own reader reads all files ahead at once, and decodes each one whole before its first row: what it does
    for one file is only to be had by a private name. A file is still held as it is stored.
    """
    from pyiceberg.io.pyarrow import ArrowScan, _read_all_delete_files, schema_to_pyarrow

    schema = schema_to_pyarrow(scan.projection())
    files = ArrowScan(scan.table_metadata, scan.io, scan.projection(), scan.row_filter, scan.case_sensitive)

    def batches() -> Iterator[pa.RecordBatch]:
        for task in scan.plan_files():
            deletes = _read_all_delete_files(scan.io, [task])
            yield from files._record_batches_from_scan_tasks_and_deletes([task], deletes)

    return pa.RecordBatchReader.from_batches(schema, batches()).cast(schema)


def _table(order: PlanOrder) -> Any:
    source = order.work.spec.source
    assert source is not None
    return _catalog(order).load_table(source.table)


def _catalog(order: PlanOrder) -> Any:
    from pyiceberg import exceptions
    from pyiceberg.catalog import load_catalog

    source, access = order.work.spec.source, order.source
    assert source is not None
    assert access is not None
    try:
        return load_catalog(source.name, **_files(order) | dict(access.properties))
    except (exceptions.UnauthorizedError, exceptions.ForbiddenError, ValueError) as error:
        # Its text may have any of the properties, passwords among them.
        message = f"the catalog of source '{source.name}' cannot be opened ({type(error).__name__})"
        raise Failed("SOURCE_UNUSABLE", f"{message}: correct its properties in SCORER_SOURCES_FILE") from None


@contextmanager
def _errors(order: PlanOrder) -> Iterator[None]:
    try:
        from pyiceberg import exceptions  # an extra, and half a second
    except ImportError:
        message = "this scorer reads no Iceberg tables"
        raise Failed("READER_MISSING", f"{message}: install headrace-scorer[iceberg], or write Parquet") from None
    source = order.work.spec.source
    assert source is not None
    missing = (exceptions.NoSuchTableError, exceptions.NoSuchNamespaceError, exceptions.NoSuchIdentifierError)
    refused = (exceptions.UnauthorizedError, exceptions.ForbiddenError, exceptions.ValidationError)
    try:
        yield
    except Failed:
        raise
    except missing:
        message = f"source '{source.name}' has no table '{source.table}': name it as namespace.table"
        raise Failed("SOURCE_UNUSABLE", message) from None
    except (*refused, NotImplementedError, ValueError) as error:  # a kind of table that PyIceberg does not read, say
        message = f"source '{source.name}' does not give table '{source.table}' ({_said(error)})"
        raise Failed("SOURCE_UNUSABLE", f"{message}: look at the catalog, and who may read it") from None
    except (AttributeError, ImportError) as error:  # of another release than this reader knows, or without a part
        message = f"this scorer's PyIceberg does not read source '{source.name}' ({error.name or type(error).__name__})"
        raise Failed("READER_MISSING", f"{message}: install headrace-scorer[iceberg] of this release") from None
    except Exception as error:  # each type of catalog raises its own errors when it is unavailable
        message = f"source '{source.name}' cannot be read ({type(error).__name__})"
        raise Failed("SOURCE_UNAVAILABLE", message, transient=True) from None


def _files(order: PlanOrder) -> dict[str, str]:
    """Return how files in S3 are read where the operator says nothing else: as the scorer's own."""
    access = order.work.access
    keys = {} if access.credentials_file is None else read_credentials(Path(access.credentials_file))
    named = {"s3.access-key-id": "aws_access_key_id", "s3.secret-access-key": "aws_secret_access_key"}
    found = {"s3.endpoint": access.endpoint, "s3.region": access.region, "s3.request-timeout": "30"}
    return found | {option: keys[name] for option, name in named.items() if name in keys}


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]

"""Bring files of the prediction log into windows: `python -m benchmarks.windows`. What one core does in a second.

Everything that the deriver does but for the network: reading Parquet, counting rows on the frozen edges, adding the
window to the one that is kept, and making text of it.
"""

import io
import time
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn
from headrace_monitor.judge.windows.decisions import window_summaries
from headrace_monitor.judge.windows.postgres import WindowRow, merged
from headrace_statistics import references

NUMBERS, CATEGORIES = 27, 3
ROWS, FILES = 50_000, 20


def main() -> None:
    rng = np.random.default_rng(1)
    columns = [
        MonitoredColumn(f"n{i}", f"feature.n{i}", f"n{i}", 0, "FP32", ColumnType.NUMERIC) for i in range(NUMBERS)
    ]
    columns += [
        MonitoredColumn(f"c{i}", f"feature.c{i}", f"c{i}", 0, "BYTES", ColumnType.CATEGORICAL)
        for i in range(CATEGORIES)
    ]
    frozen: dict[str, references.ColumnReference] = {}
    for column in columns:
        values = _values(rng, column, 100_000)
        numeric = column.read_as is ColumnType.NUMERIC
        frozen[column.name] = (
            references.freeze_numeric(values) if numeric else references.freeze_categorical(values.tolist())
        )
    content = _file(rng, columns)
    kept: dict[window_summaries.WindowKey, WindowRow] = {}
    began = time.process_time()
    for _ in range(FILES):
        names = window_summaries.wanted_columns(columns)
        file = pq.ParquetFile(pa.BufferReader(content))
        table = file.read(columns=[name for name in file.schema_arrow.names if name in names], use_threads=False)
        for key, window in window_summaries.windows_of(table, columns, frozen, 3600).items():
            kept[key] = merged(kept.get(key), window)
    cpu_s = time.process_time() - began
    size = sum(len(row.summaries) + len(row.unit_sums) for row in kept.values())
    print(f"{FILES} files of {ROWS:,} rows and {NUMBERS + CATEGORIES} columns in {len(kept)} windows of {size:,} bytes")
    print(f"{FILES * ROWS / cpu_s:,.0f} rows in a second of one core; {cpu_s / FILES * 1e3:.0f} ms for a file")


def _values(rng: np.random.Generator, column: MonitoredColumn, rows: int) -> np.ndarray:
    if column.read_as is ColumnType.NUMERIC:
        return rng.normal(size=rows).astype(np.float32)
    return rng.choice([f"country-{number}" for number in range(40)], rows)


def _file(rng: np.random.Generator, columns: list[MonitoredColumn]) -> bytes:
    start_us = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1e6)
    times = pa.array(start_us + np.arange(ROWS) * 60_000, pa.timestamp("us", "UTC"))
    table = {
        "answer_time": times,
        "variant": rng.choice(["main", "canary"], ROWS),
        "probability": np.ones(ROWS),
        "served_from": rng.choice(["online", "cache"], ROWS),
        "unit": [f"user {number}" for number in rng.integers(0, ROWS // 3, ROWS)],
        "prediction_id": [str(number) for number in range(ROWS)],
        **{column.stored: _values(rng, column, ROWS) for column in columns},
    }
    into = io.BytesIO()
    pq.write_table(pa.table(table), into, compression="zstd")
    return into.getvalue()


if __name__ == "__main__":
    main()

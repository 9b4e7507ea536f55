"""`headrace experiments export`: the units of an experiment as a Parquet file."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import click
from headrace_client.cli.options import connected, model_argument
from headrace_client.cli.output import Output, shown
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import invalid

from headrace_release.cli.experiments.conclusion import experiment_argument


@click.command()
@model_argument
@experiment_argument
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--parts", type=click.IntRange(1, 1000), default=1, show_default=True, help="Ask for so many parts.")
@click.option("--timeout", type=Duration(), default=timedelta(seconds=90), show_default="90s", help="For each part.")
@connected
def export(
    client: Client, output: Output, model: str, experiment: str, file: Path, parts: int, timeout: timedelta
) -> None:
    """Write the units of EXPERIMENT to FILE as Parquet: variant, first exposure, and the value of each metric.

    Memory does not grow with their number. Where an answer is too large, or takes too long, ask for several --parts.

    \b
    Examples:
      headrace experiments export shop ranking units.parquet
      headrace experiments export shop ranking units.parquet --parts 20
    """
    unfinished = file.with_name(f".{file.name}.part")
    try:
        with output.waiting("reading"):
            rows = write_units(client, model, experiment, unfinished, parts, timeout.total_seconds())
        unfinished.replace(file)
    except OSError as error:
        raise invalid("FILE", f"cannot write {file}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    if output.as_json:
        output.document({"file": str(file), "units": rows})
    else:
        output.say(f"wrote {rows:,} units to {shown(str(file))}")


def write_units(client: Client, model: str, experiment: str, path: Path, parts: int, timeout_s: float) -> int:
    """Write one part after the other, batch by batch; return the number of rows."""
    import pyarrow.parquet

    writer: Any = None
    rows = 0
    try:
        for part in range(parts):
            with tempfile.TemporaryFile(dir=path.parent) as stream:
                client.experiments.export_units(*(model, experiment, stream), parts=parts, part=part, timeout=timeout_s)
                for batch in _batches(stream):
                    writer = writer or pyarrow.parquet.ParquetWriter(path, batch.schema)
                    writer.write_batch(batch)
                    rows += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _batches(stream: BinaryIO) -> Any:
    """Yield the batches of a stream, at least one: without units there are columns all the same."""
    import pyarrow

    stream.seek(0)
    with pyarrow.ipc.open_stream(stream) as reader:
        yield pyarrow.RecordBatch.from_pylist([], schema=reader.schema)
        for batch in reader:
            batch.validate(full=True)
            yield batch

"""`make bench-batch`: offline scoring beside ONNX Runtime alone, plain Ray Data and Spark, in one run on one machine.

Rows, for two networks over the same Parquet files in the stack's S3:

  worker             what one worker of a job does, in a process of its own: a shard from S3 scored and put into S3
  run                a job of the scorer: read, scored, checked, written, committed, with every process that it starts
  ONNX Runtime       the limit: the same columns as Arrow batches in memory, one process, one thread
  Ray Data           `map_batches` with an actor for each core, in an environment of its own (0.4 GB), files to files
  Spark, rows        a plain function of Python for each row, in an environment of its own (1 GB, and a Java of 17 or
                     later, without which the row is left out), on files of this machine instead of S3; a tenth of the
                     records, for it takes so much longer
  Spark, batches     `mapInPandas` likewise, over all records
  row by row         one call of the model for each row, as a function of rows makes it, without Spark around it

What counts is rows for each second of a processor: neighbours on the machine change it less than rows a second. The
stack is started when it is not up. Beside other programs the seconds say nothing.

  make bench-batch                                    two million records, one worker and two
  make bench-batch BENCH="--rows 10000000 --only large --workers 2"    memory over ten million
  make bench-batch BENCH=--without-jobs               what runs without the scorer and Ray, also beside other programs
  make bench-batch BENCH=--write-docs                 the table into docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import which
from typing import Any

import psutil
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_client import Client
from headrace_client.errors import AlreadyExists

from benchmarks.checkout import ROOT, BenchmarkError
from benchmarks.measures.trees import watched
from benchmarks.report import batch_tables, document, tables
from benchmarks.systems.batch.records import BUCKET, NETWORKS, Network, Store, exported, store_of, written
from benchmarks.systems.field.contender import built
from benchmarks.systems.stack import Stack, running_stack
from benchmarks.systems.starting import told

RESULTS = ROOT / ".headrace" / "bench"
RUN_S = 3600.0
FIELD = Path(__file__).parent / "systems" / "field"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. cpu_s: of everything. memory: of the largest worker, a tenth into the run, and the most.

    busy: mean busy cores of the machine meanwhile, for all its processes.
    """

    network: str
    name: str
    workers: int
    rows: int
    wall_s: float
    cpu_s: float
    batch_rows: int = 0
    memory_early: int = 0
    memory_most: int = 0
    estimated_s: float = 0.0
    busy: float = 0.0

    @property
    def per_cpu_s(self) -> float:
        """Rows for each second of a processor."""
        return self.rows / self.cpu_s


def main() -> None:
    options = _options()
    stack = running_stack()
    store, rows = store_of(stack), list[Row]()
    with tempfile.TemporaryDirectory() as folder, Client(f"127.0.0.1:{stack.port}", token=stack.token) as client:
        for network in NETWORKS:
            if options.only and network.name not in options.only:
                continue
            for row in measured(network, options, stack, store, client, Path(folder)):
                rows.append(row)
                told(batch_tables.line(row))
    about = tables.conditions(f"{options.rows:,} records for each row")
    print(f"\n{batch_tables.text(rows)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    found = {"conditions": about, "rows": [asdict(row) for row in rows]}
    (RESULTS / "batch.json").write_text(json.dumps(found, indent=1) + "\n")
    if options.write_docs:
        document.fill("batch", batch_tables.markdown(about, rows))


def measured(
    network: Network, options: argparse.Namespace, stack: Stack, store: Store, client: Client, folder: Path
) -> Iterator[Row]:
    """Measure every row of a network."""
    file = folder / f"{network.name}.onnx"
    contract, model = exported(network, file), f"bench-batch-{network.name}"
    with contextlib.suppress(AlreadyExists):
        client.versions.register(model, "v1", file, contract=contract)
    keys = written(store, network, options.rows)
    sample = folder / "sample.parquet"
    store.client.download_file(BUCKET, keys[0], str(sample))
    limit = alone(network, file, sample, "batches")
    yield limit
    yield worker(network, file, store, keys[0])
    for workers in options.workers if not options.without_jobs else ():
        yield run(network, model, workers, options.rows, stack, client)
        if not options.without_ray_data:
            yield ray_data(network, file, keys, workers, options.rows, store, limit.batch_rows)
    if not options.without_spark:
        yield from spark(network, file, keys, max(options.workers), options.rows, store, limit.batch_rows, folder)
    yield alone(network, file, sample, "rows")


def alone(network: Network, model: Path, sample: Path, how: str) -> Row:
    """Measure ONNX Runtime in a process of its own."""
    order = {"model": str(model), "file": str(sample), "features": network.features, "how": how}
    command = [sys.executable, "-P", str(Path(__file__).parent / "systems" / "batch" / "alone.py"), json.dumps(order)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    rate, name = found["rows_per_cpu_s"], "ONNX Runtime" if how == "batches" else "row by row"
    return Row(network.name, name, 1, round(rate), 1.0, 1.0, found["batch_rows"])


def worker(network: Network, model: Path, store: Store, key: str) -> Row:
    """Measure one worker of a job, in a process of its own."""
    order = {**asdict(store), "model": str(model), "features": network.features, "key": key}
    command = [sys.executable, "-m", "benchmarks.systems.batch.worker", json.dumps(order)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found = json.loads(done.stdout)
    return Row(network.name, "worker", 1, round(found["rows_per_cpu_s"]), 1.0, 1.0, found["batch_rows"])


def run(network: Network, model: str, workers: int, rows: int, stack: Stack, client: Client) -> Row:
    """Measure a job of the scorer."""
    spec = pb.ScoringSpec(
        version="v1",
        input=pb.ScoringSpec.Input(uri=f"s3://{BUCKET}/bench-batch/{network.name}-{rows}"),
        tensors=[pb.ScoringSpec.TensorColumns(tensor="features", columns=network.features)],
        keep_columns=["customer"],
        options=pb.ScoringOptions(workers=workers),
    )
    estimated = client.jobs.estimate(model, spec).duration.ToTimedelta().total_seconds()
    early: list[int] = []
    began, working = time.monotonic(), _working_s()
    with watched(stack.processes["scorer"], "ShardActor") as tree:
        seen = [client.jobs.create(model, spec)]

        def received(answer: pb.WatchScoringJobResponse) -> None:
            seen[:] = [answer.job]
            if not early and answer.job.progress.rows_done >= rows / 10:
                early.append(max(tree.memory))

        client.jobs.watch(seen[0].name, received, timeout=RUN_S)
    (job,) = seen
    if job.state != pb.ScoringJob.STATE_SUCCEEDED:
        raise BenchmarkError(f"{job.name} did not succeed: {job.reason}")
    busy = (_working_s() - working) / (time.monotonic() - began)
    wall_s = job.manifest.duration.ToTimedelta().total_seconds()
    most = max(tree.memory, default=0)
    return Row(
        *(network.name, "run", workers, rows, wall_s, tree.cpu_s, job.manifest.batch_rows),
        memory_early=early[0] if early else most,
        memory_most=most,
        estimated_s=estimated,
        busy=busy,
    )


def _working_s() -> float:
    times = psutil.cpu_times()
    return times.user + times.system + times.nice


def ray_data(
    network: Network, model: Path, keys: Sequence[str], workers: int, rows: int, store: Store, batch_rows: int
) -> Row:
    """Measure Ray Data."""
    order: dict[str, Any] = {
        **asdict(store),
        "model": str(model),
        "features": network.features,
        "files": [f"{BUCKET}/{key}" for key in keys],
        "output": f"{BUCKET}/bench-batch/_ray-data-{time.time_ns()}",
        "workers": workers,
        "batch_rows": batch_rows,
    }
    wall_s, cpu_s = _ended("ray_data", order)
    return Row(network.name, "Ray Data", workers, rows, wall_s, cpu_s, batch_rows)


def spark(
    network: Network,
    model: Path,
    keys: Sequence[str],
    workers: int,
    rows: int,
    store: Store,
    batch_rows: int,
    folder: Path,
) -> Iterator[Row]:
    """Measure Spark with both kinds of functions, unless there is no Java."""
    if which("java") is None:
        told("  Spark is left out: there is no java")
        return
    files = [folder / f"{network.name}-{number}.parquet" for number in range(len(keys))]
    for key, file in zip(keys, files, strict=True):
        store.client.download_file(BUCKET, key, str(file))
    for how, some in (("rows", files[:1]), ("batches", files)):
        order: dict[str, Any] = {
            "model": str(model),
            "features": network.features,
            "files": [str(file) for file in some],
            "output": str(folder / f"{network.name}-{how}"),
            "workers": workers,
            "batch_rows": batch_rows,
            "how": how,
        }
        wall_s, cpu_s = _ended("spark", order)
        yield Row(network.name, f"Spark, {how}", workers, rows * len(some) // len(files), wall_s, cpu_s, batch_rows)


def _ended(system: str, order: Mapping[str, Any]) -> tuple[float, float]:
    """Run a job of a system in its environment; return the seconds it took, and those of processors."""
    python = built(system) / "bin" / "python"
    command = [str(python), "-P", str(FIELD / system / "job.py"), json.dumps(order)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        with process, watched(process.pid) as tree:
            line = process.stdout.readline()
            tree.look()
            process.stdin.close()
            process.wait()
        if not line:
            said.seek(0)
            raise BenchmarkError(f"{system} ended: {said.read().decode(errors='replace')[-2000:]}")
    return json.loads(line)["wall_s"], tree.cpu_s


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000, help="records of the input")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="how many score at once")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in NETWORKS], help="networks")
    parser.add_argument("--without-jobs", action="store_true", help="only what runs without the scorer and Ray")
    parser.add_argument("--without-ray-data", action="store_true", help="leave it out")
    parser.add_argument("--without-spark", action="store_true", help="leave it out")
    parser.add_argument("--write-docs", action="store_true", help="the table into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()

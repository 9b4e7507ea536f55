"""`make demo-batch`: a million made-up customers in S3, each scored exactly once, published, looked up, taken back."""

from __future__ import annotations

import configparser
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
from headrace.scorer.v1 import publications_pb2
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_client import Client, HeadraceError, Prediction, ServedFrom
from headrace_client.local_stack import LocalStack

from examples.batch.records import FEATURES, SEED, customers, files, train
from examples.story import SERVING_TIMEOUT_S, Story, headrace, told
from examples.versions import begin_with, register_once

MODEL, VERSION = "churn", "v1"
_CUSTOMER = "customer-7"
BUCKET = "headrace-scoring"
ROWS, FILE_ROWS = 1_000_000, 100_000
# S3 is that many ports behind the front door (deploy/topology.toml).
_S3_OFFSET = 22


def main() -> int:
    """Tell the story once; return the exit code."""
    failed = 0

    def tell_all(client: Client) -> None:
        nonlocal failed
        story = Story()
        with tempfile.TemporaryDirectory(prefix="headrace-batch-") as folder:
            failed = tell(story, client, Path(folder))
        story.end()

    return told(tell_all) or failed


def tell(story: Story, client: Client, folder: Path) -> int:
    """Train, write the input, score it, and look at what came of it; return the exit code."""
    story.title(f"Who will leave? {ROWS:,} customers, scored overnight (all of it is made up)")
    with story.step("train and export to ONNX"):
        model = train(folder)
    with story.step(f"register {MODEL} {VERSION}") as outcome:

        def create(name: str) -> None:
            client.versions.register(
                MODEL,
                name,
                model.file,
                contract=model.contract,
                description="a small network",
            )

        version = register_once(client, MODEL, VERSION, model.file, create)
        outcome(str(version))
    with story.step(f"write {ROWS:,} records to s3://{BUCKET}/demo") as outcome:
        size = _write()
        outcome(f"{size / 1e6:.0f} MB of Parquet in {ROWS // FILE_ROWS} objects")

    spec = pb.ScoringSpec(
        version=version.version,
        input=pb.ScoringSpec.Input(uri=f"s3://{BUCKET}/demo"),
        tensors=[pb.ScoringSpec.TensorColumns(tensor="customer_features", columns=FEATURES)],
        keep_columns=["customer"],
        options=pb.ScoringOptions(shard_rows=50_000),
    )
    story.title("A job: what does not fit is said before it starts")
    with story.step("leave a column out") as outcome:
        outcome(_refused(client, spec))
    with story.step("create the job"):
        job = client.jobs.create(MODEL, spec)
    job = _followed(story, client, job)
    if job.state != pb.ScoringJob.STATE_SUCCEEDED:
        story.say(f"[red]it did not succeed[/]: {job.reason}")
        return 1
    _accounts(story, job)
    if not _published(story, client, version.version, job):
        return 1
    story.line("its history", f"{headrace()} jobs history {MODEL}")
    story.line("why rows were rejected", f"{job.output_uri}/_rejected/")
    return 0


def _write() -> int:
    """Write the input; return its bytes."""
    client, size = _s3(), 0
    for number, content in enumerate(files(ROWS, FILE_ROWS)):
        client.put_object(Bucket=BUCKET, Key=f"demo/customers-{number:02}.parquet", Body=content)
        size += len(content)
    return size


def _refused(client: Client, spec: pb.ScoringSpec) -> str:
    """Return what is said of a job that names a column too few."""
    wrong = pb.ScoringSpec()
    wrong.CopyFrom(spec)
    del wrong.tensors[0].columns[-1:]
    try:
        client.jobs.create(MODEL, wrong, validate_only=True)
    except HeadraceError as error:
        return str(error)
    raise AssertionError("a job without one of its columns was not refused")


def _followed(story: Story, client: Client, job: pb.ScoringJob) -> pb.ScoringJob:
    """Return the job at its end, having shown how it went on."""
    seen = [job]
    with story.rows("score them", ROWS) as show:

        def received(answer: pb.WatchScoringJobResponse) -> None:
            seen[:] = [answer.job]
            show(answer.job.progress.rows_done)

        client.jobs.watch(job.name, received, timeout=1800)
    return seen[0]


def _accounts(story: Story, job: pb.ScoringJob) -> None:
    manifest = job.manifest
    seconds = manifest.duration.ToTimedelta().total_seconds()
    story.table(
        (
            "rows in",
            "scored",
            "rejected",
            "files",
            "from start to commit",
            "rows/s",
            "processor seconds",
            "rows at once",
        ),
        [
            (
                f"{manifest.rows_in:,}",
                f"{manifest.rows_out:,}",
                f"{manifest.rows_rejected:,}",
                f"{manifest.files:,}",
                f"{seconds:.1f} s",
                f"{manifest.rows_in / seconds:,.0f}",
                f"{manifest.cpu_seconds:.1f}",
                f"{manifest.batch_rows:,}",
            )
        ],
    )
    story.say(f"results: {job.output_uri}")


def _published(story: Story, client: Client, version: str, job: pb.ScoringJob) -> bool:
    """Publish the results, look one up, and take them back; return whether all of that came about."""
    story.title("Published: who asks for one of these customers gets what was computed tonight")
    with story.step(f"put {version} into production") as outcome:
        client.models.set_gates(MODEL, [], reason="demo: no caller depends on it")
        how, model = begin_with(client, MODEL, version)
        client.routes.await_epoch(MODEL, model.epoch, timeout=SERVING_TIMEOUT_S)
        outcome(how)
    with story.step("ask for 200 of them online, compare, and publish all as one generation") as outcome:
        client.publications.publish(job.name, publishing=pb.Publishing(entity_column="customer", drift_tolerance=0))
        done = client.publications.wait(job.name, timeout=900)
        outcome(f"{done.entities:,} customers, {done.parity.differing} of {done.parity.rows} differ")
    if done.state != publications_pb2.ScoringPublication.STATE_PUBLISHED:
        story.say(f"[red]not published[/]: {done.reason}")
        return False
    found = _asked(client)
    story.say(f"{_CUSTOMER}: {found.outputs['leaves'].item():.4f}, served from {found.served_from.value}")
    with story.step("take them back"):
        client.publications.revert(job.name)
    after = _asked(client)
    story.say(f"{_CUSTOMER}: {after.outputs['leaves'].item():.4f}, served from {after.served_from.value}")
    return found.served_from is ServedFrom.PRECOMPUTED and after.served_from is not ServedFrom.PRECOMPUTED


def _asked(client: Client) -> Prediction:
    """Return what is known of a customer."""
    row = customers(8, seed=SEED + 1)[7:]
    return client.predict(MODEL, {"customer_features": row}, entity_id=_CUSTOMER)


def _s3() -> Any:
    """Return a client of the local stack's store, or of the one that the environment names."""
    if "HEADRACE_DEMO_S3" in os.environ:
        return boto3.client("s3", endpoint_url=os.environ["HEADRACE_DEMO_S3"])
    stack = LocalStack.find()
    port = None if stack is None else stack.port()
    if stack is None or port is None:
        raise SystemExit("no stack of this checkout is up: run `make demo-batch`")
    keys = configparser.RawConfigParser()
    keys.read(stack.identity / "s3.credentials")
    session: Any = boto3.Session(**dict(keys["default"]), region_name="us-east-1")
    return session.client("s3", endpoint_url=f"http://127.0.0.1:{port + _S3_OFFSET}")


if __name__ == "__main__":
    sys.exit(main())

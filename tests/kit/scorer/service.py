"""The scorer as a process over real stores, with a registry that a test holds in its hand."""

from __future__ import annotations

import functools
import hashlib
import io
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.registry.v1 import registry_pb2
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace.scorer.v1 import scorer_pb2_grpc
from headrace_servicekit.testing import eventually, free_port

from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_registry import FakeRegistry
from tests.kit.models.onnx_models import TinyModel, linear
from tests.kit.stack.service_process import service_process
from tests.kit.stores.servers import S3Store

MODEL = "fraud"
OVER = (pb.ScoringJob.STATE_SUCCEEDED, pb.ScoringJob.STATE_FAILED, pb.ScoringJob.STATE_CANCELLED)
FEATURES = tuple(f"x{at}" for at in range(4))


def features(rows: int, *, seed: int = 0) -> pa.Table:
    """Return a table of ids and four features."""
    values = np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)
    columns: dict[str, Any] = {name: values[:, at] for at, name in enumerate(FEATURES)}
    return pa.table({"id": pa.array([f"u{at}" for at in range(rows)]), **columns})


def parquet(table: pa.Table, *, group_rows: int = 10_000) -> bytes:
    """Return a table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=group_rows)
    return file.getvalue()


@dataclass(slots=True)
class ScorerRig:
    """What a scorer is started with. bucket: for inputs, results and the model alike."""

    environment: dict[str, str]
    s3: S3Store
    registry: FakeRegistry
    model: TinyModel

    @property
    def client(self) -> Any:
        """A plain client of the store."""
        return _client(self.s3.endpoint, self.s3.region, self.s3.access_key, self.s3.secret_key)

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""
        self.client.put_object(Bucket=self.s3.bucket, Key=key, Body=content)

    def objects(self, uri: str) -> dict[str, bytes]:
        """Return what lies below a place, by the rest of its name."""
        prefix = uri.removeprefix(f"s3://{self.s3.bucket}/") + "/"
        found = self.client.list_objects_v2(Bucket=self.s3.bucket, Prefix=prefix).get("Contents", ())
        keys = [one["Key"] for one in found]
        read = {key: self.client.get_object(Bucket=self.s3.bucket, Key=key)["Body"].read() for key in keys}
        return {key.removeprefix(prefix): content for key, content in read.items()}

    def scored(self, uri: str) -> pa.Table:
        """Return the results below a place as one table."""
        files = {name: content for name, content in self.objects(uri).items() if name.startswith("part-")}
        return pa.concat_tables([pq.read_table(io.BytesIO(files[name])) for name in sorted(files)])

    def spec(self, prefix: str = "in", **how: Any) -> pb.ScoringSpec:
        """Return a job over the four features of what lies below a prefix."""
        told: dict[str, Any] = {
            "version": "v1",
            "input": pb.ScoringSpec.Input(uri=f"s3://{self.s3.bucket}/{prefix}"),
            "tensors": [pb.ScoringSpec.TensorColumns(tensor="features", columns=FEATURES)],
            "keep_columns": ["id"],
            "options": pb.ScoringOptions(shard_rows=10_000, batch_rows=1024),
        }
        return pb.ScoringSpec(**{**told, **how})


@functools.cache
def _client(endpoint: str, region: str, access_key: str, secret_key: str) -> Any:
    """Return a client, which takes a fifth of a second to make, for all tests that use a store."""
    session: Any = boto3.Session(access_key, secret_key, region_name=region)
    return session.client("s3", endpoint_url=endpoint)


@pytest.fixture
async def scoring(postgres_url: str, s3: S3Store, tmp_path: Path) -> AsyncIterator[ScorerRig]:
    """What a scorer over an empty database and an empty bucket is started with; version v1 of `fraud` is registered."""
    model, registry = linear(), FakeRegistry()
    keys = tmp_path / "credentials"
    keys.write_text(f"[default]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n")
    with FrontDoor.serving(registry) as door:
        environment = {
            "PATH": os.environ["PATH"],
            # As in the image, whose user has none.
            "HOME": "/nonexistent",
            "SCORER_DATABASE_URL": postgres_url,
            "SCORER_METRICS_PORT": "0",
            "SCORER_DRAIN_NOTICE_S": "0.1",
            "SCORER_S3_ENDPOINT": s3.endpoint,
            "SCORER_S3_BUCKET": s3.bucket,
            "SCORER_REGISTRY_BUCKET": s3.bucket,
            "SCORER_S3_CREDENTIALS_FILE": str(keys),
            "SCORER_REGISTRY_TARGET": door.address,
            # Nobody is there: nothing is published.
            "SCORER_CONTROL_TARGET": "127.0.0.1:9",
            "SCORER_DATA_TARGET": "127.0.0.1:9",
            "SCORER_MAX_WORKERS": "2",
        }
        rig = ScorerRig(environment, s3, registry, model)
        register(rig, "v1", model)
        yield rig


def register(rig: ScorerRig, version: str, model: TinyModel) -> None:
    """Register a version, with its file in the store."""
    sha256 = hashlib.sha256(model.content).hexdigest()
    rig.put(f"blobs/sha256/{sha256}", model.content)
    rig.registry.put(MODEL, version, production=True)
    stored = rig.registry.versions[MODEL][version]
    stored.contract.CopyFrom(model.contract)
    stored.artifacts.add(
        name="model.onnx", type=registry_pb2.Artifact.TYPE_ONNX, sha256=sha256, size_bytes=len(model.content)
    )


@asynccontextmanager
async def scorer(rig: ScorerRig, more: Mapping[str, str] = MappingProxyType({})) -> AsyncIterator[tuple[Any, Any]]:
    """Run a scorer until the block ends; yields its process, ready, and a stub."""
    port = free_port()
    environment = {**rig.environment, "SCORER_PORT": str(port), **more}
    async with service_process("headrace_scorer", environment, port, parts=("", "postgres")) as (process, channel):
        yield process, scorer_pb2_grpc.ScorerServiceStub(channel)


async def created(stub: Any, spec: pb.ScoringSpec, **how: Any) -> pb.ScoringJob:
    """Create a job."""
    request = pb.CreateScoringJobRequest(parent=f"models/{MODEL}", spec=spec, **how)
    return (await stub.CreateScoringJob(request, timeout=60)).job


async def over(stub: Any, name: str, *, within: float = 120) -> pb.ScoringJob:
    """Return a job once it is over."""
    async for answer in stub.WatchScoringJob(pb.WatchScoringJobRequest(name=name), timeout=within):
        if answer.job.state in OVER:
            return answer.job
    raise AssertionError("the watch ended before the job was over")


async def done(stub: Any, name: str, shards: int, *, within: float = 120) -> pb.ScoringJob:
    """Return a job once so many shards of it are done."""

    async def reached() -> pb.ScoringJob | None:
        job = (await stub.GetScoringJob(pb.GetScoringJobRequest(name=name), timeout=10)).job
        return job if job.progress.shards_done >= shards or job.state in OVER else None

    found = await eventually(reached, within=within)
    assert found is not None
    return found

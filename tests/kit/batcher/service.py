"""A whole batcher for tests: real S3, a real backend, and a control plane that the test holds in its hand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import aioboto3
from google.protobuf.message import Message
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_batcher.service import start
from headrace_batcher.settings import BatcherSettings
from headrace_runtime.artifacts.place import Place
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import eventually, free_port, running

from tests.kit.models.onnx_models import TinyModel
from tests.kit.router.fake_control import FakeControl, resolved_version
from tests.kit.stores.servers import S3Store

ACTIVE, PENDING = control_pb2.WantedVersion.NEED_ACTIVE, control_pb2.WantedVersion.NEED_PENDING
FAILED = control_pb2.VersionReport.STATE_FAILED


@dataclass(frozen=True, slots=True)
class BatcherRig:
    """What a test of a batcher needs: settings to start it with, its store and its control plane."""

    settings: dict[str, Any]
    s3: S3Store
    control: FakeControl

    @property
    def triton(self) -> str:
        """Where its Triton's gRPC is."""
        return f"unix:{self.settings['state_dir']}/triton/grpc:1"

    @property
    def models(self) -> Path:
        """Where its Triton finds what it loads; its processes are known by it."""
        return self.settings["state_dir"] / "models"

    def twin(self, directory: Path) -> BatcherRig:
        """Return a second batcher of the same pool, with a Triton and a directory of its own."""
        own = {"state_dir": directory, "triton_metrics_port": free_port()}
        return BatcherRig({**self.settings, **own}, self.s3, self.control)

    @contextlib.asynccontextmanager
    async def running(self, **changes: Any) -> AsyncIterator[Runtime[BatcherSettings]]:
        """Run a batcher in this process; `runtime.servers[0].address` takes frames."""
        settings = BatcherSettings.model_validate({**self.settings, **changes})
        async with running("batcher", settings, start, within=60) as runtime:
            yield runtime

    async def version(
        self, name: str, model: TinyModel, version: str = "v1", **serving: Any
    ) -> control_pb2.ResolvedVersion:
        """Store a model; return its version, resolved, with default serving settings where none are given."""
        blob = sha256(model.content).hexdigest()
        await put_blob(self.s3, blob, model.content)
        made = resolved_version(
            name,
            version,
            inputs=model.contract.inputs,
            outputs=model.contract.outputs,
            artifacts=[
                registry_pb2.Artifact(
                    name="model.onnx", type=registry_pb2.Artifact.TYPE_ONNX, sha256=blob, size_bytes=len(model.content)
                )
            ],
        )
        for field, value in serving.items():
            if isinstance(value, list):
                made.serving.ClearField(field)  # type: ignore[arg-type]
                getattr(made.serving, field).extend(value)
            elif isinstance(value, timedelta):
                getattr(made.serving, field).FromTimedelta(value)
            elif isinstance(value, Message):
                getattr(made.serving, field).CopyFrom(value)
            else:
                setattr(made.serving, field, value)
        return made

    async def python(
        self, name: str, files: Mapping[str, bytes], contract: tensor_pb2.ServingContract | None = None
    ) -> control_pb2.ResolvedVersion:
        """Store a version of Python code; return it, resolved."""
        artifacts = []
        for file, content in files.items():
            blob = sha256(content).hexdigest()
            await put_blob(self.s3, blob, content)
            kind = registry_pb2.Artifact.TYPE_PYTHON if file.endswith(".py") else registry_pb2.Artifact.TYPE_JSON
            artifacts.append(registry_pb2.Artifact(name=file, type=kind, sha256=blob, size_bytes=len(content)))
        version = resolved_version(name, "v1", artifacts=artifacts)
        version.format = registry_pb2.FORMAT_PYTHON
        if contract is not None:
            version.contract.CopyFrom(contract)
        return version

    async def until_failed(self, digest: str, *, within: float = 30.0) -> str:
        """Return the reason with which the only batcher reports a version as failed."""

        def reason() -> str:
            reports = [one for report in self.control.reports.values() for one in report.versions]
            failed = [one for one in reports if one.digest == digest and one.state == FAILED]
            return failed[-1].reason if failed else ""

        return await eventually(reason, within=within)

    def want(self, *serving: control_pb2.ResolvedVersion, pending: Sequence[control_pb2.ResolvedVersion] = ()) -> None:
        """Make these the demand on the pool, the most needed first; changes wait for those that are pending."""
        needs = [(version, ACTIVE) for version in serving] + [(version, PENDING) for version in pending]
        self.control.put_demand("default", needs)


@contextlib.asynccontextmanager
async def batcher_rig(s3: S3Store, directory: Path, backend: str, triton_command: Path) -> AsyncIterator[BatcherRig]:
    """Serve a control plane and prepare settings; the ports are the system's."""
    async with FakeControl.serving() as control:
        yield BatcherRig(
            {
                "pool": "default",
                "backend": backend,
                "compute": "triton",
                "control_target": control.target,
                "state_dir": directory / "state",
                "s3_endpoint": s3.endpoint,
                "s3_bucket": s3.bucket,
                "s3_region": s3.region,
                "s3_credentials_file": credentials_of(s3, directory),
                "triton_command": str(triton_command),
                "triton_metrics_port": free_port(),
                "unload_after_s": 0.2,
                "drain_notice_s": 0.1,
            },
            s3,
            control,
        )


def credentials_of(s3: S3Store, directory: Path) -> Path:
    """Write a credentials file for a store."""
    path = directory / "credentials"
    path.write_text(f"[default]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n")
    return path


def place_for(s3: S3Store, directory: Path) -> Place:
    """Return where a fetcher has files from, and keeps them: little of what nothing wants."""
    return Place(
        root=str(directory / "blobs"),
        endpoint=s3.endpoint,
        bucket=s3.bucket,
        region=s3.region,
        credentials=str(credentials_of(s3, directory)),
        max_bytes=100_000,
        fetch_timeout_s=30.0,
    )


async def put_blob(s3: S3Store, sha: str, content: bytes) -> None:
    """Store bytes where batchers look for a blob; the name need not be the truth."""
    session: Any = aioboto3.Session(
        region_name=s3.region, aws_access_key_id=s3.access_key, aws_secret_access_key=s3.secret_key
    )
    async with session.client("s3", endpoint_url=s3.endpoint) as client:
        await client.put_object(Bucket=s3.bucket, Key=f"blobs/sha256/{sha}", Body=content)

"""SCORER_* variables."""

from __future__ import annotations

import os
from pathlib import Path

from headrace_servicekit.outbox.settings import LineageSettings
from headrace_servicekit.settings import PostgresSettings, S3Settings, ServiceSettings, settings_config
from pydantic import Field


class ScorerSettings(LineageSettings, S3Settings, PostgresSettings, ServiceSettings):
    """Settings of the scorer."""

    model_config = settings_config("SCORER_")

    s3_bucket: str = Field(
        default="headrace-scoring",
        description="Bucket for results of jobs that name no other, and for their inputs; made when it does not exist.",
    )
    registry_bucket: str = Field(
        default="headrace", description="The registry's bucket in the same store, where model files are read from."
    )
    buckets: str = Field(
        default="",
        description="Buckets besides its own that jobs may read from and write to, separated by commas: all who may "
        "create jobs can read all of them.",
    )
    signing_policy_file: Path | None = Field(
        default=None,
        description="TOML file that says whose signatures count; its rule `serving` is checked before a version is "
        "loaded. Unset: signatures are not checked.",
    )
    sources_file: Path | None = Field(
        default=None,
        description='JSON file with the systems besides S3 that jobs may read rows from, by name: `{"warehouse": '
        '{"type": "postgresql", "uri": "postgresql://…"}, "lake": {"type": "iceberg", "properties": {"type": "rest", '
        '"uri": "https://…"}}}`. Clients that may create jobs can read what these may; the file is read for each job.',
    )
    registry_target: str = Field(description="Registry, as `host:port` or any other gRPC target.")
    control_target: str = Field(
        description="Router's control plane, which publishes answers, as `host:port` or any other gRPC target."
    )
    data_target: str = Field(
        description="Router's data planes, which answer the sample that publications are compared with, as `host:port` "
        "or any other gRPC target."
    )
    batcher_target: str = Field(
        default="",
        description="Batchers of the pool `default`, as `host:port`: the host is the name in their certificates, for "
        "jobs of the engine `pool`. Where they are, the control plane says. Empty: their addresses are the names.",
    )
    batcher_cpu_target: str = Field(default="", description="The same of the pool `cpu`.")
    max_jobs: int = Field(default=1, ge=1, le=100, description="Jobs that one process runs at once; others wait.")
    max_waiting_jobs: int = Field(
        default=200, ge=1, le=100_000, description="Jobs that are not over; more are RESOURCE_EXHAUSTED."
    )
    max_workers: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Processes that score for one job at once, each on a core; 0 means as many as there are cores, at "
        "most 8.",
    )
    max_objects: int = Field(default=100_000, ge=1, le=10_000_000, description="Objects that one input may have.")
    jobs_keep_d: float = Field(
        default=90.0,
        ge=0.01,
        description="Days that a job and its history are retained after its end; one whose answers are published "
        "stays. Its results in S3 are not removed.",
    )
    max_watches: int = Field(
        default=200, ge=1, le=10_000, description="Open WatchScoringJob of one process; more are RESOURCE_EXHAUSTED."
    )
    price_per_cpu_hour: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="Price of a processor's hour, for the cost of estimates and jobs; 0 states none.",
    )
    ray_address: str = Field(
        default="",
        description="Address of an existing Ray cluster, `host:6379` or `ray://host:10001`, whose machines have this "
        "package; empty: a Ray of its own for each job, on loopback.",
    )
    ray_object_store_bytes: int = Field(
        default=100 * 2**20,
        ge=80 * 2**20,
        description="Shared memory of a Ray of its own. Rows do not go through it: only orders and results do.",
    )
    work_dir: Path | None = Field(
        default=None,
        description="Folder for model files, and for results until they are uploaded; each worker needs room for one "
        "shard. Unset means the system's temporary one.",
    )

    @property
    def called(self) -> tuple[str, ...]:
        """What the service calls: parts of this installation, where nothing is sent on behalf of others."""
        targets = (self.registry_target, self.control_target, self.data_target, self.batcher_target)
        others = (self.batcher_cpu_target, self.otlp_endpoint or "")
        return self.database_url, self.s3_endpoint, *targets, *others

    @property
    def batchers(self) -> dict[str, str]:
        """The names in the certificates of batchers, by pool."""
        targets = {"default": self.batcher_target, "cpu": self.batcher_cpu_target}
        return {pool: target.rpartition("/")[2].rpartition(":")[0] for pool, target in targets.items() if target}

    @property
    def workers(self) -> int:
        """Processes that score for one job at once."""
        return self.max_workers or max(1, min(8, os.cpu_count() or 1))

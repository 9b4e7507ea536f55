"""AUTOSCALER_* variables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from headrace_servicekit.settings import PostgresSettings, ServiceSettings, settings_config
from pydantic import Field, field_validator

from headrace_autoscaler.decisions.workloads import services_of, workloads_of


class AutoscalerSettings(PostgresSettings, ServiceSettings):
    """Settings of the autoscaler."""

    model_config = settings_config("AUTOSCALER_")

    control_target: str = Field(description="`host:port` of the router's control plane, which knows every batcher.")
    monitor_target: str = Field(
        default="",
        description="`host:port` of the monitor, which raises alerts of what is wrong with pools; empty raises none.",
    )
    actuator: Literal["recommend", "local", "kubernetes", "docker"] = Field(
        default="recommend",
        description="What acts on decisions: `recommend`, nothing; `local`, the wheel stack's supervisor; "
        "`kubernetes`, the `scale` subresource of the workloads in `AUTOSCALER_KUBERNETES_WORKLOADS`; `docker`, the "
        "containers of a Compose project.",
    )
    actuator_timeout_s: float = Field(
        default=900.0,
        gt=0,
        description="Seconds after which a call to the actuator counts as failed. The supervisor answers when replicas "
        "are ready.",
    )
    control_socket: Path | None = Field(
        default=None, description="Control socket of the wheel stack's supervisor; required with `local`."
    )
    kubernetes_workloads: str = Field(
        default="default=deployment/batcher;cpu=deployment/batcher-cpu",
        description="Workload of each pool: `pool=deployment/name` or `pool=statefulset/name`, joined by semicolons.",
    )
    kubernetes_url: str = Field(
        default="https://kubernetes.default.svc", description="URL of the API server of Kubernetes."
    )
    kubernetes_account_dir: Path | None = Field(
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount"),
        description="Folder with `token`, `ca.crt` and `namespace` of the service account.",
    )
    docker_socket: Path | None = Field(
        default=None, description="Socket of the filter before Docker's Engine API; required with `docker`."
    )
    docker_project: str = Field(default="headrace", description="Project of Compose whose containers are scaled.")
    docker_services: str = Field(
        default="default=batcher;cpu=batcher-cpu",
        description="Service of each pool in Compose: `pool=service`, joined by semicolons.",
    )
    max_pools: int = Field(default=1000, ge=1, description="Pools that may have a policy; RESOURCE_EXHAUSTED for more.")
    max_watches: int = Field(
        default=100, ge=1, le=10_000, description="Open WatchPool of one process; more are RESOURCE_EXHAUSTED."
    )
    max_simulations: int = Field(
        default=2, ge=1, le=32, description="Simulations that run at a time; more are RESOURCE_EXHAUSTED."
    )
    decisions_keep_d: float = Field(
        default=2.0, ge=0.01, description="Days that every decision is retained with its inputs."
    )
    changes_keep_d: float = Field(
        default=90.0, ge=0.01, description="Days that decisions which changed something are retained."
    )
    history_keep_d: float = Field(
        default=35.0,
        ge=15.0,
        description="Days that the demand of each minute is retained: floors look back two weeks.",
    )

    @field_validator("kubernetes_workloads")
    @classmethod
    def _workloads(cls, value: str) -> str:
        workloads_of(value)
        return value

    @field_validator("docker_services")
    @classmethod
    def _services(cls, value: str) -> str:
        services_of(value)
        return value

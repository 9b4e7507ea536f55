"""AUTOSCALER_* variables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from headrace_servicekit.settings import PostgresSettings, ServiceSettings, settings_config
from pydantic import Field


class AutoscalerSettings(PostgresSettings, ServiceSettings):
    """What the autoscaler can be told."""

    model_config = settings_config("AUTOSCALER_")

    control_target: str = Field(description="`host:port` of the router's control plane, which knows every batcher.")
    actuator: Literal["recommend", "local"] = Field(
        default="recommend",
        description="What acts on decisions: `recommend`, nothing; `local`, the wheel stack's supervisor.",
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
    max_pools: int = Field(default=1000, ge=1, description="Pools that may have a policy; RESOURCE_EXHAUSTED for more.")
    max_watches: int = Field(
        default=100, ge=1, le=10_000, description="Open WatchPool of one process; more are RESOURCE_EXHAUSTED."
    )
    decisions_keep_d: float = Field(
        default=2.0, ge=0.01, description="Days for which every decision is kept with what it was made from."
    )
    changes_keep_d: float = Field(
        default=90.0, ge=0.01, description="Days for which decisions that changed something are kept."
    )
    history_keep_d: float = Field(
        default=35.0,
        ge=15.0,
        description="Days for which the demand of each minute is kept: floors look back two weeks.",
    )

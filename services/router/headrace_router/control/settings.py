"""ROUTER_CONTROL_* variables."""

from __future__ import annotations

from headrace_servicekit.settings import (
    HistorySettings,
    PostgresSettings,
    ServiceSettings,
    ValkeySettings,
    settings_config,
)
from pydantic import Field, field_validator


class ControlSettings(ValkeySettings, HistorySettings, PostgresSettings, ServiceSettings):
    """Settings of the router's control plane."""

    model_config = settings_config("ROUTER_CONTROL_")

    registry_target: str = Field(description="Registry, as `host:port` or any other gRPC target.")
    health_targets: str = Field(
        default="",
        description="Services whose health the front door reports besides the registry and this one: "
        "`package.Service=host:port`, separated by semicolons.",
    )
    ready_grace_s: float = Field(
        default=30.0, ge=0, description="Seconds after which a change is ready with half of a pool's batchers."
    )
    ready_timeout_s: float = Field(
        default=120.0, gt=0, description="Seconds after which a route write whose versions are not ready is dropped."
    )
    lease_s: float = Field(default=5.0, gt=0, description="Seconds for which a batcher's report counts.")
    revert_window_s: float = Field(
        default=86_400.0, ge=0, description="Seconds that the version which left production stays loaded."
    )
    forget_after_s: float = Field(
        default=600.0, gt=0, description="Seconds after which a data plane that is not seen no longer blocks anything."
    )

    acknowledge_wait_s: float = Field(
        default=5.0,
        ge=0,
        description="Seconds that a write waits for connected data planes; those that are late are named.",
    )

    precomputed_share: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Share of Valkey's `maxmemory` that all precomputed answers together may take.",
    )
    precomputed_durable: bool = Field(
        default=True,
        description="Whether a commit waits until Valkey has the answers on disk, which needs `appendonly yes`.",
    )
    precomputed_disk_wait_s: float = Field(default=10.0, gt=0, description="Seconds that a commit waits for that.")
    precomputed_revert_window_s: float = Field(
        default=86_400.0,
        ge=0,
        description="Seconds that the previous answers are retained, for a revert.",
    )
    precomputed_abandoned_s: float = Field(
        default=3600.0, gt=0, description="Seconds after which an idle open publish is cancelled."
    )
    precomputed_settle_s: float = Field(
        default=60.0,
        ge=0,
        description="Seconds between the end of a publish or generation and the removal of its rows.",
    )
    usage_retention_d: float = Field(
        default=400, ge=32, le=3650, description="Days that the use of batchers is retained, by the hour."
    )
    max_open_publishes: int = Field(default=16, gt=0, description="Publishes that may be open at a time.")

    @field_validator("health_targets")
    @classmethod
    def _pairs(cls, value: str) -> str:
        parse_targets(value)
        return value


def parse_targets(value: str) -> dict[str, str]:
    """Return targets by the full name of a service. Raises ValueError for anything but `service=target;…`."""
    targets = {}
    for pair in filter(None, (part.strip() for part in value.split(";"))):
        service, separator, target = pair.partition("=")
        if not separator or not service.strip() or not target.strip():
            raise ValueError(f"'{pair}' is not package.Service=host:port")
        targets[service.strip()] = target.strip()
    return targets

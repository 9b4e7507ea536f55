"""ROLLOUT_* variables."""

from __future__ import annotations

from headrace_servicekit.outbox.settings import WebhookSettings
from headrace_servicekit.settings import HistorySettings, PostgresSettings, ServiceSettings, settings_config
from pydantic import Field


class RolloutSettings(WebhookSettings, HistorySettings, PostgresSettings, ServiceSettings):
    """Settings of the rollout service."""

    model_config = settings_config("ROLLOUT_")

    control_target: str = Field(description="Router's control plane, as `host:port` or any other gRPC target.")
    registry_target: str = Field(description="Registry, as `host:port` or any other gRPC target.")
    monitor_target: str = Field(description="Monitor, as `host:port` or any other gRPC target.")
    max_watches: int = Field(
        default=200, ge=1, le=10_000, description="Open WatchRollout of one process; more are RESOURCE_EXHAUSTED."
    )

    experiments_every_s: float = Field(
        default=60.0, ge=1.0, le=86_400.0, description="How often experiments are looked at that are to stop on harm."
    )

    @property
    def called(self) -> tuple[str, ...]:
        """What the service calls: parts of this installation, where no webhook may be."""
        targets = (self.control_target, self.registry_target, self.monitor_target)
        return self.database_url, *targets, self.otlp_endpoint or ""

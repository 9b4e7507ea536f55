"""Settings of services that deliver webhooks: a mixin of `ServiceSettings`, so that the names have the service's
prefix."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, field_validator

from headrace_servicekit.outbox.allowlist import Allowed
from headrace_servicekit.settings import StrictSettings


class WebhookSettings(StrictSettings):
    """Settings of webhooks."""

    webhook_timeout_s: float = Field(default=10.0, gt=0, le=60, description="Longest wait for a webhook's answer.")
    webhook_retry_s: float = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="Pause before a delivery is tried again; it doubles with every attempt, up to an hour.",
    )
    webhook_give_up_after_h: float = Field(
        default=24.0, gt=0, le=720, description="Age at which a delivery is given up."
    )
    webhook_allow: str = Field(
        default="",
        description="Where webhooks may be besides https on the public internet: hosts, `host:port` and CIDRs, with "
        "commas, e.g. `alerts.example.internal:8443, 10.20.0.0/16`.",
    )
    webhook_ca_file: Path | None = Field(
        default=None,
        description="PEM file of authorities that webhooks' certificates may be from besides the system's; read again "
        "when it changes.",
    )

    @field_validator("webhook_allow")
    @classmethod
    def _are_places(cls, value: str) -> str:
        Allowed.parse(value)
        return value

    @property
    def webhook_hold(self) -> timedelta:
        """For how long a delivery is a process's own: longer than its POST and, mostly, what is written after it."""
        return timedelta(seconds=self.webhook_timeout_s + 5)


class LineageSettings(WebhookSettings):
    """Settings of services that also deliver lineage events."""

    lineage_url: str = Field(
        default="",
        description="Where RunEvents of OpenLineage are sent, e.g. `https://lineage.example.internal/api/v1/lineage`; "
        "empty sends none. Its host has to be allowed as webhooks' are (`webhook_allow`) unless it is on the public "
        "internet.",
    )
    lineage_key_file: Path | None = Field(default=None, description="File with the bearer token that it asks for.")

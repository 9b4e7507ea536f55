"""The variables that every gRPC service has."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from headrace_servicekit.settings.tls import TlsSettings


class ServiceSettings(TlsSettings):
    """Settings of every gRPC service. Subclass it with `model_config = settings_config("REGISTRY_")`."""

    host: str = Field(default="127.0.0.1", description="Address that the gRPC port and the metrics port listen on.")
    port: int = Field(default=0, ge=0, le=65535, description="Port for gRPC; 0 takes a free one.")
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port for `/metrics`, `/livez` and `/readyz`; 0 takes a free one."
    )
    deny_file: Path | None = Field(
        default=None,
        description='`{"subjects": […]}`: clients whose streams end, as `FRONT_DOOR_DENY_FILE`. Followed.',
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="`json` writes one object a line, `console` is for reading."
    )
    otlp_endpoint: str | None = Field(
        default=None, description="`host:port` of an OTLP/gRPC collector for traces; unset means no traces are made."
    )
    drain_notice_s: float = Field(
        default=0.5,
        ge=0,
        description="Seconds between NOT_SERVING and refusing calls: twice the health interval of the callers.",
    )
    grace_s: float = Field(
        default=10.0, ge=0, description="Seconds that calls in flight get to finish when the service stops."
    )
    max_message_bytes: int = Field(default=16 * 1024 * 1024, gt=0, description="Largest gRPC message received or sent.")
    max_concurrent_rpcs: int = Field(
        default=4096,
        gt=0,
        description="Calls in progress, streams included, above which RESOURCE_EXHAUSTED is answered.",
    )

"""The variables that every gRPC service has, and TLS_* of what listens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from headrace_servicekit.settings.strict import StrictSettings


class TlsSettings(StrictSettings):
    """How a service shows who it is and checks who calls. `Tls.of` reads them."""

    tls_cert: Path | None = Field(
        default=None,
        description="Certificate chain (PEM) that the service presents; unset means no TLS. Reread when it changes.",
    )
    tls_key: Path | None = Field(default=None, description="Private key (PEM) of `tls_cert`.")
    tls_ca: Path | None = Field(
        default=None,
        description="Authorities (PEM) that peers must be signed by. When set, callers must present a certificate.",
    )
    tls_internal: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Names in certificates of `tls_ca`, `name[,name]`: only their bearers are other services; other "
        "calls that the front door does not forward are refused. Unset: every bearer is.",
    )

    @field_validator("tls_internal", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: set both or neither")
        if self.tls_ca is not None and self.tls_cert is None:
            raise ValueError("tls_ca needs tls_cert and tls_key: a service that checks callers must present itself")
        if self.tls_internal and self.tls_ca is None:
            raise ValueError("tls_internal needs tls_ca: without it callers show no certificate")
        return self


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

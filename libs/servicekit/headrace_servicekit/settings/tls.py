"""TLS_* variables of whatever listens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

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

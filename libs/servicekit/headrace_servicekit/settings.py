"""Strict settings: one frozen class per deployable, read from environment variables with its prefix."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class SettingsError(Exception):
    """The environment does not describe a configuration; the message names each variable and the remedy."""


class StrictSettings(BaseSettings):
    """Settings of anything that is started. Subclass it with `model_config = settings_config("FRONT_DOOR_")`.

    Give every field a `Field(description=…)`: the README's table is made from it.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_ignore_empty=True)

    @classmethod
    def load(cls) -> Self:
        """Read the process's environment. Raises SettingsError for unknown names with the prefix and for bad values."""
        problems = unknown_names(cls, os.environ)
        try:
            loaded = cls()
        except ValidationError as error:
            problems += [_explain(cls, dict(item)) for item in error.errors()]
        else:
            if not problems:
                return loaded
        raise SettingsError("\n".join(problems))


class ServiceSettings(StrictSettings):
    """What every gRPC service can be told. Subclass it with `model_config = settings_config("REGISTRY_")`."""

    host: str = Field(default="127.0.0.1", description="Address that the gRPC port and the metrics port listen on.")
    port: int = Field(default=0, ge=0, le=65535, description="Port for gRPC; 0 takes a free one.")
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port for `/metrics`, `/livez` and `/readyz`; 0 takes a free one."
    )
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
        description="Names in certificates of `tls_ca`, `name[,name]`: only their bearers are other services, and "
        "whoever else is not forwarded by the front door is refused. Unset: every bearer is.",
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


def settings_config(env_prefix: str) -> SettingsConfigDict:
    """Return the `model_config` of a settings class whose variables begin with `env_prefix`, e.g. `REGISTRY_`."""
    return SettingsConfigDict(env_prefix=env_prefix, frozen=True, extra="forbid", env_ignore_empty=True)


def variable(settings: type[BaseSettings], field: str) -> str:
    """Return the environment variable of a field."""
    return f"{settings.model_config.get('env_prefix', '')}{field}".upper()


def unknown_names(settings: type[BaseSettings], environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that has the prefix but names no field: a typo must not become a default."""
    prefix = settings.model_config.get("env_prefix", "").upper()
    if not prefix:
        return []
    known = {variable(settings, field) for field in settings.model_fields}
    problems = []
    for name in sorted(name for name in environ if name.upper().startswith(prefix) and name.upper() not in known):
        close = difflib.get_close_matches(name.upper(), known, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"unset it, or use one of {', '.join(sorted(known))}"
        problems.append(f"{name}: unknown setting; {remedy}")
    return problems


def settings_table(settings: type[BaseSettings]) -> str:
    """Return the Markdown table of a settings class: variable, default, meaning. A README contains exactly this."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for field, info in settings.model_fields.items():
        default = "required" if info.is_required() else _shown(info.get_default(call_default_factory=True))
        meaning = " ".join((info.description or "").split())
        lines.append(f"| `{variable(settings, field)}` | {default} | {meaning} |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, SecretStr):
        return "secret" if value.get_secret_value() else "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(f"`{item}`" for item in value) or "empty"
    return f"`{value}`" if str(value) else "empty"


def _explain(settings: type[BaseSettings], item: dict[str, Any]) -> str:
    """Return a sentence for one pydantic error; never the value, which may be a secret."""
    location = [str(part) for part in item["loc"]]
    if not location:
        return str(item["msg"]).removeprefix("Value error, ")
    name = variable(settings, location[0])
    info = settings.model_fields.get(location[0])
    meaning = f" ({' '.join(info.description.split())})" if info is not None and info.description else ""
    if item["type"] == "missing":
        return f"{name}: not set; set it{meaning}"
    return f"{name}: {item['msg'][:1].lower()}{item['msg'][1:]}; correct it or unset it{meaning}"

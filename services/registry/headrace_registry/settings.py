"""REGISTRY_* variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from headrace_servicekit.outbox.settings import LineageSettings
from headrace_servicekit.settings import PostgresSettings, S3Settings, ServiceSettings, settings_config
from pydantic import Field, field_validator
from pydantic_settings import NoDecode


class RegistrySettings(LineageSettings, S3Settings, PostgresSettings, ServiceSettings):
    """Settings of the registry."""

    model_config = settings_config("REGISTRY_")

    s3_public_endpoint: str | None = Field(
        default=None,
        description="URL of the same S3 store as clients outside reach it; unset means that uploads go through the "
        "registry.",
    )
    max_artifact_bytes: int = Field(
        default=1024**3, gt=0, le=64 * 1024**3, description="Largest artifact that is taken, in bytes."
    )
    max_uploads: int = Field(
        default=8, gt=0, description="Uploads in progress above which RESOURCE_EXHAUSTED is answered."
    )
    upload_idle_s: float = Field(
        default=30.0, gt=0, description="Seconds without a chunk after which an upload is given up."
    )
    upload_min_bytes_per_s: int = Field(
        default=64 * 1024,
        gt=0,
        description="Bytes a second below which an upload is given up, once it is `upload_idle_s` behind.",
    )
    upload_dir: Path | None = Field(
        default=None,
        description="Folder for at most `max_uploads` files in progress; unset means the system's temporary one.",
    )
    onnx_check_timeout_s: float = Field(
        default=60.0, gt=0, description="Seconds that looking into one model file may take."
    )
    allow_code: bool = Field(
        default=False,
        description="Whether versions of the formats PYTHON and PT2, which are code, may be registered. Batchers run "
        "them only with `BATCHER_ALLOW_CODE`.",
    )
    signing_policy_file: Path | None = Field(
        default=None,
        description="TOML file that says whose signatures count and which stages need one; a change takes effect in "
        "seconds. Unset: signatures are not checked.",
    )
    oip_targets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="`host:port[,host:port]` of servers that versions of format OIP may name; empty means none.",
    )
    max_watches: int = Field(default=1024, gt=0, description="Open watches above which RESOURCE_EXHAUSTED is answered.")
    collection_every_s: float = Field(
        default=3600.0, gt=0, description="Seconds between two passes that remove what nothing needs."
    )
    history_heads_every_s: float = Field(
        default=300.0, gt=0, description="Interval at which the last lines of models' histories are stored in S3."
    )
    unnamed_grace_h: float = Field(
        default=24.0, ge=1.0, description="Hours that files are retained which no version names."
    )
    archive_after_d: float | None = Field(
        default=None,
        gt=0,
        description="Days after which a version that stays in registered or staging is archived; unset means never.",
    )
    collect_after_d: float | None = Field(
        default=None,
        gt=0,
        description="Days after which the files of an archived version that nothing needs are given up; unset means "
        "never.",
    )
    request_id_memory_h: float = Field(
        default=48.0, ge=24.0, description="Hours for which the answer to a `request_id` is remembered."
    )

    @field_validator("oip_targets", mode="before")
    @classmethod
    def _targets(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def called(self) -> tuple[str, ...]:
        """What the service calls: parts of this installation, where no webhook may be."""
        return self.database_url, self.s3_endpoint, self.otlp_endpoint or ""

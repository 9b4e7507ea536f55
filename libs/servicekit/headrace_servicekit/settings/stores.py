"""Variables of a service's stores, each defined once: a service's settings inherit those of the stores that it has."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from headrace_servicekit.settings.strict import StrictSettings


class PostgresSettings(StrictSettings):
    """A database of its own. `postgres.connections.Address.of` reads them."""

    database_url: str = Field(
        description="PostgreSQL database of the service, `postgresql://user@host:port/database`, without a password."
    )
    database_passfile: Path | None = Field(
        default=None,
        description="File with the database's password, in the format of `.pgpass`; read for every connection.",
    )
    database_connections: int = Field(default=10, ge=2, le=200, description="Most connections to the database.")


class S3Settings(StrictSettings):
    """A bucket. `s3.Place.of` reads them."""

    s3_endpoint: str = Field(description="URL of the S3 store.")
    s3_bucket: str = Field(
        default="headrace", description="Bucket in the S3 store; its owner makes it when it is not there."
    )
    s3_region: str = Field(default="us-east-1", description="Region that requests to S3 are signed for.")
    s3_credentials_file: Path | None = Field(
        default=None,
        description="AWS shared credentials file (profile `default`); unset means what the AWS SDK finds by itself.",
    )


class HistorySettings(S3Settings):
    """A bucket that a service has for the last lines of its history alone. `postgres.head_storage` reads them."""

    s3_endpoint: str = Field(
        default="",
        description="URL of the S3 store for the last lines of the history; empty: they are stored nowhere, and "
        "`verify` finds no lines that were removed at its end.",
    )
    history_heads_every_s: float = Field(
        default=300.0, ge=1, le=86400, description="Interval at which the last lines of the history are stored in S3."
    )


class ValkeySettings(StrictSettings):
    """The Valkey that the router's planes share."""

    valkey_url: str = Field(
        default="",
        description="Valkey for precomputed and cached answers and explanations, "
        "`redis://[user@]host[:port][/database]`, or `rediss://` for TLS; empty: nothing is precomputed or explained, "
        "and every process caches for itself.",
    )
    valkey_password_file: Path | None = Field(default=None, description="File with the password of `valkey_url`.")

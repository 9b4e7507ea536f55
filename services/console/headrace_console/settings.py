"""CONSOLE_* variables."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from headrace_servicekit.settings import PostgresSettings, ServiceSettings, settings_config
from pydantic import Field, field_validator


class ConsoleSettings(PostgresSettings, ServiceSettings):
    """Settings of the console."""

    model_config = settings_config("CONSOLE_")

    front_door_target: str = Field(
        description="Front door, as `host:port`, or `https://host:port`, whose certificate bears the name of `url`; "
        "every call goes there with a person's token."
    )
    front_door_ca: Path | None = Field(
        default=None, description="Authorities (PEM) of the front door's certificate, when it shows one."
    )
    url: str = Field(
        default="http://127.0.0.1:8080",
        description="Where people reach the front door, without a path. With https, cookies are Secure.",
    )
    oidc_issuer: str = Field(default="", description="URL of the OpenID provider for sign-in; empty: no provider.")
    oidc_client_id: str = Field(default="headrace-console", description="Our client at the provider.")
    oidc_client_secret_file: Path | None = Field(
        default=None, description="File with the secret of our client; unset for a public client, which PKCE protects."
    )
    oidc_scopes: str = Field(
        default="openid offline_access",
        description="Scopes asked of the provider; with them it must issue access tokens as docs/tokens.md has them.",
    )
    audience: str = Field(default="headrace", description="`aud` of access tokens, as `FRONT_DOOR_AUDIENCE`.")
    development_issuer: Path | None = Field(
        default=None,
        description="Folder of a development issuer, whose one-time links (`headrace console`) sign people in; with "
        "`oidc_issuer` they do not.",
    )
    session_lifetime_s: float = Field(
        default=43200.0, ge=60, description="Seconds after which a person has to sign in again, whatever they do."
    )
    sign_ins_per_minute: int = Field(
        default=30, ge=1, description="Sign-ins that one address may begin in a minute; more are refused."
    )
    max_watches: int = Field(
        default=400, ge=1, description="Pages that follow what changes, of one process; more are refused."
    )
    poll_s: float = Field(default=2.0, ge=0.2, description="Seconds between two looks at what a followed page shows.")

    @field_validator("url", "oidc_issuer")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @property
    def front_door_address(self) -> str:
        """Return the front door's address for the SDK: a bare `host:port` means plain text on every network."""
        if "://" in self.front_door_target:
            return self.front_door_target
        return f"{'http' if self.front_door_ca is None else 'https'}://{self.front_door_target}"

    @property
    def front_door_name(self) -> str:
        """Return the name in the front door's certificate: the one by which people reach it."""
        return (urlsplit(self.url).hostname or "") if self.front_door_address.startswith("https://") else ""

    @property
    def secure(self) -> bool:
        """Return whether people reach us by https."""
        return self.url.startswith("https://")

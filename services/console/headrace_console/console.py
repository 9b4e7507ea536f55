"""What every page works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace_client import AsyncClient
from headrace_servicekit.denials import Denials

from headrace_console.metrics import ConsoleMetrics
from headrace_console.sessions.open_pages import OpenPages
from headrace_console.sessions.sessions import Sessions
from headrace_console.signing_in.development import DevelopmentSignIn
from headrace_console.signing_in.limits import SignInLimit
from headrace_console.signing_in.oidc import OpenIdSignIn

if TYPE_CHECKING:
    from headrace_servicekit.tracing import Tracing

    from headrace_console.busyness import Busyness
    from headrace_console.live import LiveFeeds
    from headrace_console.pages.traffic import Traffic
    from headrace_console.recent import Recent

ROOT = "/console/"
SIGN_IN = "/console/sign-in"


@dataclass(frozen=True, slots=True)
class Console:
    """The console's dependencies.

    client: without a token; each page calls with the reader's token. sign_in: None if sign-in is not configured.
    traffic, marks: recent values of models by the reader's rights; marks flag versions whose stage and traffic differ.
    busyness: pool utilisation by the reader's rights. secure: whether browsers use https. address: the public URL.
    """

    sessions: Sessions
    open_pages: OpenPages
    client: AsyncClient
    sign_in: OpenIdSignIn | DevelopmentSignIn | None
    limit: SignInLimit
    live: LiveFeeds
    traffic: Recent[Mapping[str, Traffic]]
    marks: Recent[Mapping[str, Mapping[str, str]]]
    busyness: Busyness
    denials: Denials
    metrics: ConsoleMetrics
    tracing: Tracing | None
    secure: bool
    address: str

"""The console put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from datetime import timedelta

import httpx
from headrace_client import AsyncClient, RetryPolicy
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.settings import variable
from headrace_servicekit.tls import Tls

from headrace_console.app import create_app
from headrace_console.busyness import Busyness
from headrace_console.console import SIGN_IN, Console
from headrace_console.http_server import HttpServer
from headrace_console.live import LiveFeeds
from headrace_console.metrics import ConsoleMetrics
from headrace_console.recent import Recent
from headrace_console.sessions.open_pages import LOOK_EVERY_S, OpenPages
from headrace_console.sessions.sessions import Sessions
from headrace_console.sessions.store import SessionStore, database
from headrace_console.settings import ConsoleSettings
from headrace_console.signing_in.development import DevelopmentSignIn
from headrace_console.signing_in.limits import SignInLimit
from headrace_console.signing_in.oidc import OpenIdSignIn
from headrace_console.signing_in.provider import OpenIdProvider

# A person waits, so retry once or twice, soon; but leave the 100 ms that a reconnect takes.
_RETRY = RetryPolicy(max_attempts=3, initial_s=0.25)


async def start(runtime: Runtime[ConsoleSettings]) -> None:
    """Build the service. Nothing that it calls has to be up: its pages say what is missing until it is."""
    settings, clock = runtime.settings, runtime.clock
    connections = await runtime.enter(database(Address.of(settings), settings.database_connections))
    store = SessionStore(connections)
    migrated = runtime.migrated(connections)
    runtime.check("postgres", store.check)

    way_in = _way_in(settings, store, await runtime.enter(httpx.AsyncClient(trust_env=False)))
    client = AsyncClient(
        settings.front_door_address,
        token=lambda: "",
        ca=settings.front_door_ca,
        retry=_RETRY,
        server_name=settings.front_door_name,
    )
    open_pages = OpenPages(store.going_on)
    live = LiveFeeds(settings.max_watches, every_s=settings.poll_s, stopping=runtime.stopping, clock=clock)
    metrics = ConsoleMetrics(runtime.metrics, lambda: live.open)
    console = Console(
        sessions=Sessions(
            store,
            way_in,
            timedelta(seconds=settings.session_lifetime_s),
            is_denied=runtime.denials.is_denied,
        ),
        open_pages=open_pages,
        client=await runtime.enter(client),
        sign_in=way_in,
        limit=SignInLimit(settings.sign_ins_per_minute, clock.monotonic),
        live=live,
        traffic=Recent(clock.monotonic),
        marks=Recent(clock.monotonic),
        busyness=Busyness(),
        denials=runtime.denials,
        metrics=metrics,
        tracing=runtime.tracing,
        secure=settings.secure,
        address=settings.url,
    )
    app = create_app(console, ready=lambda: runtime.health.ready)
    port_setting, tls = variable(type(settings), "port"), Tls.of(settings)
    runtime.serve_beside(HttpServer(app, settings.host, settings.port, port_setting=port_setting, tls=tls))

    runtime.every("expiry", 60, store.expire, after=migrated)
    runtime.every("open pages", LOOK_EVERY_S, open_pages.look, after=migrated, max_backoff_s=LOOK_EVERY_S)


def _way_in(
    settings: ConsoleSettings, store: SessionStore, client: httpx.AsyncClient
) -> OpenIdSignIn | DevelopmentSignIn | None:
    if not settings.oidc_issuer:
        folder = settings.development_issuer
        return None if folder is None else DevelopmentSignIn(folder, store)
    return OpenIdSignIn(
        provider=OpenIdProvider(settings.oidc_issuer, client),
        store=store,
        client_id=settings.oidc_client_id,
        secret_file=settings.oidc_client_secret_file,
        scopes=settings.oidc_scopes,
        audience=settings.audience,
        redirect_uri=f"{settings.url}{SIGN_IN}/callback",
    )

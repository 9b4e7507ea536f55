"""The outbox's delivery put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from headrace_servicekit.endpoints import present_target
from headrace_servicekit.outbox.allowlist import Allowed, hosts
from headrace_servicekit.outbox.authorities import Authorities
from headrace_servicekit.outbox.deliveries import Deliveries, Patience
from headrace_servicekit.outbox.destinations import Rules
from headrace_servicekit.outbox.guard import Guard
from headrace_servicekit.outbox.lineage import LineageReceiver
from headrace_servicekit.outbox.outbox import Outbox
from headrace_servicekit.outbox.poster import Poster
from headrace_servicekit.outbox.settings import LineageSettings, WebhookSettings
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.runtime import Runtime, StartError
from headrace_servicekit.settings import variable


async def start_deliveries(
    runtime: Runtime[Any],
    settings: WebhookSettings,
    outbox: Outbox,
    *,
    inside: Iterable[str],
    count: Callable[[str], None],
) -> Guard:
    """Send what waits in the outbox; return what says where webhooks may be. Raises StartError.

    inside: URLs and targets of this installation. count: of attempts, by outcome: delivered, failed, dead.
    """
    setting = variable(type(settings), "webhook_allow")
    rules = Rules(Allowed.parse(settings.webhook_allow), hosts(map(present_target, inside)), setting)
    # Two, each with threads: names that callers give us to look up keep no delivery waiting.
    asked, connecting = (
        await runtime.enter(Guard(rules, runtime.clock)),
        await runtime.enter(Guard(rules, runtime.clock)),
    )
    authorities = _authorities(settings.webhook_ca_file, variable(type(settings), "webhook_ca_file"))
    poster = await runtime.enter(Poster(settings.webhook_timeout_s, authorities, connecting))
    patience = Patience(
        first_pause=timedelta(seconds=settings.webhook_retry_s),
        give_up_after=timedelta(hours=settings.webhook_give_up_after_h),
    )
    runtime.loop("webhooks", Deliveries(outbox, poster, patience, runtime.clock, count).run)
    return asked


def delivery_counter(registry: CollectorRegistry, service: str) -> Callable[..., None]:
    """Return what counts attempts of a service's outbox by outcome: one, or the number that is passed."""
    attempts = Counter(
        f"{service}_webhook_deliveries",
        "Attempts to deliver, by outcome: delivered, failed (comes again), dead (given up, or no room to wait).",
        ("outcome",),
        registry=registry,
    )
    for outcome in ("delivered", "failed", "dead"):
        attempts.labels(outcome)
    return lambda outcome, number=1: attempts.labels(outcome).inc(number)


def keep_lineage_receiver(
    runtime: Runtime[Any], settings: LineageSettings, connections: Connections, there: asyncio.Event
) -> None:
    """Have the database know who collects lineage, if anybody does. there: set once the schema is."""
    receiver = LineageReceiver(connections, there, settings.lineage_url, settings.lineage_key_file)
    runtime.every("lineage", 60.0, receiver.keep)


def _authorities(file: Path | None, setting: str) -> Authorities:
    try:
        return Authorities(file)
    except (OSError, ValueError) as error:
        raise StartError(f"{setting}: {error}") from error

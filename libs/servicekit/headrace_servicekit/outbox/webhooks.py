"""Webhooks that are told of models: who they are, and what waits for them. The table has a column `model` for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from headrace_servicekit.errors import AlreadyExists, FieldViolation, refuse
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import Identity, model_not_found
from headrace_servicekit.outbox.destinations import RefusedError
from headrace_servicekit.outbox.events import Format, secret_violations
from headrace_servicekit.outbox.outbox import hurry
from headrace_servicekit.outbox.resolving import Guard
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

_QUERIES = load_queries("headrace_servicekit.outbox.sql")
_POOL = Pool("webhooks", 100, "TOO_MANY_WEBHOOKS", retry_after_s=60.0)
EVERY_MODEL = "*"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told. model: empty for every one. secret: in no log and no answer. The last three are how it goes."""

    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    format: Format = Format.CLOUD_EVENT
    model: str = ""
    waiting: int = 0
    last_error: str = ""
    last_success_time: datetime | None = None


async def webhooks_of(connection: Any, model: str) -> list[str]:
    """Return the names of those that are told of a model."""
    return [row["name"] for row in await connection.fetch(_QUERIES["webhooks_of_model"], model)]


class Webhooks:
    """The use cases of webhooks. guard: says where one may be."""

    def __init__(self, connections: Connections, guard: Guard) -> None:
        self._connections, self._guard = connections, guard

    async def put(self, webhook: Webhook, caller: Identity) -> Webhook:
        """Make a webhook or replace the one of its name. Without a secret the one before stays, for the same URL.

        Raises NotFound, reason MODEL_NOT_FOUND; AlreadyExists, reason NAME_TAKEN; InvalidArgument, reason
        WEBHOOK_INVALID; ResourceExhausted.
        """
        if not _sees(caller)(webhook):
            raise model_not_found(webhook.model or EVERY_MODEL)
        misplaced = await self._misplaced(webhook.url)
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(_QUERIES["webhook"], webhook.name)
            before = None if row is None else _webhook(row)
            if before is None:
                used, held = await connection.fetchrow(_QUERIES["count_webhooks"], caller.client)
                _POOL.admit(used, held, caller)
            elif not _sees(caller)(before):
                raise AlreadyExists(f"there is another webhook called '{webhook.name}'", reason="NAME_TAKEN")
            elif not webhook.secret and (before.url, before.format) == (webhook.url, webhook.format):
                webhook = replace(webhook, secret=before.secret)
            secret = secret_violations(webhook.secret, webhook.format, "webhook.secret")
            refuse([*misplaced, *secret], reason="WEBHOOK_INVALID")
            arguments = (webhook.name, webhook.url, webhook.secret, webhook.format, webhook.model, caller.client)
            await connection.execute(_QUERIES["put_webhook"], *arguments)
            await hurry(connection, webhook.name)
        return webhook

    async def list(self, caller: Identity) -> list[Webhook]:
        """Return the webhooks that a caller may see, by name."""
        found = await self._connections.repeatable(lambda connection: connection.fetch(_QUERIES["webhooks"]))
        return [webhook for webhook in map(_webhook, found) if _sees(caller)(webhook)]

    async def delete(self, name: str, caller: Identity) -> None:
        """Remove a webhook. One that is not there, or not to be seen, is gone already."""
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(_QUERIES["webhook"], name)
            if row is not None and _sees(caller)(_webhook(row)):
                await connection.execute(_QUERIES["delete_webhook"], name)

    async def _misplaced(self, url: str) -> list[FieldViolation]:
        try:
            await self._guard.check(url)
        except RefusedError as error:
            return [FieldViolation("webhook.url", str(error))]
        return []


def _sees(caller: Identity) -> Callable[[Webhook], bool]:
    """Return who a caller may know of: a webhook of every model is for those who see every model."""
    return lambda webhook: caller.sees(webhook.model or EVERY_MODEL)


def _webhook(row: Any) -> Webhook:
    return Webhook(
        name=row["name"],
        url=row["url"],
        secret=row["secret"],
        format=Format(row["format"]),
        model=row["model"],
        waiting=row.get("waiting", 0),
        last_error=row["last_error"],
        last_success_time=row["last_success_time"],
    )

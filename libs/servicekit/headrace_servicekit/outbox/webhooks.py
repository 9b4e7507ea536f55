"""Webhooks that receive events of models: who they are, and what waits for them. The table has a column `model`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from headrace_servicekit.errors import AlreadyExists, FieldViolation, refuse
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import Identity, model_not_found
from headrace_servicekit.outbox.destinations import RefusedError
from headrace_servicekit.outbox.events import Format, Receiver, secret_violations
from headrace_servicekit.outbox.guard import Guard
from headrace_servicekit.outbox.outbox import hurry
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

_QUERIES = load_queries("headrace_servicekit.outbox.sql")
_POOL = Pool("webhooks", 100, "TOO_MANY_WEBHOOKS", retry_after_s=60.0)
EVERY_MODEL = "*"


@dataclass(frozen=True, slots=True)
class Webhook(Receiver):
    """Who receives events. model: empty for every one. The last three say how deliveries go."""

    model: str = ""
    waiting: int = 0
    last_error: str = ""
    last_success_time: datetime | None = None


Hook = TypeVar("Hook", bound=Webhook)


def webhook_columns(row: Any) -> dict[str, Any]:
    """Return what every webhook has, from a row."""
    return {
        "name": row["name"],
        "url": row["url"],
        "secret": row["secret"],
        "format": Format(row["format"]),
        "model": row["model"],
        "waiting": row.get("waiting", 0),
        "last_error": row["last_error"],
        "last_success_time": row["last_success_time"],
    }


async def write_webhook(connection: Any, webhook: Webhook, client: str) -> None:
    """Make or replace a webhook; what waits for it goes at once. client: who makes it, if it is new."""
    arguments = (webhook.name, webhook.url, webhook.secret, webhook.format, webhook.model, client)
    await connection.execute(_QUERIES["put_webhook"], *arguments)
    await hurry(connection, webhook.name)


async def webhooks_of(connection: Any, model: str) -> list[str]:
    """Return the names of those that receive events of a model."""
    return [row["name"] for row in await connection.fetch(_QUERIES["webhooks_of_model"], model)]


async def _nothing_more(connection: Any, webhook: Any) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Variety(Generic[Hook]):
    """What webhooks of one service have besides. written: called in the transaction that wrote one."""

    of_row: Callable[[Any], Hook]
    violations: Callable[[Hook], Iterable[FieldViolation]] = lambda webhook: ()
    written: Callable[[Any, Hook], Awaitable[None]] = _nothing_more


PLAIN = Variety(lambda row: Webhook(**webhook_columns(row)))


class Webhooks(Generic[Hook]):
    """The use cases of webhooks. guard: says where one may be."""

    def __init__(self, connections: Connections, guard: Guard, variety: Variety[Hook] = PLAIN) -> None:
        self._connections, self._guard, self._variety = connections, guard, variety

    async def put(self, webhook: Hook, caller: Identity) -> Hook:
        """Make a webhook or replace the one of its name. Without a secret the one before stays, for the same URL.

        Raises NotFound, reason MODEL_NOT_FOUND; AlreadyExists, reason NAME_TAKEN; InvalidArgument, reason
        WEBHOOK_INVALID; ResourceExhausted.
        """
        if not _sees(caller, webhook):
            raise model_not_found(webhook.model or EVERY_MODEL)
        misplaced = await self._misplaced(webhook.url)  # before a connection is taken: names can take long
        async with self._connections.transaction() as connection:
            before = await self._get(connection, webhook.name)
            if before is None:
                used, held = await connection.fetchrow(_QUERIES["count_webhooks"], caller.client)
                _POOL.admit(used, held, caller)
            elif not _sees(caller, before):
                problem = f"the name '{webhook.name}' of a webhook is taken: choose another"
                raise AlreadyExists(problem, reason="NAME_TAKEN")
            # Not for another URL: a caller could have a routing key sent to a place of their own.
            elif not webhook.secret and (before.url, before.format) == (webhook.url, webhook.format):
                webhook = replace(webhook, secret=before.secret)
            secret = secret_violations(webhook.secret, webhook.format, "webhook.secret")
            refuse([*misplaced, *secret, *self._variety.violations(webhook)], reason="WEBHOOK_INVALID")
            await write_webhook(connection, webhook, caller.client)
            await self._variety.written(connection, webhook)
            return await self._get(connection, webhook.name) or webhook

    async def list(self, caller: Identity) -> list[Hook]:
        """Return the webhooks that a caller may see, by name."""
        found = await self._connections.repeatable(lambda connection: connection.fetch(_QUERIES["webhooks"]))
        return [webhook for webhook in map(self._variety.of_row, found) if _sees(caller, webhook)]

    async def delete(self, name: str, caller: Identity) -> None:
        """Remove a webhook. One that is not there, or not to be seen, is gone already."""
        async with self._connections.transaction() as connection:
            before = await self._get(connection, name)
            if before is not None and _sees(caller, before):
                await connection.execute(_QUERIES["delete_webhook"], name)

    async def _get(self, connection: Any, name: str) -> Hook | None:
        row = await connection.fetchrow(_QUERIES["webhook"], name)
        return None if row is None else self._variety.of_row(row)

    async def _misplaced(self, url: str) -> list[FieldViolation]:
        try:
            await self._guard.check(url)
        except RefusedError as error:
            return [FieldViolation("webhook.url", str(error))]
        return []


def _sees(caller: Identity, webhook: Webhook) -> bool:
    """Return whether a caller may know of one: a webhook of every model is for those who see every model."""
    return caller.sees(webhook.model or EVERY_MODEL)

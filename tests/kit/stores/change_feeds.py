"""Sources of a `ChangeFeed`, in memory and in a real PostgreSQL: names, and the number of each one's last change."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Connections


class Item(NamedTuple):
    """The state of a name. times: how often it changed."""

    name: str
    sequence: int
    times: int


class MemorySource:
    """A source that is a dictionary. away: whether it is lost."""

    def __init__(self) -> None:
        self.away = False
        self._incarnation, self._sequence = uuid.uuid4(), 0
        self._items: dict[str, Item] = {}
        self._changed = Wakeup()

    async def touch(self, name: str) -> None:
        """Change a name."""
        self._sequence += 1
        before = self._items.pop(name, None)
        self._items[name] = Item(name, self._sequence, 1 if before is None else before.times + 1)
        self._changed.wake()

    async def restore(self) -> None:
        """Become another store."""
        self._incarnation = uuid.uuid4()

    async def go_back(self) -> None:
        """Become the store that it was before its last change, as an old copy does."""
        self._items.popitem()
        self._sequence -= 1

    async def snapshot(self) -> AsyncIterator[Item]:
        for item in sorted(self._items.values()):
            yield item

    async def position(self) -> Position:
        if self.away:
            raise Unavailable("away")
        return Position(self._incarnation, self._sequence)

    async def changed_since(self, sequence: int, *, limit: int) -> list[Item]:
        return [item for item in self._items.values() if item.sequence > sequence][:limit]

    async def wakes(self) -> AsyncIterator[None]:
        while True:
            count = self._changed.count
            yield None
            await self._changed.after(count)


class PostgresSource:
    """The same in a database. Its notices and rows are those that services write."""

    def __init__(self, connections: Connections) -> None:
        self.away = False
        self._connections = connections

    async def prepare(self) -> None:
        """Make the tables."""
        await self._execute(
            "create table feed (incarnation uuid not null default gen_random_uuid(), sequence bigint not null);"
            "create table items_changed (name text primary key, sequence bigint not null, times bigint not null);"
            "insert into feed (sequence) values (0)"
        )

    async def touch(self, name: str) -> None:
        await self._execute(
            "with next as (update feed set sequence = sequence + 1 returning sequence, pg_notify('feed', ''))"
            f"insert into items_changed select '{name}', sequence, 1 from next on conflict (name)"
            " do update set sequence = excluded.sequence, times = items_changed.times + 1"
        )

    async def restore(self) -> None:
        await self._execute("update feed set incarnation = gen_random_uuid()")

    async def go_back(self) -> None:
        await self._execute(
            "delete from items_changed where sequence = (select sequence from feed);"
            "update feed set sequence = sequence - 1"
        )

    async def snapshot(self) -> AsyncIterator[Item]:
        for row in await self._fetch("select * from items_changed order by name"):
            yield Item(*row)

    async def position(self) -> Position:
        if self.away:
            raise Unavailable("away")
        return Position(*(await self._fetch("select incarnation, sequence from feed"))[0])

    async def changed_since(self, sequence: int, *, limit: int) -> list[Item]:
        query = "select * from items_changed where sequence > $1 order by sequence limit $2"
        return [Item(*row) for row in await self._fetch(query, sequence, limit)]

    def wakes(self) -> AsyncIterator[None]:
        return self._connections.notices("feed")

    async def cut_off(self) -> int:
        """End every connection that listens; return how many there were."""
        listening = "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%'"
        return len(await self._fetch(listening))

    async def _execute(self, statement: str) -> None:
        async with self._connections.transaction() as connection:
            await connection.execute(statement)

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(lambda connection: connection.fetch(query, *arguments))

"""A database's password that is changed while a service runs: in the database, and in the file."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Address, Connections


@dataclass(slots=True)
class Role:
    """A role of its own with a password that can be changed, and a file that says it."""

    admin: asyncpg.Connection
    name: str
    url: str
    passfile: Path

    async def change(self, password: str) -> None:
        await self.admin.execute(f"alter role {self.name} password '{password}'")

    def say(self, password: str) -> None:
        self.passfile.write_text(f"*:*:*:{self.name}:{password}\n")
        # As Kubernetes mounts a secret: readable by the group of the process.
        self.passfile.chmod(0o440)

    async def end_sessions(self) -> None:
        await self.admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", self.name)


@pytest.fixture
async def role(postgres_url: str, tmp_path: Path) -> AsyncIterator[Role]:
    admin = await asyncpg.connect(postgres_url, timeout=30)
    name = f"role_{uuid.uuid4().hex[:12]}"
    place = postgres_url.partition("@")[2].partition("?")[0]
    await admin.execute(f"create role {name} login")
    try:
        yield Role(admin, name, f"postgresql://{name}@{place}", tmp_path / "pgpass")
    finally:
        await admin.execute(f"drop role {name}")
        await admin.close()


async def test_a_changed_password_counts_from_the_next_connection(role: Role):
    await role.change("first")
    role.say("first")
    async with Connections(Address(role.url, role.passfile), owner="test", size=2) as connections:
        assert await _who(connections) == role.name
        await role.change("second")
        # Connections that are open stay.
        assert await _who(connections) == role.name
        await role.end_sessions()
        with pytest.raises(Unavailable, match="cannot serve this now"):
            await _who(connections)
        role.passfile.chmod(0o600)
        role.say("second")
        assert await _who(connections) == role.name


async def _who(connections: Connections) -> str:
    return await connections.repeatable(lambda connection: connection.fetchval("select current_user"))

"""A history in PostgreSQL as somebody with every right edits it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from tests.kit.clients.commands import PYTHON, run


@contextlib.asynccontextmanager
async def with_every_right(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as one whom no trigger keeps from anything."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute("set session_replication_role = replica")
        yield connection
    finally:
        await connection.close()


async def verified(module: str, url_variable: str, url: str, *words: str, **more: str) -> tuple[int, Any]:
    """Run a service's `verify` as an operator does; return its exit code and what it printed."""
    done = await run(*PYTHON, module, "verify", *words, environment={**os.environ, url_variable: url, **more})
    assert done.exit_code in (0, 3), done.stderr
    return done.exit_code, json.loads(done.stdout)

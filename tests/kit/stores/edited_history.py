"""A history in PostgreSQL as somebody with every right edits it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.head_storage import heads_of, store
from headrace_servicekit.postgres.history import History
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import eventually, running

from tests.kit.batcher.service import credentials_of
from tests.kit.clients.commands import PYTHON, run
from tests.kit.stores.servers import S3Store


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


def bucket_of(s3: S3Store, folder: Path) -> dict[str, Any]:
    """Return the settings by which a service stores heads in a bucket, each second."""
    place = {"endpoint": s3.endpoint, "bucket": s3.bucket, "region": s3.region}
    file = {"credentials_file": credentials_of(s3, folder)}
    return {**{f"s3_{name}": value for name, value in {**place, **file}.items()}, "history_heads_every_s": 1}


@dataclass(frozen=True, slots=True)
class EditedHistory:
    """A service that stores heads. module: what `python -m` runs. edits: SQL, and why lines are broken after it."""

    module: str
    start: Callable[[Runtime[Any]], Awaitable[None]]
    settings: Any
    history: History
    edits: Mapping[str, list[str]]

    async def verify(self, *words: str) -> tuple[int, Any]:
        prefix = str(self.settings.model_config["env_prefix"])
        chosen = self.settings.model_dump(exclude_defaults=True)
        told = {f"{prefix}{name}".upper(): str(value) for name, value in chosen.items()}
        return await verified(self.module, f"{prefix}DATABASE_URL", self.settings.database_url, *words, **told)


async def assert_removed_lines_are_found(
    kept: EditedHistory, connections: Connections, fill: Callable[[], Awaitable[object]]
) -> None:
    """Have a service store heads of what `fill` writes; then edit its history, and see `verify` miss lines."""
    async with heads_of(kept.history)(kept.settings) as keeper, with_every_right(kept.settings.database_url) as editor:
        assert keeper is not None
        async with running(kept.module, kept.settings, kept.start):
            await fill()
            await eventually(keeper.newest, within=20)
        await store(kept.history, connections, keeper)  # what came after that
        newest = await keeper.newest()
        code, found = await kept.verify()
        assert (code, found["broken"], "not_checked" in found) == (0, [], False)
        assert found["kept"] > 0
        for edit, reasons in kept.edits.items():
            await editor.execute(edit)
            await store(kept.history, connections, keeper)  # nor does it put the shorter one in its place
            code, found = await kept.verify()
            assert (code, [one["reason"] for one in found["broken"]]) == (3, reasons), edit
        assert await keeper.newest() == newest
        assert (await kept.verify("--new-sequence", "restored the backup of May"))[0] == 0
        assert (await kept.verify())[0] == 0

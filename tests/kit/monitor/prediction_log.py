"""What the prediction log stands on, without the service around it: a database with the schema, and a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace_monitor.record.log.objects import Objects
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.s3 import Place

from tests.kit.stores.servers import S3Store


@dataclass(slots=True)
class Stores:
    """Both stores of the log, opened."""

    database: Database
    objects: Objects

    @property
    def reader(self) -> Reader:
        """Return a reader of the log."""
        return Reader(self.database, self.objects)


@asynccontextmanager
async def log_stores(postgres_url: str, s3: S3Store, folder: Path) -> AsyncIterator[Stores]:
    """Open both stores. folder: for the credentials file."""
    async with (
        Database(Address(postgres_url), size=5) as database,
        Objects(Place(s3.endpoint, s3.bucket, s3.region, credentials_file(s3, folder))) as objects,
    ):
        await database.migrate()
        yield Stores(database, objects)


def credentials_file(s3: S3Store, folder: Path) -> Path:
    """Write the keys of a store into a file of AWS shared credentials."""
    path = folder / "s3.credentials"
    path.touch(0o600)
    path.write_text(
        f"[default]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n", encoding="utf-8"
    )
    return path

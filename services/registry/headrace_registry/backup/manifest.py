"""What a backup consists of: a folder of one file per table, perhaps the files of versions, and a manifest, made last.

manifest.json           which store it is of, when it was taken, and rows and SHA-256 of each table
tables/{table}.jsonl    one row a line, as a JSON object by column
blobs/sha256/{hex}      files of versions, when they were asked for
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path
from uuid import UUID

from headrace_servicekit.commands import CommandError
from pydantic import BaseModel, ConfigDict, ValidationError

FORMAT = 1
MANIFEST = "manifest.json"

# In an order in which each row comes after those that it refers to, with the order of its rows: a version comes after
# its parent. Uploads under way are left out: what they bring is not stored yet.
TABLES = {
    "models": "name",
    "blobs": "sha256, type",
    "versions": "model, epoch",
    "artifacts": "model, version, ordinal",
    "aliases": "model, alias",
    "events": "model, epoch, ordinal",
    "measurements": "number",
    "holds": "model, version, holder",
    "promotion_requests": "model, number",
    "requests": "client, request_id",
}


# Tables that a backup from before they existed does not have.
_YOUNGER = frozenset({"promotion_requests"})


class BackupError(CommandError):
    """A backup cannot be made or restored; the message says why."""


class TableFile(BaseModel):
    """rows: how many lines. sha256: of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    sha256: str


class Manifest(BaseModel):
    """incarnation and sequence: of the store at that moment. migrations: the last one that it had."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    incarnation: UUID
    sequence: int
    time: datetime
    migrations: int
    tables: dict[str, TableFile]
    with_blobs: bool


def table_file(folder: Path, table: str) -> Path:
    """Return where the rows of a table are."""
    return folder / "tables" / f"{table}.jsonl"


def blob_file(folder: Path, sha256: str) -> Path:
    """Return where the bytes of a SHA-256 are."""
    return folder / "blobs" / "sha256" / sha256


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, whole or not at all: a folder without one is no backup."""
    unfinished = folder / f".{MANIFEST}"
    unfinished.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    with unfinished.open("rb") as opened:
        os.fsync(opened.fileno())
    unfinished.rename(folder / MANIFEST)


def read(folder: Path) -> Manifest:
    """Return the manifest of a backup whose table files are what it says. Raises BackupError."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise BackupError(f"{folder} is no backup, or one that was not finished: it has no {MANIFEST}") from None
    except ValidationError as error:
        raise BackupError(f"{folder / MANIFEST} cannot be read: {error.error_count()} problems") from None
    if manifest.format != FORMAT or not set(TABLES) - _YOUNGER <= set(manifest.tables) <= set(TABLES):
        raise BackupError(f"{folder} was made by another version of the registry: format {manifest.format}")
    for table, listed in manifest.tables.items():
        path = table_file(folder, table)
        if not path.is_file() or sha256_of(path) != listed.sha256:
            raise BackupError(f"{path} is not what the manifest says: the backup is damaged")
    return manifest


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

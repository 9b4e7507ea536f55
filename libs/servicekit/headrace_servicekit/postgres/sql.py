"""SQL in files of its own: a package of resources holds `queries.sql` and `migrations/NNNN_name.sql`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. checksum: of its text; an applied migration never changes."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_queries(package: str) -> dict[str, str]:
    """Return every query of the package's `queries.sql` by the name in the `-- name:` line above it."""
    text = resources.files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def load_migrations(package: str) -> list[Migration]:
    """Return the package's migrations in their order."""
    found = []
    for file in resources.files(package).joinpath("migrations").iterdir():
        match = _MIGRATION.fullmatch(file.name)
        if match is not None:
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)

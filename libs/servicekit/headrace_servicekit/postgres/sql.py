"""SQL in files of its own: a package of resources holds `queries.sql` and `migrations/NNNN_name.sql`.

A migration includes another file by a line `-- include: PACKAGE FILE`; a file that was included never changes either.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: (\S+) (\S+)$", re.MULTILINE)
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
            text = _INCLUDE.sub(_included, file.read_text(encoding="utf-8"))
            found.append(Migration(int(match[1]), match[2], text))
    return sorted(found, key=lambda migration: migration.number)


def _included(line: re.Match[str]) -> str:
    return resources.files(line[1]).joinpath(line[2]).read_text(encoding="utf-8")

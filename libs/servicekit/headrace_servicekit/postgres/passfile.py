"""Reading libpq's `.pgpass`, whatever its mode: orchestrators mount secrets readable by the group of a process.

asyncpg reads the format too, but takes a file that others than its owner may read for none at all.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_DEFAULT_PORT = 5432
_SEPARATOR = re.compile(r"(?<!\\):")


def password_for(url: str, passfile: Path) -> str | None:
    """Return the password of the first line that fits a `postgresql://user@host:port/database`; None without one.

    Raises OSError when the file cannot be read: what is configured must be there.
    """
    parts = urlsplit(url)
    wanted = (
        parts.hostname or "localhost",
        str(parts.port or _DEFAULT_PORT),
        unquote(parts.path.removeprefix("/")),
        unquote(parts.username or ""),
    )
    for line in passfile.read_text(encoding="utf-8").splitlines():
        fields = [field.replace(r"\:", ":").replace(r"\\", "\\") for field in _split(line)]
        if len(fields) == 5 and all(given in ("*", want) for given, want in zip(fields, wanted, strict=False)):
            return fields[4]
    return None


def _split(line: str) -> list[str]:
    if not line.strip() or line.startswith("#"):
        return []
    # An escaped backslash before a colon does not escape the colon.
    marked = line.replace(r"\\", "\0")
    return [field.replace("\0", r"\\") for field in _SEPARATOR.split(marked, maxsplit=4)]

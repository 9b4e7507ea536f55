"""Heads of a history, stored outside the database owner's reach: numbered files that are written once.

The newest counts. A history whose last lines were deleted lacks that head.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from headrace_servicekit.commands import CommandError

_NAME = re.compile(r"([0-9]{12})\.json")


class HeadKeeper(Protocol):
    """Where heads are kept."""

    async def newest(self) -> tuple[int, bytes] | None:
        """Return the newest file with its number; None where there is none."""
        ...

    async def keep(self, number: int, content: bytes) -> bool:
        """Write a file; return False where there is one of that number, which stays as it is."""
        ...


class FolderHeads:
    """Heads in a folder: of another machine, or one that only appends. Raises CommandError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def newest(self) -> tuple[int, bytes] | None:
        return await asyncio.to_thread(self._newest)

    async def keep(self, number: int, content: bytes) -> bool:
        return await asyncio.to_thread(self._keep, number, content)

    def _newest(self) -> tuple[int, bytes] | None:
        try:
            number = newest_of(path.name for path in self._folder.iterdir())
            return None if number is None else (number, (self._folder / name_of(number)).read_bytes())
        except OSError as error:
            raise CommandError(f"cannot read heads in {self._folder}: {error.strerror}") from None

    def _keep(self, number: int, content: bytes) -> bool:
        try:
            with (self._folder / name_of(number)).open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        except OSError as error:
            raise CommandError(f"cannot write heads into {self._folder}: {error.strerror}") from None
        return True


def name_of(number: int) -> str:
    """Return the name of a file: names are in the order of numbers."""
    return f"{number:012d}.json"


def newest_of(names: Iterable[str]) -> int | None:
    """Return the greatest number among names; other files do not count."""
    found = [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]
    return max(found, default=None)

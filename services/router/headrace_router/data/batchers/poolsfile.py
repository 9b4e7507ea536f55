"""Follows a file that says which batchers there are, for where no name service does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from headrace_router.data.batchers.members import Target

log = structlog.get_logger()

FOLLOW_EVERY_S = 0.5
# Far beyond what pools need.
_LONGEST = 1024 * 1024

Targets = dict[str, tuple[Target, ...]]


class PoolsFile:
    """A file that others replace by rename.

    parse: makes targets of its text, raises ValueError. changed: called with the targets whenever the text differs.
    """

    def __init__(self, path: Path, parse: Callable[[str], Targets], changed: Callable[[Targets], None]) -> None:
        self._path, self._parse, self._changed = path, parse, changed
        self._text = ""
        self._problem = ""

    async def follow(self) -> None:
        """Read it again; one that cannot be used changes nothing and is logged once. For `periodic`."""
        try:
            text = await asyncio.to_thread(self._read)
            if text != self._text:
                targets = self._parse(text)
                self._changed(targets)
                self._text = text
                log.info("pools changed", batchers={pool: len(names) for pool, names in targets.items()})
            self._problem = ""
        except (OSError, ValueError) as error:
            if str(error) != self._problem:
                log.warning("pools not taken; those before stay", file=str(self._path), reason=str(error))
            self._problem = str(error)

    def _read(self) -> str:
        with self._path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST} characters")
        return text

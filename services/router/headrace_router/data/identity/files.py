"""Follows the issuer's keys and the deny list, two files that others replace by rename."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from headrace_servicekit.denials import denied_of

from headrace_router.data.identity.callers import Callers
from headrace_router.data.identity.tokens import keys_of

log = structlog.get_logger()

NOBODY = '{"subjects": []}'


class IdentityFiles:
    """The two files. deny: None, or a file that does not exist, denies nobody."""

    def __init__(self, jwks: Path, deny: Path | None, callers: Callers) -> None:
        self._jwks, self._deny, self._callers = jwks, deny, callers
        self._believed = ("", "")

    async def read(self) -> None:
        """Make the callers believe what the files say. Raises OSError and ValueError for files that cannot be used."""
        texts = await asyncio.to_thread(self._texts)
        if texts != self._believed:
            self._callers.believe(keys_of(texts[0]), denied_of(texts[1]))
            self._believed = texts
            log.info("identities read", jwks=str(self._jwks), deny=str(self._deny or ""))

    async def follow(self) -> None:
        """Read again; files that cannot be used change nothing and are logged. For `periodic`."""
        try:
            await self.read()
        except (OSError, ValueError) as error:
            log.warning("identities not taken", reason=str(error))

    def _texts(self) -> tuple[str, str]:
        denied = NOBODY
        if self._deny is not None and self._deny.exists():
            denied = self._deny.read_text()
        return self._jwks.read_text(), denied

"""What callers may do with silences of the models that they may see."""

from __future__ import annotations

from dataclasses import replace

from headrace_servicekit.errors import refuse
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import Identity

from headrace_monitor.alert.decisions.validation import MAX_SILENCES, silence_violations
from headrace_monitor.alert.decisions.values import Silence
from headrace_monitor.alert.store import AlertStore

_SILENCES = Pool("silences", MAX_SILENCES, "TOO_MANY_SILENCES", retry_after_s=60.0)


class Silences:
    """The use cases of silences."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    async def put(self, silence: Silence, caller: Identity) -> Silence:
        """Suppress notifications of matching alerts for a time."""
        async with self._store.transaction() as transaction:
            refuse(silence_violations(silence, transaction.now), reason="SILENCE_INVALID")
            _SILENCES.admit(*await transaction.count_silences(caller.client), caller)
            return await transaction.add_silence(replace(silence, client=caller.client))

    async def list(self, caller: Identity) -> list[Silence]:
        """Return the silences in force."""
        return [silence for silence in await self._store.silences() if caller.sees(silence.model)]

    async def delete(self, key: str, caller: Identity) -> None:
        """End a silence. One that is not there, or not to be seen, is over already."""
        async with self._store.transaction() as transaction:
            silence = await transaction.silence(int(key))
            if silence is not None and caller.sees(silence.model):
                await transaction.end_silence(silence)

"""Holds: who needs a version to be kept, and until when."""

from __future__ import annotations

import re
from datetime import timedelta

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import refuse
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import Identity
from headrace_servicekit.resource_names import invalid

from headrace_registry.catalog import writes
from headrace_registry.decisions import lifecycle, validation
from headrace_registry.decisions.models import Hold, VersionRef
from headrace_registry.storage.store import Store

MIN_TTL = timedelta(seconds=1)
MAX_TTL = timedelta(days=3660)
MAX_HOLDER_CHARS = 128
# Of one version, those of services apart: these have one each, and what a route names must not be lost because people
# hold it too. A person who needs more needs an alias.
MAX_HOLDS = 100
_POOL = Pool("holds of a version", MAX_HOLDS, "TOO_MANY_HOLDS", retry_after_s=60.0)

_HOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
# Only services release their own holds: an outside caller cannot take a version away from a route.
_SERVICES = frozenset(
    {
        "router",
        "batcher",
        "rollouts",
        "experiments",
        "monitor",
        "scorer",
        "scoringJobs",
        "autoscaler",
        "tuner",
        "pipelines",
    }
)


class Holds:
    """Holds over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def hold(self, ref: VersionRef, holder: str, ttl: timedelta, reason: str, client: str) -> Hold:
        """Hold a version from now on for `ttl`, or renew the hold, and return it.

        Holds are no part of a model: neither its epoch nor its history changes. Raises NotFound, InvalidArgument,
        PreconditionFailed (VERSION_COLLECTED), ResourceExhausted (TOO_MANY_HOLDS, TOO_MANY_HOLDS_OF_CLIENT).
        """
        refuse(validation.text_violations(reason, "reason", validation.MAX_REASON_CHARS))
        if not MIN_TTL <= ttl <= MAX_TTL:
            raise invalid("ttl", f"{ttl.total_seconds():g} s is not between 1 s and {MAX_TTL.days} days")
        async with self._store.transaction() as transaction:
            # Under the model's lock, as deletion and collection: either sees what the other did.
            await writes.locked(transaction, ref.model)
            lifecycle.check_kept(await writes.existing(transaction, ref))
            now = self._clock.now()
            present = {held.holder: held for held in await transaction.holds(ref.model, now) if held.ref == ref}
            mine = present.get(holder)
            if mine is None and not _is_service(holder):
                clients = [held.client for other, held in present.items() if not _is_service(other)]
                _POOL.admit(len(clients), clients.count(client), Identity(client))
            hold = Hold(ref, holder, reason, client, now if mine is None else mine.create_time, now + ttl)
            await transaction.put_hold(hold)
            return hold

    async def release(self, ref: VersionRef, holder: str) -> None:
        """End a hold if there is one. Raises NotFound."""
        async with self._store.transaction() as transaction:
            await writes.locked(transaction, ref.model)
            await writes.existing(transaction, ref)
            await transaction.delete_hold(ref, holder)


def holder(text: str, *, internal: bool) -> str:
    """Return text if the caller may hold under it. Raises InvalidArgument; internal: whether a service calls."""
    if len(text) > MAX_HOLDER_CHARS or _HOLDER.fullmatch(text) is None:
        raise invalid(
            "holder",
            f"words of letters, digits, '.', '-' and '_', joined by '/', at most {MAX_HOLDER_CHARS} characters",
        )
    if not internal and _is_service(text):
        raise invalid("holder", f"'{text.partition('/')[0]}' is a service of Headrace; choose a name of your own")
    return text


def _is_service(holder: str) -> bool:
    return holder.partition("/")[0] in _SERVICES

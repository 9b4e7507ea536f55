"""Events of a change for webhooks and the lineage collector: through the outbox, in its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version as installed
from typing import Any

from headrace_servicekit.outbox.lineage import is_collected, lineage_notice
from headrace_servicekit.outbox.outbox import Notice, enqueue
from headrace_servicekit.outbox.webhooks import webhooks_of

from headrace_registry.decisions.lineage import changes_lineage, run_events
from headrace_registry.decisions.models import Event, Model, VersionRef
from headrace_registry.storage.documents import NOTICE
from headrace_registry.storage.store import Transaction

_CODE_VERSION = installed("headrace-registry")


async def enqueue_events(connection: Any, transaction: Transaction, model: Model, events: Sequence[Event]) -> None:
    """Add events of lines of a model's history to the outbox. connection: that of the transaction."""
    webhooks = await webhooks_of(connection, model.name)
    notices = [
        Notice(name, model.name, _once(model, event), NOTICE.write((model.name, event)))
        for name in webhooks
        for event in events
    ]
    of_lineage = [event for event in events if changes_lineage(event)]
    if of_lineage and await is_collected(connection):
        notices += await _lineage(transaction, model, of_lineage)
    await enqueue(connection, notices)


async def _lineage(transaction: Transaction, model: Model, events: Iterable[Event]) -> list[Notice]:
    found = []
    for event in events:
        version = await transaction.version(VersionRef(model.name, event.version))
        assert version is not None  # which the change is of
        named = version.lineage.parent_version
        parent = await transaction.version(VersionRef(model.name, named)) if named else None
        digest = "" if parent is None else parent.digest
        found += [
            lineage_notice(model.name, f"{_once(model, event)}/{one['eventType']}", one)
            for one in run_events(model, event, version, digest, _CODE_VERSION)
        ]
    return found


def _once(model: Model, event: Event) -> str:
    # A store that was restored comes to the same epochs again, which are other changes.
    return f"{model.incarnation}/{event.epoch}/{event.ordinal}"

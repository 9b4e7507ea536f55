"""The history of models, and where its heads are kept: in the bucket of artifacts, under names of their own."""

from __future__ import annotations

import structlog
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.history import History, keep_heads
from headrace_servicekit.postgres.kept_heads import HeadKeeper

log = structlog.get_logger()

HISTORY = History("model", ("epoch", "ordinal"), "headrace_registry.storage.sql")
HEADS_PREFIX = "history-heads/models/"


async def keep(connections: Connections, keeper: HeadKeeper) -> None:
    """Keep the heads of now; say so where lines that were kept are gone."""
    broken = await keep_heads(HISTORY, connections, keeper)
    if broken:
        log.error("lines of the history of models are gone", lines=len(broken), model=broken[0].subject)

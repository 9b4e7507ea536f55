"""Lookup settings, fallbacks, hedging and shadowing as parts of JSON documents; times in microseconds.

Only what is declared is written: documents of routes without it, and those of earlier releases, say nothing.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

from headrace_router.control.decisions.fallback_steps import (
    Backup,
    Constant,
    EntityTable,
    FallbackStep,
    Precomputed,
    Source,
    Stale,
)
from headrace_router.control.decisions.lookups import Hedging, Key, Lookup, Mode, Shadowing
from headrace_router.control.decisions.names import Serves

Document = dict[str, Any]

_MICROSECOND = timedelta(microseconds=1)


def to_document(
    lookup: Lookup | None,
    fallback: tuple[FallbackStep, ...],
    hedging: Hedging | None,
    shadowing: Shadowing | None,
) -> Document:
    """Return what a route or a table declares of these."""
    document: Document = {}
    if lookup is not None:
        document["lookup"] = {
            "mode": int(lookup.mode),
            "key": int(lookup.key),
            "ttl_us": _us(lookup.ttl),
            "stale_while_revalidate_us": _us(lookup.stale_while_revalidate),
            "stale_on_error_us": _us(lookup.stale_on_error),
            "max_precomputed_age_us": _us(lookup.max_precomputed_age),
            "cache_large_inputs": lookup.cache_large_inputs,
        }
    if fallback:
        document["fallback"] = [
            {"name": step.name, "min_time_left_us": _us(step.min_time_left), **_source_to_document(step.source)}
            for step in fallback
        ]
    if hedging is not None:
        document["hedging"] = {"delay_us": _us(hedging.delay)}
    if shadowing is not None:
        document["shadowing"] = {"variant": shadowing.variant, "share": shadowing.share, "keeps": shadowing.keeps}
    return document


def lookup_from_document(document: Document) -> Lookup | None:
    """Return the lookup settings of a route or a table."""
    found = document.get("lookup")
    if found is None:
        return None
    return Lookup(
        Mode(found["mode"]),
        Key(found["key"]),
        _time(found["ttl_us"]),
        _time(found["stale_while_revalidate_us"]),
        _time(found["stale_on_error_us"]),
        _time(found["max_precomputed_age_us"]),
        found["cache_large_inputs"],
    )


def fallback_from_document(document: Document) -> tuple[FallbackStep, ...]:
    """Return the fallbacks of a route or a table."""
    return tuple(
        FallbackStep(one["name"], _source_from_document(one), _time(one["min_time_left_us"]))
        for one in document.get("fallback", [])
    )


def hedging_from_document(document: Document) -> Hedging | None:
    """Return the hedging of a route or a table."""
    found = document.get("hedging")
    return Hedging(_time(found["delay_us"])) if found is not None else None


def shadowing_from_document(document: Document) -> Shadowing | None:
    """Return the shadowing of a route or a table."""
    found = document.get("shadowing")
    return Shadowing(found["variant"], found["share"], found.get("keeps", False)) if found is not None else None


def _source_to_document(source: Source) -> Document:
    match source:
        case Backup(serves, target, pool):
            return {"source": "backup", "serves": serves.value if serves else None, "target": target, "pool": pool}
        case Precomputed():
            return {"source": "precomputed"}
        case Stale(max_age):
            return {"source": "stale", "max_age_us": _us(max_age)}
        case Constant(row):
            return {"source": "constant", "row": base64.b64encode(row).decode()}
        case EntityTable(table, entities):
            return {"source": "entity_table", "table": base64.b64encode(table).decode(), "entities": entities}


def _source_from_document(document: Document) -> Source:
    match document["source"]:
        case "backup":
            serves = Serves(document["serves"]) if document["serves"] else None
            return Backup(serves, document["target"], document["pool"])
        case "precomputed":
            return Precomputed()
        case "stale":
            return Stale(timedelta(microseconds=document["max_age_us"]))
        case "constant":
            return Constant(base64.b64decode(document["row"]))
        case "entity_table":
            return EntityTable(base64.b64decode(document["table"]), document["entities"])
        case unknown:
            raise ValueError(f"a fallback of the kind {unknown!r}: a newer control plane wrote it")


def _us(time: timedelta | None) -> int | None:
    return time // _MICROSECOND if time is not None else None


def _time(us: int | None) -> timedelta | None:
    return timedelta(microseconds=us) if us is not None else None

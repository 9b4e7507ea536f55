"""Routes, and the tables that they resolve to, as JSON documents: see `documents.py`."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

from headrace_router.control.decisions.allocation import Range
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
from headrace_router.control.decisions.resolve import PipelineMember, ResolvedBackup, ResolvedVariant
from headrace_router.control.decisions.routes import Route, Unit, Variant
from headrace_router.control.decisions.states import Table
from headrace_router.rules import Condition, Operator, Rule

Document = dict[str, Any]

_MICROSECOND = timedelta(microseconds=1)


def route_to_document(route: Route) -> Document:
    """Return a declared route."""
    return {
        "model": route.model,
        "variants": [
            {"name": v.name, "serves": v.serves.value, "target": v.target, "weight": v.weight, "pool": v.pool}
            for v in route.variants
        ],
        "unit": int(route.unit),
        "max_wait_us": route.max_wait_us,
        "etag": route.etag,
        "updated_at": route.updated_at.isoformat() if route.updated_at else None,
        "updated_by": route.updated_by,
        "rules": rules_to_document(route.rules),
        "managed_by": route.managed_by,
        "layer": route.layer,
        **_settings_to_document(route),
    }


def route_from_document(document: Document) -> Route:
    """Rebuild what route_to_document wrote."""
    variants = tuple(
        Variant(one["name"], Serves(one["serves"]), one["target"], one["weight"], one["pool"])
        for one in document["variants"]
    )
    return Route(
        model=document["model"],
        variants=variants,
        unit=Unit(document["unit"]),
        max_wait_us=document["max_wait_us"],
        etag=document["etag"],
        updated_at=datetime.fromisoformat(document["updated_at"]) if document["updated_at"] else None,
        updated_by=document["updated_by"],
        rules=rules_from_document(document.get("rules", [])),
        managed_by=document.get("managed_by", ""),
        lookup=_lookup_from_document(document),
        fallback=_fallback_from_document(document),
        hedging=_hedging_from_document(document),
        shadowing=_shadowing_from_document(document),
        layer=document.get("layer", ""),
    )


def table_to_document(table: Table) -> Document:
    """Return a resolved table; ranges are pairs of end and variant."""
    return {
        "variants": [[v.name, v.version, v.digest, v.pool, *_members(v.members)] for v in table.variants],
        "ranges": [[one.end, one.variant] for one in table.ranges],
        "unit": int(table.unit),
        "max_wait_us": table.max_wait_us,
        "layer": table.layer,
        "rules": rules_to_document(table.rules),
        "backups": [[one.step, one.version, one.digest, one.pool, *_members(one.members)] for one in table.backups],
        **_settings_to_document(table),
    }


def table_from_document(document: Document) -> Table:
    """Rebuild what table_to_document wrote."""
    return Table(
        variants=tuple(ResolvedVariant(*one[:4], *map(members_from_document, one[4:])) for one in document["variants"]),
        ranges=tuple(Range(*one) for one in document["ranges"]),
        unit=Unit(document["unit"]),
        max_wait_us=document["max_wait_us"],
        rules=rules_from_document(document.get("rules", [])),
        lookup=_lookup_from_document(document),
        fallback=_fallback_from_document(document),
        backups=tuple(
            ResolvedBackup(*one[:4], *map(members_from_document, one[4:])) for one in document.get("backups", [])
        ),
        hedging=_hedging_from_document(document),
        shadowing=_shadowing_from_document(document),
        layer=document.get("layer", ""),
    )


def members_to_document(members: tuple[PipelineMember, ...]) -> list[list[str]]:
    """Return the members of a pipeline."""
    return [[one.model, one.version, one.digest, one.pool] for one in members]


def _members(members: tuple[PipelineMember, ...]) -> list[list[list[str]]]:
    """Return what stands behind a version in its list: nothing where it is no pipeline, as it always was."""
    return [members_to_document(members)] if members else []


def members_from_document(document: list[list[str]]) -> tuple[PipelineMember, ...]:
    """Rebuild what members_to_document wrote."""
    return tuple(PipelineMember(*one) for one in document)


def rules_to_document(rules: tuple[Rule, ...]) -> list[Document]:
    """Return rules by attribute; a condition is a triple of attribute, test and values."""
    return [
        {
            "name": rule.name,
            "conditions": [[one.attribute, one.operator.value, list(one.values)] for one in rule.conditions],
            "variant": rule.variant,
        }
        for rule in rules
    ]


def rules_from_document(document: list[Document]) -> tuple[Rule, ...]:
    """Rebuild what rules_to_document wrote."""
    return tuple(
        Rule(
            rule["name"],
            tuple(
                Condition(attribute, Operator(operator), tuple(values))
                for attribute, operator, values in rule["conditions"]
            ),
            rule["variant"],
        )
        for rule in document
    )


def _settings_to_document(declared: Route | Table) -> Document:
    """Return lookup settings, fallbacks, hedging and shadowing, times in microseconds; nothing of what is not declared,
    as in documents of earlier releases."""
    document: Document = {}
    if (lookup := declared.lookup) is not None:
        document["lookup"] = {
            "mode": int(lookup.mode),
            "key": int(lookup.key),
            "ttl_us": _us(lookup.ttl),
            "stale_while_revalidate_us": _us(lookup.stale_while_revalidate),
            "stale_on_error_us": _us(lookup.stale_on_error),
            "max_precomputed_age_us": _us(lookup.max_precomputed_age),
            "cache_large_inputs": lookup.cache_large_inputs,
        }
    if declared.fallback:
        document["fallback"] = [
            {"name": step.name, "min_time_left_us": _us(step.min_time_left), **_source_to_document(step.source)}
            for step in declared.fallback
        ]
    if (hedging := declared.hedging) is not None:
        document["hedging"] = {"delay_us": _us(hedging.delay)}
    if (shadowing := declared.shadowing) is not None:
        document["shadowing"] = {"variant": shadowing.variant, "share": shadowing.share, "keeps": shadowing.keeps}
    return document


def _lookup_from_document(document: Document) -> Lookup | None:
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


def _fallback_from_document(document: Document) -> tuple[FallbackStep, ...]:
    """Return the fallbacks of a route or a table."""
    return tuple(
        FallbackStep(one["name"], _source_from_document(one), _time(one["min_time_left_us"]))
        for one in document.get("fallback", [])
    )


def _hedging_from_document(document: Document) -> Hedging | None:
    """Return the hedging of a route or a table."""
    found = document.get("hedging")
    return Hedging(_time(found["delay_us"])) if found is not None else None


def _shadowing_from_document(document: Document) -> Shadowing | None:
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

"""Routes, and the tables that they resolve to, as JSON documents: see `documents.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from headrace_router.control.decisions.allocation import Range
from headrace_router.control.decisions.names import Serves
from headrace_router.control.decisions.resolve import PipelineMember, ResolvedBackup, ResolvedVariant
from headrace_router.control.decisions.routes import Route, Unit, Variant
from headrace_router.control.decisions.states import Table
from headrace_router.control.storage import lookups
from headrace_router.rules import Condition, Operator, Rule

Document = dict[str, Any]


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
        **lookups.to_document(route.lookup, route.fallback, route.hedging, route.shadowing),
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
        lookup=lookups.lookup_from_document(document),
        fallback=lookups.fallback_from_document(document),
        hedging=lookups.hedging_from_document(document),
        shadowing=lookups.shadowing_from_document(document),
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
        **lookups.to_document(table.lookup, table.fallback, table.hedging, table.shadowing),
    }


def table_from_document(document: Document) -> Table:
    """Rebuild what table_to_document wrote."""
    return Table(
        variants=tuple(ResolvedVariant(*one[:4], *map(members_from_document, one[4:])) for one in document["variants"]),
        ranges=tuple(Range(*one) for one in document["ranges"]),
        unit=Unit(document["unit"]),
        max_wait_us=document["max_wait_us"],
        rules=rules_from_document(document.get("rules", [])),
        lookup=lookups.lookup_from_document(document),
        fallback=lookups.fallback_from_document(document),
        backups=tuple(
            ResolvedBackup(*one[:4], *map(members_from_document, one[4:])) for one in document.get("backups", [])
        ),
        hedging=lookups.hedging_from_document(document),
        shadowing=lookups.shadowing_from_document(document),
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

"""Who answers a request under a table: the first rule that matches it, else the variant of its unit's bucket.

Data planes decide the same from the tables that they are sent; this answers people who ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace_router.buckets import bucket_of, salt_of
from headrace_router.control.decisions.allocation import variant_at
from headrace_router.control.decisions.routes import Unit
from headrace_router.control.decisions.states import Table
from headrace_router.rules import first_match


@dataclass(frozen=True, slots=True)
class Subject:
    """What assignment looks at in a request; empty when it is not given."""

    user_id: str = ""
    entity_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a request goes. variant, version: empty when each request is assigned by itself. rule: empty when none
    decided. bucket: of its unit, None without one."""

    variant: str = ""
    version: str = ""
    rule: str = ""
    bucket: int | None = None


def assign(table: Table, salt: bytes, subject: Subject) -> Assignment:
    """Return where a request goes under a table. salt: of the route, where it is in no layer."""
    unit = unit_of(table.unit, subject)
    bucket = bucket_of(salt_of(salt, table.layer), unit) if unit else None
    rule = first_match(table.rules, subject.attributes)
    if rule is not None:
        return Assignment(rule.variant, version_of(table, rule.variant), rule.name, bucket)
    if len(table.ranges) == 1:
        only = table.ranges[0].variant
        return Assignment(only, version_of(table, only), bucket=bucket)
    variant = variant_at(table.ranges, bucket) if bucket is not None else None
    return Assignment(variant, version_of(table, variant), bucket=bucket) if variant is not None else Assignment()


def unit_of(unit: Unit, subject: Subject) -> str:
    """Return the id that keeps its variant, as data planes choose it; empty when the request is assigned by itself."""
    match unit:
        case Unit.ANY:
            return subject.user_id or subject.entity_id
        case Unit.USER:
            return subject.user_id
        case Unit.ENTITY:
            return subject.entity_id
        case Unit.REQUEST:
            return ""


def version_of(table: Table, variant: str) -> str:
    """Return the version that serves a variant; empty when the table has no such variant."""
    return next((one.version for one in table.variants if one.name == variant), "")

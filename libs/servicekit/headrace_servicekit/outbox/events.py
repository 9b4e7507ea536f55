"""Events, and who receives them. Pure values."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from headrace_servicekit.errors import FieldViolation


class Format(enum.StrEnum):
    """The format of a webhook."""

    CLOUD_EVENT = "cloud_event"
    SLACK = "slack"
    PAGERDUTY = "pagerduty"
    # Only `data` is sent: a RunEvent, for a lineage collector. The secret is a bearer token.
    OPEN_LINEAGE = "open_lineage"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who receives events. secret: in no log and no answer."""

    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    format: Format = Format.CLOUD_EVENT


@dataclass(frozen=True, slots=True)
class Event:
    """What happened.

    id, source, type, subject, time, data: as in CloudEvents; a receiver that sees an id twice has it already.
    headline, about, summary, notes: for people. incident: what begins and ends under one key. level: of PagerDuty's
    severities. origin, component, category: what it is about, for PagerDuty.
    """

    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, Any]
    headline: str
    about: str
    summary: str
    incident: str
    notes: tuple[str, ...] = ()
    ends: bool = False
    level: str = "info"
    origin: str = ""
    component: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a receiver. attempts: with the one that is being made."""

    number: int
    receiver: Receiver
    event: Event
    attempts: int


MIN_SECRET_CHARS, MAX_SECRET_CHARS = 16, 256


def secret_violations(secret: str, format_: Format, field: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with a secret for what is sent in a format."""
    if not secret:
        if format_ is Format.CLOUD_EVENT:
            yield FieldViolation(field, "is missing: receivers know by its signature who sends")
        elif format_ is Format.PAGERDUTY:
            yield FieldViolation(field, "is missing: give the routing key of the PagerDuty service")
    elif not (secret.isascii() and secret.isprintable()) or len(secret) > MAX_SECRET_CHARS:
        yield FieldViolation(field, f"must be at most {MAX_SECRET_CHARS} printable ASCII characters")
    elif len(secret) < MIN_SECRET_CHARS:
        yield FieldViolation(field, f"must have at least {MIN_SECRET_CHARS} characters: it is a key")

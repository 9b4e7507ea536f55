"""What the secret of a webhook must be. A pure function."""

from __future__ import annotations

from collections.abc import Iterator

from headrace_servicekit.errors import FieldViolation
from headrace_servicekit.outbox.events import Format

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

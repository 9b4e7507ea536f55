"""The issuer's keys and the denied clients, as they lie on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Members of a JWK that only the issuer may have (RFC 7518).
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class Identities:
    """Trusted keys and denied clients. jwks: the issuer's keys as JSON. denied: subjects, sorted, each once."""

    jwks: str
    denied: tuple[str, ...] = ()


class IdentitiesError(ValueError):
    """A file cannot be used; the message names it and what is wrong."""


def read(jwks_file: Path, deny_file: Path | None) -> Identities:
    """Read both files; a deny file that does not exist denies no client. Raises IdentitiesError."""
    jwks = _text(jwks_file)
    denied = _text(deny_file) if deny_file is not None and deny_file.exists() else '{"subjects": []}'
    return Identities(parse_jwks(jwks, str(jwks_file)), parse_denied(denied, str(deny_file)))


def parse_jwks(text: str, name: str) -> str:
    """Return the keys, in a fixed form. Raises IdentitiesError when there is none or one is not public."""
    keys = _member(text, name, "keys")
    if not keys or not all(isinstance(key, dict) for key in keys):
        raise IdentitiesError(f"{name}: 'keys' must list at least one key")
    if any(_PRIVATE & set(key) for key in keys):
        raise IdentitiesError(f"{name}: holds a private or symmetric key; publish public keys only")
    return json.dumps({"keys": keys}, sort_keys=True)


def parse_denied(text: str, name: str) -> tuple[str, ...]:
    """Return the subjects of `{"subjects": […]}`, sorted, each once. Raises IdentitiesError."""
    subjects = _member(text, name, "subjects")
    if not all(isinstance(subject, str) and subject for subject in subjects):
        raise IdentitiesError(f"{name}: 'subjects' must list non-empty strings")
    return tuple(sorted(set(subjects)))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise IdentitiesError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise IdentitiesError(f"{file}: not UTF-8: {error}") from error


def _member(text: str, name: str, member: str) -> list[Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise IdentitiesError(f"{name}: not JSON: {error}") from error
    values = document.get(member) if isinstance(document, dict) else None
    if not isinstance(values, list):
        raise IdentitiesError(f"{name}: must be an object with the list '{member}'")
    return values

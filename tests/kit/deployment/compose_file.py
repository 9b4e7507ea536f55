"""docker-compose.yml as Compose reads it when nothing is set outside: defaults in place of variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

# One without another in its default: those are read from the inside out.
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::-([^${}]*))?\}")


def read(path: Path, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the file; variables have the values of `environ` or their defaults, and one without either is empty."""
    return yaml.safe_load(filled(path.read_text(), environ))


def filled(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Return a text with values of `environ`, or defaults, in place of its variables."""
    given = environ or {}
    while _VARIABLE.search(text):
        text = _VARIABLE.sub(lambda found: given.get(found[1]) or found[2] or "", text)
    return text


def variables(path: Path) -> dict[str, str]:
    """Return every variable that may be set outside, with its default."""
    text, found = path.read_text(), dict[str, str]()
    while inner := _VARIABLE.findall(text):
        found |= dict(inner)
        text = _VARIABLE.sub(lambda one: one[2] or "", text)
    return found


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what a service is told."""
    return {name: str(value) for name, value in service.get("environment", {}).items()}

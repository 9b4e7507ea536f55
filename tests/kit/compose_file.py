"""docker-compose.yml as Compose reads it when nothing is set outside: defaults in place of variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::-([^}]*))?\}")


def read(path: Path, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the file; variables have the values of `environ` or their defaults, and one without either is empty."""
    given = environ or {}
    text = _VARIABLE.sub(lambda found: given.get(found[1]) or found[2] or "", path.read_text())
    return yaml.safe_load(text)


def variables(path: Path) -> dict[str, str]:
    """Return every variable that may be set outside, with its default."""
    return dict(_VARIABLE.findall(path.read_text()))


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what a service is told."""
    return {name: str(value) for name, value in service.get("environment", {}).items()}

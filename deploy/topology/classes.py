"""The variables of a service, from the settings classes that the description names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from headrace_servicekit.settings import StrictSettings
from headrace_stack.description import Service

ROOT = Path(__file__).resolve().parents[2]


def settings_of(service: Service) -> dict[str, type[StrictSettings]]:
    """Return the classes of a service by the prefix of their variables."""
    if str(ROOT / "deploy" / "envoy") not in sys.path:
        sys.path.append(str(ROOT / "deploy" / "envoy"))
    return {prefix: _class(path) for prefix, path in service.settings.items()}


def variable_of(service: Service, field: str) -> str | None:
    """Return the variable of a field that one of the service's classes has; None when none has it."""
    names = [prefix for prefix, settings in settings_of(service).items() if field in settings.model_fields]
    return f"{names[0]}{field.upper()}" if names else None


def tls_variables(service: Service) -> dict[str, str]:
    """Return the variables of TLS between services, by the file that each names."""
    found: dict[str, str] = {}
    for prefix, settings in settings_of(service).items():
        # What a front door shows its callers is another matter.
        within = "UPSTREAM_TLS" if "upstream_tls_ca" in settings.model_fields else "TLS"
        found.update({f"{prefix}{within}_{name}": file for name, file in _FILES.items()})
    return found


_FILES = {"CA": "ca.crt", "CERT": "tls.crt", "KEY": "tls.key"}


def _class(path: str) -> type[StrictSettings]:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)

"""Base of all settings classes: frozen, strict about names, with suggestions for mistyped ones."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """The environment does not describe a configuration; the message names each variable and the remedy."""


class StrictSettings(BaseSettings):
    """Settings of anything that is started. Subclass it with `model_config = settings_config("FRONT_DOOR_")`.

    Give every field a `Field(description=…)`: docs/settings.md is made from it.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_ignore_empty=True)

    @classmethod
    def load(cls) -> Self:
        """Read the process's environment. Raises SettingsError for unknown names with the prefix and for bad values."""
        problems = unknown_names(cls, os.environ)
        try:
            loaded = cls()
        except ValidationError as error:
            problems += [_explain(cls, dict(item)) for item in error.errors()]
        else:
            if not problems:
                return loaded
        raise SettingsError("\n".join(problems))


def settings_config(env_prefix: str) -> SettingsConfigDict:
    """Return the `model_config` of a settings class whose variables begin with `env_prefix`, e.g. `REGISTRY_`."""
    return SettingsConfigDict(env_prefix=env_prefix, frozen=True, extra="forbid", env_ignore_empty=True)


def variable(settings: type[BaseSettings], field: str) -> str:
    """Return the environment variable of a field."""
    return f"{settings.model_config.get('env_prefix', '')}{field}".upper()


def unknown_names(settings: type[BaseSettings], environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that has the prefix but names no field: a typo must not become a default."""
    prefix = settings.model_config.get("env_prefix", "").upper()
    if not prefix:
        return []
    known = {variable(settings, field) for field in settings.model_fields}
    problems = []
    for name in sorted(name for name in environ if name.upper().startswith(prefix) and name.upper() not in known):
        close = difflib.get_close_matches(name.upper(), known, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"unset it, or use one of {', '.join(sorted(known))}"
        problems.append(f"{name}: unknown setting; {remedy}")
    return problems


def settings_table(settings: type[BaseSettings]) -> str:
    """Return the Markdown table of a settings class: variable, default, meaning."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for field, info in settings.model_fields.items():
        default = "required" if info.is_required() else _shown(info.get_default(call_default_factory=True))
        meaning = " ".join((info.description or "").split())
        lines.append(f"| `{variable(settings, field)}` | {default} | {meaning} |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, SecretStr):
        return "secret" if value.get_secret_value() else "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(f"`{item}`" for item in value) or "empty"
    return f"`{value}`" if str(value) else "empty"


def _explain(settings: type[BaseSettings], item: dict[str, Any]) -> str:
    """Return a sentence for one pydantic error; never the value, which may be a secret."""
    location = [str(part) for part in item["loc"]]
    if not location:
        return str(item["msg"]).removeprefix("Value error, ")
    name = variable(settings, location[0])
    info = settings.model_fields.get(location[0])
    meaning = f" ({' '.join(info.description.split())})" if info is not None and info.description else ""
    if item["type"] == "missing":
        return f"{name}: not set; set it{meaning}"
    return f"{name}: {item['msg'][:1].lower()}{item['msg'][1:]}; correct it or unset it{meaning}"

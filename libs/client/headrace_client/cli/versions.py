"""A version as people name one: `digits@v1`, or `digits v1`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from headrace_client.cli.options import complete_model, complete_version


def version_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments `model` and `version`; `named_version` makes two names of them."""
    version = click.argument("version", required=False, shell_complete=complete_version)
    return click.argument("model", metavar="MODEL@VERSION", shell_complete=complete_model)(version(command))


def named_version(model: str, version: str | None) -> tuple[str, str]:
    """Return model and version. Raises UsageError where they are not named once each."""
    name, at, behind = model.partition("@")
    if bool(version) == bool(at) or not name or not (version or behind):
        raise click.UsageError(f"'{model}' names no version: write MODEL@VERSION, such as digits@v1")
    return name, version or behind

"""Groups of methods of what is installed: the core's, and those of parts, by the entry points `headrace.client`.

Type checkers read `installed.pyi`, which names them all.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from headrace_client import parts
from headrace_client.callers import Caller, Group, Kind, Method
from headrace_client.groups import CORE


class Installed(Caller[Kind]):
    """A client with the groups of what is installed."""

    def __getattr__(self, name: str) -> Any:
        """Return a group; or a method by the name that it had before there were groups."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name in groups():
            return group_of(name)(self)
        for group in groups():
            for method, what in vars(group_of(group)).items():
                if isinstance(what, Method) and what.operation.__name__ == name:
                    warnings.warn(f"`{name}` is `{group}.{method}`", DeprecationWarning, stacklevel=2)
                    return getattr(group_of(group)(self), method)
        raise AttributeError(parts.missing(name) or f"a client has no {name}", name=name, obj=self)


def groups() -> tuple[str, ...]:
    """Return the names of the groups of what is installed."""
    return (*CORE, *_of_parts())


@functools.cache
def group_of(name: str) -> type[Group[Any]]:
    """Return a group by its name."""
    return CORE.get(name) or _of_parts()[name].load()


def moved(name: str) -> Any:
    """Return what was `headrace_client.Outcome` and is `headrace_observe.Outcome`, with a warning."""
    # Modules, which the import system asks for first, are of small letters.
    for package in sorted({one.module.partition(".")[0] for one in _of_parts().values()} if name[:1].isupper() else ()):
        found = importlib.import_module(package)
        if name in getattr(found, "__all__", ()):
            warnings.warn(f"`headrace_client.{name}` is `{package}.{name}`", DeprecationWarning, stacklevel=3)
            return getattr(found, name)
    raise AttributeError(f"module 'headrace_client' has no attribute '{name}'")


@functools.cache
def _of_parts() -> Mapping[str, EntryPoint]:
    return {one.name: one for one in entry_points(group="headrace.client")}

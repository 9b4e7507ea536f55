"""deploy/topology.toml as values: what runs, where it listens, who connects to whom."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace_servicekit.settings import StrictSettings, variable

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """Connections that `caller` opens to a port of `callee`."""

    caller: str
    callee: str
    port: str


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of the list; the file says what each field means."""

    name: str
    component: str
    ports: Mapping[str, int]
    settings: tuple[type[StrictSettings], ...] = ()
    published: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    state: bool = False
    store: bool = False

    @property
    def variables(self) -> frozenset[str]:
        """Every environment variable that it can be told."""
        return frozenset(variable(each, field) for each in self.settings for field in each.model_fields)


def services() -> dict[str, Service]:
    """Return every service by name. Raises KeyError, TypeError for a field that there is not."""
    told = tomllib.loads((CHECKOUT / "deploy" / "topology.toml").read_text(encoding="utf-8"))
    return {name: _service(name, entry) for name, entry in told.items()}


def calls() -> frozenset[Call]:
    """Return every connection that is allowed."""
    return frozenset(call for service in services().values() for call in service.calls)


def _service(name: str, entry: dict) -> Service:
    given = dict(entry)
    classes = tuple(_class(path) for path in given.pop("settings", ()))
    calls = tuple(Call(name, *callee.split(":")) for callee in given.pop("calls", ()))
    return Service(name, settings=classes, calls=calls, published=tuple(given.pop("published", ())), **given)


def _class(path: str) -> type[StrictSettings]:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)

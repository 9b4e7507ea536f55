"""The parts of the product: what each is for, which need which, and what runs where only some are installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from headrace_stack.description import CORE, PARTS, DescriptionError, Topology, path_in, tables


class PartsError(ValueError):
    """A choice of parts cannot be; the message names those that there are."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part. folders: what is its alone; what has none may still have services."""

    name: str
    purpose: str
    folders: tuple[str, ...] = ()


def parsed(text: str) -> Mapping[str, Part]:
    """Return every part of a description by its name, in the order of the file. Raises DescriptionError."""
    try:
        return {
            name: Part(**{**entry, "name": name, "folders": tuple(entry.get("folders", ()))})
            for name, entry in tables(text).get(PARTS, {}).items()
        }
    except (AttributeError, TypeError) as error:
        raise DescriptionError(f"parts: {error}") from error


def startable(services: Topology) -> tuple[str, ...]:
    """Return the parts that have services, in the order of the file."""
    return tuple(dict.fromkeys(service.part for service in services.values()))


def chosen(raw: str, services: Topology) -> tuple[str, ...]:
    """Return the parts of `core,observe`, with the core and those that they need. Raises PartsError."""
    names = [name for name in (name.strip() for name in raw.split(",")) if name]
    if unknown := [name for name in names if name not in startable(services)]:
        raise PartsError(f"{', '.join(unknown)} is no part that can be started: {', '.join(startable(services))} can")
    return with_needed(services, names)


def with_needed(services: Topology, wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the core, the parts that are wanted, and those whose services theirs call, in the order of the file."""
    found = {CORE, *wanted}
    while (
        more := {
            services[call.callee].part
            for service in services.values()
            for call in service.calls
            if service.part in found - {CORE}
        }
        - found
    ):
        found |= more
    return tuple(name for name in startable(services) if name in found)


def installed(services: Topology, parts: Iterable[str]) -> Topology:
    """Return the services of these parts, without calls to others; all of them where no part is named."""
    names = frozenset(parts) or frozenset(startable(services))
    there = {name for name, service in services.items() if service.part in names}
    return {
        name: replace(service, calls=tuple(call for call in service.calls if call.callee in there))
        for name, service in services.items()
        if name in there
    }


def absent(services: Topology, parts: Iterable[str]) -> tuple[str, ...]:
    """Return the parts with services that are not installed; none where no part is named."""
    names = frozenset(parts) or frozenset(startable(services))
    return tuple(name for name in startable(services) if name not in names)


def of(checkout: Path) -> Mapping[str, Part]:
    """Return every part that a checkout describes. Raises DescriptionError, OSError."""
    return parsed(path_in(checkout).read_text(encoding="utf-8"))


def adding(part: str, installed: Iterable[str]) -> str:
    """Return the command by which a part joins those that are installed; it brings what it needs along."""
    return f"make up PARTS={','.join((*installed, part))}"

"""Pure: in which order components start and stop."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from headrace_stack.component import Component


class TopologyError(ValueError):
    """The components do not form an order in which they could start."""


def start_waves(components: Sequence[Component]) -> tuple[tuple[str, ...], ...]:
    """Return names in waves: everything in a wave needs only what earlier waves started.

    Raises TopologyError for a name used twice, a need that no component provides, a cycle, or a port used twice.
    """
    names = [component.name for component in components]
    for name in names:
        if names.count(name) > 1:
            raise TopologyError(f"two components are called {name!r}")
    owners: dict[int, str] = {}
    for component in components:
        for need in component.needs:
            if need not in names:
                raise TopologyError(f"{component.name!r} needs {need!r}, which is no component")
        for port in component.ports:
            if port.number in owners:
                raise TopologyError(f"{component.name!r} and {owners[port.number]!r} both listen on port {port.number}")
            owners[port.number] = component.name
    sorter = TopologicalSorter({component.name: component.needs for component in components})
    try:
        sorter.prepare()
    except CycleError as error:
        raise TopologyError(f"components need each other in a circle: {' -> '.join(error.args[1])}") from error
    waves = []
    while sorter.is_active():
        wave = tuple(sorted(sorter.get_ready()))
        waves.append(wave)
        sorter.done(*wave)
    return tuple(waves)


def dependents(components: Sequence[Component]) -> Mapping[str, tuple[str, ...]]:
    """Return for each component the names of those that need it, and so must stop before it does."""
    return {
        component.name: tuple(other.name for other in components if component.name in other.needs)
        for component in components
    }


def with_needs(components: Sequence[Component], wanted: Sequence[str]) -> tuple[Component, ...]:
    """Return the wanted components and everything they need, in the given order."""
    by_name = {component.name: component for component in components}
    keep: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name not in by_name:
            raise TopologyError(f"there is no component {name!r}; known: {', '.join(by_name)}")
        if name not in keep:
            keep.add(name)
            todo.extend(by_name[name].needs)
    return tuple(component for component in components if component.name in keep)

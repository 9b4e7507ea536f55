"""Pure: how many of each service a stack runs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

MOST = 4
"""Replicas of one service at most: each has a block of ports of its own."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """Processes of each service that scales. `batchers` counts those of the pool `default`, each with its Triton."""

    registries: int = 1
    control_planes: int = 1
    data_planes: int = 1
    batchers: int = 1
    monitors: int = 1

    @property
    def most(self) -> int:
        """The largest of the counts."""
        return max(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        """As the variables that ask for them, those that differ from one."""
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        return " ".join(f"{setting(name)}={count}" for name, count in counts.items() if count != 1) or "one of each"


ONE_OF_EACH = Replicas()


# By the name of the service in deploy/topology.toml.
_COUNTED = {
    "front-door": "data_planes",
    "registry": "registries",
    "router-control": "control_planes",
    "monitor": "monitors",
}


def replicas_of(replicas: Replicas, service: str) -> int:
    """How many there are of a service; of one that is not counted, one."""
    return getattr(replicas, _COUNTED[service]) if service in _COUNTED else 1


def setting(field: str) -> str:
    """The variable that says how many replicas there are."""
    return f"HEADRACE_{field.upper()}"


def read(environment: Mapping[str, str]) -> Replicas:
    """Read the counts. Raises ValueError naming the variable."""
    found = ONE_OF_EACH
    for field in fields(Replicas):
        raw = environment.get(setting(field.name)) or "1"
        if not raw.isdecimal() or not 1 <= int(raw) <= MOST:
            raise ValueError(f"{setting(field.name)}={raw!r} must lie in 1..{MOST}")
        found = replace(found, **{field.name: int(raw)})
    return found


def to_environment(replicas: Replicas) -> dict[str, str]:
    """Return the variables from which `read` makes the same counts."""
    return {setting(field.name): str(getattr(replicas, field.name)) for field in fields(replicas)}


def named(component: str, number: int) -> str:
    """The name of one replica; the first has the component's own."""
    return f"{component}-{number}" if number else component

"""import-linter contracts of the services' packages."""

from __future__ import annotations

from pathlib import Path

from headrace_stack import parts
from headrace_stack.description import Topology, own

_ROOT = Path(__file__).resolve().parents[2]
# Not installed: `make lint` puts deploy/envoy on the path.
_FRONT_DOOR = "front_door"


def root_packages(services: Topology) -> str:
    """Return every package whose imports are looked at."""
    return _listed("root_packages", {*_packages(services), *_libraries(), _FRONT_DOOR})


def independent(services: Topology) -> str:
    """Return the packages that import none of each other."""
    return _listed("modules", {*_packages(services), "headrace_stack"})


def unknown_to_the_client(services: Topology) -> str:
    """Return the packages that the client does not know: what it can do, others can."""
    return _listed(
        "forbidden_modules", {*_packages(services), "headrace_servicekit", "headrace_simulator", "headrace_stack"}
    )


def clients(services: Topology) -> str:
    """Return the packages that are clients: the core's, and those that parts bring beside it."""
    return _listed("source_modules", {"headrace_client", *_of_parts()})


def clients_of_parts(services: Topology) -> str:
    """Return which client knows which: each part's that of the core, and none another's."""
    above = [" | ".join(_of_parts())] if _of_parts() else []
    return "\n".join(["layers = [", *(f'    "{layer}",' for layer in (*above, "headrace_client")), "]"])


def sources(services: Topology) -> str:
    """Return the packages of services, as those that import."""
    return _listed("source_modules", _packages(services))


def forbidden_to_libraries(services: Topology) -> str:
    """Return the packages that servicekit does not know."""
    return _listed("forbidden_modules", {*_packages(services), "headrace_client", "headrace_stack"})


def _libraries() -> set[str]:
    """Return the packages beside the services, but for the generated stubs."""
    return {path.name for path in (_ROOT / "libs").glob("*/headrace_*") if path.is_dir()}


def _of_parts() -> list[str]:
    """Return the packages of parts that bear the name of theirs: their methods of the SDK, and their commands."""
    return sorted({f"headrace_{name}" for name in parts.of(_ROOT)} & _libraries())


def _packages(services: Topology) -> set[str]:
    return {service.package.partition(".")[0] for service in own(services) if service.package}


def _listed(name: str, packages: set[str]) -> str:
    return "\n".join([f"{name} = [", *(f'    "{package}",' for package in sorted(packages)), "]"])

"""Where the parts of a new service go: files of its own, and lines in files that all services share.

Pure: everything works on text. What `make topology`, `make settings` and `make stubs` write is not one of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Template

from headrace_stack.description import Topology, free_ports

_NAME = re.compile(r"[a-z][a-z0-9]{1,30}")
# Templates, and the files that are made from them.
NEW_FILES: Mapping[str, str] = {
    "service/pyproject.toml": "services/{name}/pyproject.toml",
    "service/README.md": "services/{name}/README.md",
    "service/__init__.py": "services/{name}/headrace_{name}/__init__.py",
    "service/__main__.py": "services/{name}/headrace_{name}/__main__.py",
    "service/settings.py": "services/{name}/headrace_{name}/settings.py",
    "service/service.py": "services/{name}/headrace_{name}/service.py",
    "service/servicer.py": "services/{name}/headrace_{name}/servicer.py",
    "service/store.py": "services/{name}/headrace_{name}/store.py",
    "service/sql_init.py": "services/{name}/headrace_{name}/sql/__init__.py",
    "service/queries.sql": "services/{name}/headrace_{name}/sql/queries.sql",
    "service/0001_store.sql": "services/{name}/headrace_{name}/sql/migrations/0001_store.sql",
    "proto/service.proto": "protos/headrace/{name}/v1/{name}.proto",
    "tests/unit.py": "tests/unit/{name}/test_settings.py",
    "tests/integration.py": "tests/integration/{name}/test_life.py",
    "kubernetes/workload.yaml": "deploy/kubernetes/base/{name}.yaml",
    "kubernetes/settings.env": "deploy/kubernetes/base/config/{name}.env",
}


class Refused(ValueError):
    """There can be no service of this name; the message says why."""


@dataclass(frozen=True, slots=True)
class NewService:
    """What the templates are filled with."""

    name: str
    grpc: int
    metrics: int

    @property
    def words(self) -> dict[str, str]:
        """Return what stands for what in a template."""
        return {
            "name": self.name,
            "Name": self.name.capitalize(),
            "PREFIX": f"{self.name.upper()}_",
            "grpc": str(self.grpc),
            "metrics": str(self.metrics),
        }

    def filled(self, template: str) -> str:
        """Return a template with the words of this service."""
        return Template(template).substitute(self.words)


def new_service(name: str, services: Topology) -> NewService:
    """Choose two free ports. Raises Refused for a name that is taken, or cannot be a package, a database and a host."""
    if not _NAME.fullmatch(name):
        raise Refused(f"{name!r} cannot be a service: lower-case letters and digits, a letter first, 2 to 31 of them")
    taken = {service.database for service in services.values()} | {one.split("-")[0] for one in services}
    if name in taken or name in {"headrace", "postgres", "test"}:
        raise Refused(f"there is a {name} already: choose another name, or remove services/{name} first")
    return NewService(name, *free_ports(services, 2))


def additions(service: NewService, template: Callable[[str], str]) -> dict[str, Callable[[str], str]]:
    """Return what becomes of each shared file. template: reads one by its name."""
    row = (
        f"| all of {service.name}, or its database | nothing; its own calls UNAVAILABLE | nothing depends on it | "
        f"`tests/integration/{service.name}/test_life.py::"
        "test_without_its_database_predictions_go_on_and_its_calls_are_unavailable` |"
    )
    return {
        "deploy/topology.toml": lambda text: before(text, "[postgres]\n", service.filled(template("topology.toml"))),
        "docker-compose.yml": lambda text: before(
            text, "\n# Those of the stores", service.filled(template("compose.yml"))
        ),
        "docs/operations.md": lambda text: at_end_of_table(text, "## What each outage does", row),
    }


def before(text: str, mark: str, addition: str) -> str:
    """Return the text with an addition before the only line that begins with `mark`."""
    place = re.compile(rf"^{re.escape(mark)}", re.MULTILINE)
    if len(place.findall(text)) != 1:
        raise Refused(f"no single line begins with {mark.strip()!r}: add by hand what is in deploy/scaffold/templates")
    return place.sub(lambda found: addition + found[0], text)


def at_end_of_table(text: str, heading: str, row: str) -> str:
    """Return a page with a row at the end of the first table below a heading."""
    above, found, below = text.partition(f"{heading}\n")
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    if not found or table is None:
        raise Refused(f"the page has no table below {heading!r}: add the row by hand: {row}")
    return f"{above}{found}{below[: table.end()]}{row}\n{below[table.end() :]}"

"""Writes what follows from deploy/topology.toml into the files of others.

python -m deploy.topology generate    write every file and every generated part of a file
python -m deploy.topology check       fail when one is not what the description says
python -m deploy.topology only core   take every other part out of the checkout, then write every file
python -m deploy.topology compose core,observe       print the overlay of Compose (or `kubernetes`) where
                                                     only these parts run
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from headrace_stack.description import DescriptionError, Topology, path_in, read
from headrace_stack.parts import PartsError, chosen

from deploy.topology import compose, documents, installed, kubernetes, packages, removal, sources, targets
from deploy.topology.regions import RegionMissing, replaced

ROOT = Path(__file__).resolve().parents[2]

Write = Callable[[Topology], str]

_KUBERNETES = "deploy/kubernetes"
# Files of which every line is written here.
FILES: dict[str, Write] = {
    f"{_KUBERNETES}/base/kustomization.yaml": kubernetes.base,
    f"{_KUBERNETES}/base/network-policies.yaml": kubernetes.policies,
    "docker-compose.core.yml": installed.compose,
    f"{_KUBERNETES}/components/core/kustomization.yaml": installed.kubernetes,
    f"{_KUBERNETES}/components/mutual-tls/kustomization.yaml": kubernetes.mutual_tls_settings,
    f"{_KUBERNETES}/components/mutual-tls/workloads.yaml": kubernetes.mutual_tls_workloads,
    f"{_KUBERNETES}/components/outside-stores/network-policies.yaml": kubernetes.outside_policies,
    f"{_KUBERNETES}/components/stores/network-policies.yaml": kubernetes.store_policies,
    f"{_KUBERNETES}/overlays/local/one-of-each.yaml": kubernetes.one_of_each,
}
# Parts of handwritten files, by the name that stands at the part.
REGIONS: dict[str, dict[str, Write]] = {
    ".env.example": {"databases": compose.database_urls},
    "docker-compose.yml": {
        "networks and targets": compose.networks_and_targets,
        "secrets of databases": compose.secrets_made,
        "volumes of databases": compose.secrets_volumes,
    },
    f"{_KUBERNETES}/base/config/front-door.env": {
        "targets": lambda services: f"FRONT_DOOR_TARGETS={targets.front_door_targets(services)}"
    },
    f"{_KUBERNETES}/base/config/router-control.env": {
        "health": lambda services: f"ROUTER_CONTROL_HEALTH_TARGETS={targets.health_targets(services)}"
    },
    f"{_KUBERNETES}/components/outside-stores/kustomization.yaml": {"addresses": kubernetes.outside_settings},
    f"{_KUBERNETES}/overlays/local/kustomization.yaml": {
        "roles": kubernetes.role_secrets,
        "databases": kubernetes.database_secrets,
    },
    f"{_KUBERNETES}/README.md": {"secrets": documents.secrets_table},
    "deploy/observability/prometheus/prometheus.yml": {"jobs": compose.jobs},
    "deploy/observability/prometheus/rules/alerts.yml": {"away": compose.away, "down": compose.down},
    "deploy/observability/prometheus/rules.test.yml": {"up": compose.up},
    "deploy/stores/postgres": {"databases": compose.databases},
    "deploy/tools.Dockerfile": {"databases": compose.secrets_folders},
    "deploy/containers.md": {"networks": documents.networks},
    "docs/architecture.md": {
        "parts": documents.parts_table,
        "imports": sources.imports,
        "connections": documents.connections,
    },
    "docs/operations.md": {
        "outages": documents.outages,
        "stores": documents.stores,
        "upgrade": documents.upgrade,
        "services": documents.services_table,
    },
    "pyproject.toml": {
        "packages": packages.root_packages,
        "independent": packages.independent,
        "services": packages.forbidden_to_libraries,
        "unknown to the client": packages.unknown_to_the_client,
        "clients": packages.clients,
        "clients of parts": packages.clients_of_parts,
        "services that may call as clients": packages.sources,
    },
}


_INSTALLED = {"compose": installed.compose, "kubernetes": installed.kubernetes}


def made(services: Topology) -> dict[Path, str]:
    """Return every file that holds something written here, as it should be. Raises RegionMissing, OSError."""
    texts = {ROOT / path: write(services) for path, write in FILES.items()}
    for path, regions in REGIONS.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        for name, write in regions.items():
            try:
                text = replaced(text, name, write(services))
            except RegionMissing as error:
                raise RegionMissing(f"{path}: {error}") from None
        texts[ROOT / path] = text
    return texts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("generate", "check", "only", "compose", "kubernetes"))
    parser.add_argument("parts", nargs="?", default="", help="with commas; the core is always among them")
    asked = parser.parse_args()
    what = asked.what
    try:
        if what == "only":
            gone = removal.keep_only(ROOT, [name for name in asked.parts.split(",") if name])
            print(f"taken out: {', '.join(gone) or 'nothing'}")
        services = read(path_in(ROOT))
        if what in _INSTALLED:
            print(_INSTALLED[what](services, chosen(asked.parts, services)), end="")
            return 0
        texts = made(services)
    except (DescriptionError, PartsError, RegionMissing) as error:
        print(f"deploy/topology.toml: {error}", file=sys.stderr)
        return 1
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if what != "check":
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
        else:
            print(
                f"{path.relative_to(ROOT)} is not what deploy/topology.toml says: run `make topology`", file=sys.stderr
            )
    return 1 if stale and what == "check" else 0


if __name__ == "__main__":
    sys.exit(main())

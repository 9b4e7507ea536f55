"""Which workload of Kubernetes, and which service of Compose, each pool is."""

from __future__ import annotations

import re
from dataclasses import dataclass

KINDS = {"deployment": "deployments", "statefulset": "statefulsets"}


@dataclass(frozen=True, slots=True)
class WorkloadName:
    """One workload. kind: as in its path, `deployments` or `statefulsets`."""

    kind: str
    name: str


def workloads_of(text: str) -> dict[str, WorkloadName]:
    """Return the workload of each pool from `pool=kind/name`, separated by semicolons. Raises ValueError."""
    found: dict[str, WorkloadName] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        pool, equals, rest = part.partition("=")
        kind, slash, name = rest.partition("/")
        if not (equals and slash and pool and name) or kind not in KINDS:
            raise ValueError(f"'{part}' is not pool=deployment/name or pool=statefulset/name")
        found[pool] = WorkloadName(KINDS[kind], name)
    return found


def services_of(text: str) -> dict[str, str]:
    """Return the service of each pool from `pool=service`, separated by semicolons. Raises ValueError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        pool, equals, service = part.partition("=")
        if not (equals and pool and re.fullmatch(r"[a-z0-9][a-z0-9_-]*", service)):
            raise ValueError(f"'{part}' is not pool=service")
        found[pool] = service
    return found
